"""What members keep for themselves: saves, follows, mutes, how far they have read. Nobody else sees
any of it; whom it leads to be told of something is the job 'notify' (notifying.py)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

import msgspec

from actors import content
from actors.cursors import CursorKind
from actors.drafts import Drafts
from actors.member_messages import (
    CreateDraft,
    DeleteDraft,
    FollowCommunity,
    FollowThread,
    ListDrafts,
    ListMutedAccounts,
    ListMutedCommunities,
    ListSaves,
    MarkThreadRead,
    MemberRequest,
    MuteAccount,
    MuteCommunity,
    ReadDraft,
    ReplaceDraft,
    SetSaved,
    UpdateMe,
)
from actors.messages import Reply
from actors.pages import member, page, place_of, require_limit
from actors.profile import Profile
from config.errors import AppError
from storage import accounts, comments, communities, follows, mutes, posts, read_positions, saves
from storage.follows import Level
from storage.mutes import MutedAccount, MutedCommunity
from storage.postgres import Connection, Pool, acquire, in_transaction_at
from storage.readable import (
    require_active,
    require_comment,
    require_comment_of,
    require_community,
    require_post,
)
from storage.saves import Saved
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.encode


class MemberState:
    """Every request may be sent again: what is as it was asked for stays so."""

    def __init__(self, pool: Pool, profile: Profile) -> None:
        self._pool = pool
        self._profile = profile
        self._drafts = Drafts(pool)

    async def answer(self, request: MemberRequest) -> Reply:
        match request:
            case UpdateMe():
                return await self._profile.update(request)
            case CreateDraft():
                return await self._drafts.create(request)
            case ReplaceDraft():
                return await self._drafts.replace(request)
            case DeleteDraft():
                return await self._drafts.delete(request)
            case ReadDraft():
                return await self._drafts.read(request)
            case ListDrafts():
                return await self._drafts.list(request)
            case SetSaved():
                return await self._set_saved(request)
            case ListSaves():
                return await self._list_saves(request)
            case FollowThread():
                return await self._follow_thread(request)
            case FollowCommunity():
                return await self._follow_community(request)
            case MuteAccount():
                return await self._mute_account(request)
            case MuteCommunity():
                return await self._mute_community(request)
            case ListMutedAccounts():
                return await self._list_muted_accounts(request)
            case ListMutedCommunities():
                return await self._list_muted_communities(request)
            case MarkThreadRead():
                return await self._mark_thread_read(request)

    async def _write(self, work: Callable[[Connection], Awaitable[Any]]) -> Reply:
        _, position = await in_transaction_at(self._pool, work)
        return Reply(204, position=position)

    async def _set_saved(self, request: SetSaved) -> Reply:
        account_id, target_id = member(request.caller), request.target_id
        is_post = request.kind == "post"

        async def work(connection: Connection) -> None:
            if not request.saved:
                return await saves.unsave(connection, account_id, target_id)
            require = require_post if is_post else require_comment
            await require(connection, account_id, target_id)
            return await saves.save(connection, account_id, target_id, is_post)

        return await self._write(work)

    async def _list_saves(self, request: ListSaves) -> Reply:
        account_id = member(request.caller)
        require_limit(request.limit)
        scope = str(account_id)
        before = place_of(CursorKind.SAVES, scope, request.cursor)
        async with acquire(self._pool) as connection:
            found = await saves.list_saves(connection, account_id, before, request.limit)
            views: dict[UUID, object] = {}
            if ids := [item.target_id for item in found.items if item.is_post]:
                stored = await posts.read_posts(connection, ids)
                views |= {id: content.post_view(row) for id, (row, _, _) in stored.items()}
            if ids := [item.target_id for item in found.items if not item.is_post]:
                texts = await comments.read_comments(connection, ids)
                views |= {id: content.comment_view(row) for id, row in texts.items()}
        items = [
            _saved(item, views[item.target_id]) for item in found.items if item.target_id in views
        ]
        return Reply(body=page(CursorKind.SAVES, scope, items, found.last))

    async def _follow_thread(self, request: FollowThread) -> Reply:
        account_id, level = member(request.caller), request.level

        async def work(connection: Connection) -> None:
            if level is None:
                return await follows.unfollow_thread(connection, account_id, request.post_id)
            await require_post(connection, account_id, request.post_id)
            return await follows.follow_thread(connection, account_id, request.post_id, level)

        return await self._followed(work, level)

    async def _follow_community(self, request: FollowCommunity) -> Reply:
        account_id, level = member(request.caller), request.level

        async def work(connection: Connection) -> None:
            if level is None:
                known = await communities.find(connection, request.community, account_id)
                if known is None:
                    return None
                return await follows.unfollow_community(connection, account_id, known.community_id)
            id = await require_community(connection, account_id, request.community)
            return await follows.follow_community(connection, account_id, id, level)

        return await self._followed(work, level)

    async def _followed(
        self, work: Callable[[Connection], Awaitable[None]], level: Level | None
    ) -> Reply:
        reply = await self._write(work)
        if level is None:
            return reply
        return Reply(200, _encode({"level": level}), reply.position)

    async def _mute_account(self, request: MuteAccount) -> Reply:
        account_id = member(request.caller)

        async def work(connection: Connection) -> None:
            muted_id = await accounts.find_id(connection, request.account)
            if not request.muted:
                if muted_id is not None:
                    await mutes.unmute_account(connection, account_id, muted_id)
                return None
            await require_active(connection, account_id)
            if muted_id is None:
                raise AppError("not_found", "There is no such account.")
            if muted_id == account_id:
                raise AppError("invalid", "Nobody mutes themselves.")
            return await mutes.mute_account(connection, account_id, muted_id)

        return await self._write(work)

    async def _mute_community(self, request: MuteCommunity) -> Reply:
        account_id = member(request.caller)

        async def work(connection: Connection) -> None:
            if not request.muted:
                known = await communities.find(connection, request.community, account_id)
                if known is None:
                    return None
                return await mutes.unmute_community(connection, account_id, known.community_id)
            id = await require_community(connection, account_id, request.community)
            return await mutes.mute_community(connection, account_id, id)

        return await self._write(work)

    async def _list_muted_accounts(self, request: ListMutedAccounts) -> Reply:
        return await self._list_muted(CursorKind.MUTED_ACCOUNTS, request, mutes.list_accounts)

    async def _list_muted_communities(self, request: ListMutedCommunities) -> Reply:
        return await self._list_muted(CursorKind.MUTED_COMMUNITIES, request, mutes.list_communities)

    async def _list_muted(
        self,
        kind: CursorKind,
        request: ListMutedAccounts | ListMutedCommunities,
        read: Callable[[Connection, UUID, mutes.Place | None, int], Awaitable[Any]],
    ) -> Reply:
        account_id = member(request.caller)
        require_limit(request.limit)
        scope = str(account_id)
        before = place_of(kind, scope, request.cursor)
        async with acquire(self._pool) as connection:
            found = await read(connection, account_id, before, request.limit + 1)
        shown = found[: request.limit]
        last = (shown[-1].muted_at, shown[-1].id) if len(found) > len(shown) else None
        items = [_muted(each) for each in shown]
        return Reply(body=page(kind, scope, items, last))

    async def _mark_thread_read(self, request: MarkThreadRead) -> Reply:
        account_id, post_id = member(request.caller), request.post_id

        async def work(connection: Connection) -> read_positions.ReadTo:
            await require_comment_of(connection, account_id, request.comment_id, post_id)
            return await read_positions.advance(connection, account_id, post_id, request.comment_id)

        reached, position = await in_transaction_at(self._pool, work)
        return Reply(200, _encode(reached._asdict()), position)


def _saved(item: Saved, view: object) -> dict[str, object]:
    shown: dict[str, object] = {"saved_at": rfc3339(item.saved_at)}
    if item.is_post:
        return shown | {"kind": "post", "post": view}
    return shown | {"kind": "comment", "post_title": item.post_title, "comment": view}


def _muted(row: MutedAccount | MutedCommunity) -> dict[str, object]:
    return msgspec.structs.asdict(row) | {"muted_at": rfc3339(row.muted_at)}
