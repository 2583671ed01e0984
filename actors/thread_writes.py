"""New posts and comments: those of a batch are one transaction a kind.

Every acknowledged write is committed; its events go to the shards afterwards, and a shard that
misses them finds them by its sweep.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec

from actors import content
from actors.group_commit import Publisher, commit, invalid, refused, without_doubles
from actors.media.links import linked_files
from actors.messages import CreateComment, CreatePost, Failure, Outcome, Reply
from actors.outcomes import failure
from actors.shard_messages import Ephemeral, Publication
from actors.thread_rendering import Slices, language_of, language_of_post, render_text
from config.errors import AppError
from storage import comments as comment_table
from storage import posts as post_table
from storage.attachments import Claim, attach
from storage.comments import NewComment, WrittenComment
from storage.directory import Community, Directory
from storage.identity import country_of, new_id
from storage.postgres import Connection, Pool, acquire
from storage.posts import NewPost, WrittenPost
from storage.streams import with_committed_ns

_encode: Final = msgspec.json.Encoder().encode
_hash_encoder: Final = msgspec.msgpack.Encoder()


class _Comment(NamedTuple):
    """`head` and `tail` are the answer's, those in `item` the event's: only the database knows
    where a comment really attaches."""

    item: NewComment
    head: str
    tail: str

    def body(self, row: WrittenComment) -> bytes:
        return content.joined_comment(self.head, self.tail, row.parent_id, row.depth)

    def event(self, row: WrittenComment) -> bytes:
        return content.joined_comment(self.item.head, self.item.tail, row.parent_id, row.depth)


class _Post(NamedTuple):
    item: NewPost
    view: bytes

    def body(self, row: WrittenPost) -> bytes:
        return self.view

    def event(self, row: WrittenPost) -> bytes:
        return self.item.payload.encode()


Written = TypeVar("Written", WrittenComment, WrittenPost)
Written_contra = TypeVar("Written_contra", contravariant=True)


class _Draft(Protocol[Written_contra]):
    def body(self, row: Written_contra) -> bytes: ...

    def event(self, row: Written_contra) -> bytes: ...


class ThreadWriter:
    def __init__(self, pool: Pool, directory: Directory, publisher: Publisher) -> None:
        self._pool = pool
        self._directory = directory
        self._publisher = publisher

    async def create_comments(self, requests: Sequence[CreateComment]) -> list[Outcome]:
        """One outcome a request, in order; all acceptable ones are committed together."""
        return await without_doubles(requests, self._create_comments)

    async def create_posts(self, requests: Sequence[CreatePost]) -> list[Outcome]:
        """One outcome a request, in order; all acceptable ones are committed together."""
        return await without_doubles(requests, self._create_posts)

    async def _create_comments(self, requests: Sequence[CreateComment]) -> list[Outcome]:
        drafts = dict(enumerate(await _comment_drafts(requests)))
        items = [draft.item for draft in drafts.values()]
        claims = [
            _claim(item.author_id, item.id, item.post_id, item.body_markdown) for item in items
        ]
        await attach(self._pool, [claim for claim in claims if claim.media_ids])
        rows, position = await commit(self._pool, items, comment_table.write_comments)
        committed_ns = time.time_ns()
        self._publish(drafts, rows, committed_ns)
        self._publisher.publish_ephemeral(_activity(items, rows, committed_ns))
        outcomes = await self._outcomes(drafts, rows, position, _refused_comment, _comment_views)
        return [outcomes[place] for place in range(len(requests))]

    async def _create_posts(self, requests: Sequence[CreatePost]) -> list[Outcome]:
        slices = Slices()
        communities = await self._directory.find_all(request.community for request in requests)
        drafts: dict[int, _Post] = {}
        for place, request in enumerate(requests):
            community = communities[request.community]
            if community is not None:
                drafts[place] = await _post_draft(request, community)
                await slices.give_way()
        items = [draft.item for draft in drafts.values()]
        claims = [_claim(item.author_id, item.id, item.id, item.body_markdown) for item in items]
        await attach(self._pool, [claim for claim in claims if claim.media_ids])
        rows, position = await commit(self._pool, items, post_table.write_posts)
        self._publish(drafts, rows, time.time_ns())
        outcomes = await self._outcomes(drafts, rows, position, _refused_post, _post_views)
        return [outcomes.get(place) or _refused_post("not_found") for place in range(len(requests))]

    def _publish(
        self,
        drafts: Mapping[int, _Draft[Written]],
        rows: Sequence[Written | Failure],
        committed_ns: int,
    ) -> None:
        publications: list[Publication] = []
        for draft, row in zip(drafts.values(), rows, strict=True):
            if not isinstance(row, Failure) and row.status == "created":
                data = with_committed_ns(draft.event(row), committed_ns)
                publications.append(Publication(row.channel, row.offset, data))
        self._publisher.publish(publications)

    async def _outcomes(
        self,
        drafts: Mapping[int, _Draft[Written]],
        rows: Sequence[Written | Failure],
        position: int,
        refusal: Callable[[str], Failure],
        views: Callable[[Connection, Sequence[UUID]], Awaitable[dict[UUID, bytes]]],
    ) -> dict[int, Outcome]:
        """By place. The batch is committed and published: what fails here fails alone."""
        outcomes: dict[int, Outcome] = {}
        replayed: dict[int, UUID] = {}
        for (place, draft), row in zip(drafts.items(), rows, strict=True):
            if isinstance(row, Failure):
                outcomes[place] = row
            elif row.status == "created":
                outcomes[place] = Reply(201, draft.body(row), position)
            elif row.status == "replayed":
                replayed[place] = row.resource_id
            else:
                outcomes[place] = refusal(row.status)
        if replayed:
            answers = await self._first_answers(list(set(replayed.values())), position, views)
            outcomes |= {place: answers[id] for place, id in replayed.items()}
        return outcomes

    async def _first_answers(
        self,
        ids: Sequence[UUID],
        position: int,
        views: Callable[[Connection, Sequence[UUID]], Awaitable[dict[UUID, bytes]]],
    ) -> dict[UUID, Outcome]:
        try:
            async with acquire(self._pool) as connection:
                found = await views(connection, ids)
        except Exception as error:
            return dict.fromkeys(ids, failure(error))
        return {
            id: Reply(201, found[id], position) if id in found else refused("not_found")
            for id in ids
        }


async def _comment_drafts(requests: Sequence[CreateComment]) -> list[_Comment]:
    """First all texts are rendered, then all are judged: in turn, the parser and the model push
    each other out of the processor's caches, and a comment takes longer."""
    slices = Slices()
    rendered: list[str] = []
    for request in requests:
        rendered.append(await render_text(request.body_markdown))
        await slices.give_way()
    drafts: list[_Comment] = []
    for request, html in zip(requests, rendered, strict=True):
        drafts.append(_comment_draft(request, html, language_of(request.body_markdown)))
        await slices.give_way()
    return drafts


