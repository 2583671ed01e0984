"""What changes a thread: posts, comments, votes. New content of a batch is one transaction.

Every acknowledged write is committed; its events go to the shards afterwards, and a shard that
misses them finds them by its sweep.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from actors import content
from actors.group_commit import Publisher, commit, invalid, refused, without_doubles
from actors.markdown import render
from actors.messages import (
    CreateComment,
    CreatePost,
    DeleteComment,
    DeletePost,
    EditComment,
    EditPost,
    Failure,
    Outcome,
    Reply,
)
from actors.shard_messages import Ephemeral, Publication
from ai.language import detect
from config.errors import AppError
from storage import comments as comment_table
from storage import edits
from storage import posts as post_table
from storage.directory import Directory
from storage.identity import country_of, is_v7, new_id
from storage.postgres import Pool, acquire
from storage.streams import with_committed_ns

_encode: Final = msgspec.json.Encoder().encode
_hash_encoder: Final = msgspec.msgpack.Encoder()
_LANGUAGE_SAMPLE: Final = 2_000
# Rendering must not hold the loop, other batches wait behind it: a batch is rendered in slices, and
# a long text (a hostile one takes a second) in a thread.
_RENDER_SLICE: Final = 16
_RENDER_INLINE_CHARACTERS: Final = 4_000


class ThreadWriter:
    def __init__(self, pool: Pool, directory: Directory, publisher: Publisher) -> None:
        self._pool = pool
        self._directory = directory
        self._publisher = publisher

    # ------------------------------------------------------------ comments

    async def create_comments(self, requests: Sequence[CreateComment]) -> list[Outcome]:
        """One outcome a request, in order; all acceptable ones are committed together."""
        return await without_doubles(requests, self._create_comments)

    async def _create_comments(self, requests: Sequence[CreateComment]) -> list[Outcome]:
        bodies: list[tuple[str, str]] = []
        items: list[comment_table.NewComment] = []
        for place, request in enumerate(requests):
            if place % _RENDER_SLICE == _RENDER_SLICE - 1:
                await asyncio.sleep(0)
            markdown = request.body_markdown
            html = await _render(markdown)
            language = _language(markdown)
            id = new_id(country_of(request.post_id))
            head, tail = content.comment_parts(
                id, request.post_id, request.caller, markdown, html, language
            )
            bodies.append((head, tail))
            event_head, event_tail = content.comment_event_parts(head, tail, request.received_ns)
            items.append(
                comment_table.NewComment(
                    id,
                    _account(request.caller.account_id),
                    request.post_id,
                    request.parent_id,
                    markdown,
                    html,
                    language,
                    event_head,
                    event_tail,
                    request.key,
                    _hash(request.post_id, request.parent_id, markdown),
                )
            )
        rows, position = await commit(self._pool, items, comment_table.write_comments)
        committed_ns = time.time_ns()
        outcomes: list[Outcome] = []
        publications: list[Publication] = []
        activity: dict[UUID, Ephemeral] = {}
        for (head, tail), item, row in zip(bodies, items, rows, strict=True):
            if isinstance(row, Failure):
                outcomes.append(row)
            elif row.status == "created":
                outcomes.append(
                    Reply(
                        201, content.joined_comment(head, tail, row.parent_id, row.depth), position
                    )
                )
                payload = content.joined_comment(item.head, item.tail, row.parent_id, row.depth)
                publications.append(
                    Publication(row.channel, row.offset, with_committed_ns(payload, committed_ns))
                )
                activity[item.post_id] = self._activity(item.post_id, row, committed_ns)
            elif row.status == "replayed":
                outcomes.append(await self._replayed_comment(row.resource_id, position))
            elif row.status == "parent_not_found":
                outcomes.append(invalid("parent_id", "there is no such comment in this thread"))
            else:
                outcomes.append(refused(row.status))
        self._publisher.publish(publications)
        self._publisher.publish_ephemeral(list(activity.values()))
        return outcomes

    def _activity(self, post_id: UUID, row: comment_table.WrittenComment, at_ns: int) -> Ephemeral:
        return Ephemeral(
            f"community:{row.community_id}",
            f"activity:{post_id}",
            content.ephemeral(
                "thread.activity",
                at_ns,
                {
                    "post_id": post_id,
                    "comment_count": row.comment_count,
                    "last_comment_at": content.rfc3339_ns(at_ns),
                },
            ),
        )

    async def _replayed_comment(self, id: UUID, position: int) -> Outcome:
        async with acquire(self._pool) as connection:
            rows = await comment_table.read_comments(connection, [id])
        return Reply(201, _encode(content.comment_view(rows[id])), position)

    async def edit_comment(self, request: EditComment) -> Reply:
        edited, position = await edits.edit_comment(
            self._pool,
            _account(request.caller.account_id),
            _known(request.comment_id),
            request.body_markdown,
            await _render(request.body_markdown),
            _language(request.body_markdown),
            lambda row: _comment_event("comment.updated", row, request.received_ns),
        )
        self._publish_events(edited.events)
        return Reply(200, _encode(content.comment_view(edited.row)), position)

    async def delete_comment(self, request: DeleteComment) -> Reply:
        edited, position = await edits.delete_comment(
            self._pool,
            _account(request.caller.account_id),
            _known(request.comment_id),
            lambda row: _comment_event("comment.deleted", row, request.received_ns),
            content.redacted,
        )
        self._publish_events(edited.events)
        return Reply(204, b"", position)

    # ------------------------------------------------------------ posts

    async def create_posts(self, requests: Sequence[CreatePost]) -> list[Outcome]:
        """One outcome a request, in order; all acceptable ones are committed together."""
        return await without_doubles(requests, self._create_posts)

    async def _create_posts(self, requests: Sequence[CreatePost]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        items: dict[int, tuple[post_table.NewPost, bytes]] = {}
        for place, request in enumerate(requests):
            community = await self._directory.find(request.community)
            if community is None:
                outcomes[place] = invalid("community_id", "there is no such community")
                continue
            id = new_id(community.country_id)
            html = await _render(request.body_markdown)
            language = request.language or _language(f"{request.title}\n{request.body_markdown}")
            view = content.new_post(
                id, request.caller, community.id, content.alpha2(community.country_id),
                community.visa_type, request.title, request.body_markdown, html, language,
                request.tags,
            )  # fmt: skip
            body = _encode(view)
            payload = content.event("post.created", "post", body, request.received_ns)
            item = post_table.NewPost(
                id, _account(request.caller.account_id), community.id, community.visa_type,
                request.title, request.body_markdown, html, language, request.tags, payload,
                request.key,
                _hash(community.id, request.title, request.body_markdown, request.language,
                      request.tags),
            )  # fmt: skip
            items[place] = (item, body)
        rows, position = await commit(
            self._pool, [item for item, _ in items.values()], post_table.write_posts
        )
        committed_ns = time.time_ns()
        publications: list[Publication] = []
        for (place, (item, body)), row in zip(items.items(), rows, strict=True):
            if isinstance(row, Failure):
                outcomes[place] = row
            elif row.status == "created":
                assert row.channel is not None and row.offset is not None
                outcomes[place] = Reply(201, body, position)
                data = with_committed_ns(item.payload, committed_ns)
                publications.append(Publication(row.channel, row.offset, data))
            elif row.status == "replayed":
                outcomes[place] = await self._replayed_post(row.resource_id, position)
            else:
                outcomes[place] = refused(row.status)
        self._publisher.publish(publications)
        return [outcomes[place] for place in range(len(requests))]

    async def _replayed_post(self, id: UUID, position: int) -> Outcome:
        async with acquire(self._pool) as connection:
            rows = await post_table.read_posts(connection, [id])
        return Reply(201, _encode(content.post_view(rows[id][0])), position)

    async def edit_post(self, request: EditPost) -> Reply:
        markdown = request.body_markdown
        changes = edits.PostChanges(
            request.title,
            markdown,
            None if markdown is None else await _render(markdown),
            request.language,
            request.tags,
            request.locked,
            request.pinned,
        )
        if not (changes.of_text or changes.of_state):
            raise AppError("invalid", "Nothing to change.", errors=(("", "no field is set"),))
        edited, position = await edits.edit_post(
            self._pool,
            _account(request.caller.account_id),
            _known(request.post_id),
            changes,
            lambda row: _post_event("post.updated", row, request.received_ns),
        )
        self._publish_events(edited.events)
        return Reply(200, _encode(content.post_view(edited.row)), position)

    async def delete_post(self, request: DeletePost) -> Reply:
        edited, position = await edits.delete_post(
            self._pool,
            _account(request.caller.account_id),
            _known(request.post_id),
            lambda row: _post_event("post.deleted", row, request.received_ns),
            content.redacted,
        )
        self._publish_events(edited.events)
        return Reply(204, b"", position)

    def _publish_events(self, events: Sequence[edits.StreamEvent]) -> None:
        """Overwritten events come first, with the offsets they had: shards replace them."""
        committed_ns = time.time_ns()
        self._publisher.publish(
            [
                Publication(
                    event.channel,
                    event.offset,
                    with_committed_ns(
                        event.payload,
                        committed_ns
                        if event.created_at is None
                        else int(event.created_at.timestamp() * 1e9),
                    ),
                )
                for event in events
            ]
        )


def _post_event(kind: str, row: post_table.PostRow, received_ns: int) -> str:
    return content.event(kind, "post", _encode(content.post_view(row)), received_ns)


def _comment_event(kind: str, row: comment_table.CommentRow, received_ns: int) -> str:
    return content.event(kind, "comment", _encode(content.comment_view(row)), received_ns)


def _account(account_id: UUID | None) -> UUID:
    if account_id is None:
        raise AppError("unauthenticated", "Log in first.")
    return account_id


def _known(id: UUID) -> UUID:
    if not is_v7(id):
        raise AppError("not_found")
    return id


async def _render(markdown: str) -> str:
    if len(markdown) <= _RENDER_INLINE_CHARACTERS:
        return render(markdown)
    return await asyncio.to_thread(render, markdown)


def _language(text: str) -> str:
    return detect(text[:_LANGUAGE_SAMPLE])


def _hash(*parts: object) -> bytes:
    return hashlib.blake2b(_hash_encoder.encode(parts), digest_size=16).digest()
