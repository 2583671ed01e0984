"""Drafts kept on the server: what may be one, and the answers about them."""

from __future__ import annotations

import hashlib
from typing import Final
from uuid import UUID

import msgspec

from actors.cursors import CursorKind
from actors.member_messages import CreateDraft, DeleteDraft, ListDrafts, ReadDraft, ReplaceDraft
from actors.messages import Reply
from actors.pages import member, page, place_of, require_limit
from config.errors import AppError
from storage import drafts
from storage.drafts import Draft, DraftTarget, DraftText
from storage.identity import NO_COUNTRY, new_id
from storage.postgres import Connection, Pool, acquire, in_transaction_at
from storage.readable import (
    lock_active,
    require_active,
    require_comment_of,
    require_community,
    require_post,
)
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.encode
_hash_encoder: Final = msgspec.msgpack.Encoder()
_HASHED: Final = [name for name in CreateDraft.__struct_fields__ if name not in ("caller", "key")]


class Drafts:
    """Each request is a transaction of its own and may be sent again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, request: CreateDraft) -> Reply:
        account_id = member(request.caller)
        if found := target_faults(request):
            raise AppError("invalid", "The draft has no such target.", errors=found)
        target = DraftTarget(request.kind, request.post_id, request.parent_id)
        id = new_id(NO_COUNTRY)
        sent = [getattr(request, name) for name in _HASHED]
        hash = hashlib.sha256(_hash_encoder.encode(sent)).digest()

        async def work(connection: Connection) -> Draft:
            await lock_active(connection, account_id)
            community_id = await _community(connection, account_id, request.community)
            if target.post_id is not None:
                await require_post(connection, account_id, target.post_id)
                if target.parent_id is not None:
                    await require_comment_of(
                        connection, account_id, target.parent_id, target.post_id
                    )
            text = _text(request, community_id)
            return await drafts.create(connection, account_id, id, target, text, request.key, hash)

        draft, position = await in_transaction_at(self._pool, work)
        return Reply(201, _encode(_shown(draft)), position)

    async def replace(self, request: ReplaceDraft) -> Reply:
        account_id = member(request.caller)

        async def work(connection: Connection) -> Draft:
            await require_active(connection, account_id)
            before = await drafts.read(connection, account_id, request.draft_id)
            community_id = before.community_id
            if request.community is None:
                community_id = None
            elif before.kind != "post":
                fault = ("community_id", "belongs to drafts of new posts")
                raise AppError("invalid", "The draft has no such target.", errors=(fault,))
            elif request.community != str(community_id):
                # One that stands already may have become unreadable: the text is not lost for it.
                community_id = await _community(connection, account_id, request.community)
            text = _text(request, community_id)
            return await drafts.replace(
                connection, account_id, request.draft_id, request.revision, text
            )

        draft, position = await in_transaction_at(self._pool, work)
        return Reply(200, _encode(_shown(draft)), position)

    async def delete(self, request: DeleteDraft) -> Reply:
        account_id = member(request.caller)
        _, position = await in_transaction_at(
            self._pool, lambda connection: drafts.delete(connection, account_id, request.draft_id)
        )
        return Reply(204, position=position)

    async def read(self, request: ReadDraft) -> Reply:
        account_id = member(request.caller)
        async with acquire(self._pool) as connection:
            draft = await drafts.read(connection, account_id, request.draft_id)
        return Reply(body=_encode(_shown(draft)))

    async def list(self, request: ListDrafts) -> Reply:
        account_id = member(request.caller)
        require_limit(request.limit)
        scope = f"{account_id}:{request.post_id}"
        before = place_of(CursorKind.DRAFTS, scope, request.cursor)
        async with acquire(self._pool) as connection:
            found = await drafts.list_drafts(
                connection, account_id, request.post_id, before, request.limit + 1
            )
        shown = found[: request.limit]
        last = (shown[-1].updated_at, shown[-1].id) if len(found) > len(shown) else None
        items = [_summary(draft) for draft in shown]
        return Reply(body=page(CursorKind.DRAFTS, scope, items, last))


def target_faults(request: CreateDraft) -> tuple[tuple[str, str], ...]:
    """(path, reason) of what does not belong to a draft of this kind."""
    found: list[tuple[str, str]] = []
    if request.kind == "post":
        if request.post_id is not None:
            found.append(("post_id", "belongs to drafts of edits and comments"))
    else:
        if request.post_id is None:
            found.append(("post_id", "is required"))
        if request.community is not None:
            found.append(("community_id", "belongs to drafts of new posts"))
    if request.kind != "comment" and request.parent_id is not None:
        found.append(("parent_id", "belongs to drafts of comments"))
    return tuple(found)


async def _community(
    connection: Connection, account_id: UUID, id_or_slug: str | None
) -> UUID | None:
    if id_or_slug is None:
        return None
    return await require_community(connection, account_id, id_or_slug)


def _text(request: CreateDraft | ReplaceDraft, community_id: UUID | None) -> DraftText:
    return DraftText(
        community_id, request.title, request.body_markdown, request.language, request.tags
    )


def _shown(draft: Draft) -> dict[str, object]:
    shown = msgspec.structs.asdict(draft)
    return shown | {
        "created_at": rfc3339(draft.created_at),
        "updated_at": rfc3339(draft.updated_at),
    }


def _summary(draft: Draft) -> dict[str, object]:
    shown = _shown(draft)
    shown["excerpt"] = shown.pop("body_markdown")
    return shown