def _comment_draft(request: CreateComment, html: str, language: str) -> _Comment:
    markdown = request.body_markdown
    id = new_id(country_of(request.post_id))
    head, tail = content.comment_parts(
        id, request.post_id, request.caller, markdown, html, language
    )
    event_head, event_tail = content.comment_event_parts(head, tail, request.received_ns)
    item = NewComment(
        id, _account(request.caller.account_id), request.post_id, request.parent_id, markdown, html,
        language, event_head, event_tail, request.key,
        _hash(request.post_id, request.parent_id, markdown),
    )  # fmt: skip
    return _Comment(item, head, tail)


async def _post_draft(request: CreatePost, community: Community) -> _Post:
    id = new_id(community.country_id)
    html = await render_text(request.body_markdown)
    language = request.language or language_of_post(request.title, request.body_markdown)
    view = _encode(
        content.new_post(
            id, request.caller, community.id, content.alpha2(community.country_id),
            community.visa_type, request.title, request.body_markdown, html, language, request.tags,
        )
    )  # fmt: skip
    payload = content.event("post.created", "post", view, request.received_ns)
    item = NewPost(
        id, _account(request.caller.account_id), community.id, community.visa_type, request.title,
        request.body_markdown, html, language, request.tags, payload, request.key,
        _hash(community.id, request.title, request.body_markdown, request.language, request.tags),
    )  # fmt: skip
    return _Post(item, view)


def _claim(author_id: UUID, content_id: UUID, post_id: UUID, markdown: str) -> Claim:
    return Claim(author_id, content_id, post_id, linked_files(markdown))


def _activity(
    items: Sequence[NewComment], rows: Sequence[WrittenComment | Failure], at_ns: int
) -> list[Ephemeral]:
    """One event a thread, about its newest comment."""
    newest: dict[UUID, tuple[UUID, int]] = {}
    for item, row in zip(items, rows, strict=True):
        if not isinstance(row, Failure) and row.community_id and row.status == "created":
            newest[item.post_id] = row.community_id, row.comment_count
    at = content.rfc3339_ns(at_ns)
    return [
        content.thread_activity(community_id, post_id, count, at, at_ns)
        for post_id, (community_id, count) in newest.items()
    ]


def _refused_comment(status: str) -> Failure:
    if status == "parent_not_found":
        return invalid("parent_id", "there is no such comment in this thread")
    return refused(status)


def _refused_post(status: str) -> Failure:
    """A private community is refused as one that does not exist is."""
    if status == "not_found":
        return invalid("community_id", "there is no such community")
    return refused(status)


async def _comment_views(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, bytes]:
    rows = await comment_table.read_comments(connection, ids)
    return {id: _encode(content.comment_view(row)) for id, row in rows.items()}


async def _post_views(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, bytes]:
    rows = await post_table.read_posts(connection, ids)
    return {id: _encode(content.post_view(row)) for id, (row, _, _) in rows.items()}


def _account(account_id: UUID | None) -> UUID:
    if account_id is None:
        raise AppError("unauthenticated", "Log in first.")
    return account_id


def _hash(*parts: object) -> bytes:
    return hashlib.blake2b(_hash_encoder.encode(parts), digest_size=16).digest()
