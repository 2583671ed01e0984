"""The parts of a member's export: each a query that gives its rows as JSON, page by page.

What members see of others stays out: an export holds what its member wrote, did and set.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple
from uuid import UUID

from storage.postgres import Pool, acquire

_PAGE: Final = 100
_BEFORE_ALL: Final = UUID(int=0)


class Part(NamedTuple):
    """`rows`: the column that is counted, "table.column". `query` answers (key, data) of the rows
    of account $1 with a key above $2, at most $3, in the order of the keys, by an index."""

    name: str
    rows: str
    query: str


def _part(name: str, rows: str, key: str, data: str) -> Part:
    table, _, column = rows.partition(".")
    return Part(
        name,
        rows,
        f"select t.{key} as key, jsonb_build_object({data})::text as data from {table} t"
        f" where t.{column} = $1 and t.{key} > $2 order by t.{key} limit $3",
    )


def _fields(*names: str) -> str:
    return ", ".join(f"'{name}', t.{name}" for name in names)


def _former(*names: str) -> str:
    shown = ", ".join(f"'{name}', r.{name}" for name in ("number", *names, "replaced_at"))
    return (
        "'former_texts', coalesce((select jsonb_agg(jsonb_build_object("
        f"{shown}) order by r.number) from revision r"
        " where r.country_id = t.country_id and r.target_id = t.id), '[]')"
    )


_POLL: Final = (
    "'poll', (select jsonb_build_object('question', p.question, 'options', p.options)"
    " from poll p where p.post_id = t.id)"
)

PARTS: Final[tuple[Part, ...]] = (
    _part(
        "profile", "account.id", "id",
        _fields(
            "id", "handle", "email", "display_name", "languages", "role", "default_follow_level",
            "created_at",
        ),
    ),
    _part(
        "posts", "post.author_id", "id",
        _fields(
            "id", "community_id", "title", "body_markdown", "language", "tags", "up", "down",
            "comment_count", "created_at", "edited_at", "deleted_at",
        ) + ", " + _former("title", "body_markdown") + ", " + _POLL,
    ),
    _part(
        "comments", "comment.author_id", "id",
        _fields(
            "id", "post_id", "parent_id", "body_markdown", "language", "up", "down", "created_at",
            "edited_at", "deleted_at",
        ) + ", " + _former("body_markdown"),
    ),
    _part("votes", "vote.account_id", "target_id", _fields("target_id", "value", "cast_at")),
    _part(
        "poll_votes", "poll_vote.account_id", "post_id", _fields("post_id", "options", "cast_at")
    ),
    _part(
        "memberships", "membership.account_id", "community_id",
        _fields("community_id", "role", "joined_at"),
    ),
    _part(
        "invitations", "invitation.account_id", "community_id",
        _fields("community_id", "created_at", "declined_at"),
    ),
    _part(
        "join_requests", "join_request.account_id", "community_id",
        _fields("community_id", "message", "created_at", "refused_at"),
    ),
    _part(
        "questions", "answer.account_id", "id",
        _fields("id", "question", "language", "mode", "answer", "created_at"),
    ),
    _part(
        "answer_feedback", "answer_feedback.account_id", "answer_id",
        _fields("answer_id", "question", "verdict", "note", "created_at"),
    ),
    _part(
        "notifications", "notification.account_id", "id",
        _fields("id", "kind", "post_id", "comment_id", "created_at", "read_at"),
    ),
    _part(
        "drafts", "draft.account_id", "id",
        _fields(
            "id", "kind", "community_id", "post_id", "parent_id", "title", "body_markdown",
            "language", "tags", "created_at", "updated_at",
        ),
    ),
    _part("saves", "saved.account_id", "target_id", _fields("target_id", "saved_at")),
    _part(
        "followed_threads", "thread_follow.account_id", "post_id",
        _fields("post_id", "level", "since"),
    ),
    _part(
        "followed_communities", "community_follow.account_id", "community_id",
        _fields("community_id", "level", "since"),
    ),
    _part(
        "muted_members", "account_mute.account_id", "muted_id", _fields("muted_id", "muted_at")
    ),
    _part(
        "muted_communities", "community_mute.account_id", "community_id",
        _fields("community_id", "muted_at"),
    ),
    _part(
        "read_positions", "read_position.account_id", "post_id",
        _fields("post_id", "comment_id", "read_at"),
    ),
    _part(
        "timelines", "timeline.account_id", "id",
        _fields(
            "id", "visa_type", "consulate", "events", "status", "former", "created_at",
            "edited_at",
        ) + ", 'country', (select c.alpha2 from country c where c.id = t.country_id)",
    ),
    Part(
        "checklists", "checklist_progress.account_id",
        # A member has few hundred of them: sorted by a key of a page's type.
        "select k.key, jsonb_build_object('checklist', t.checklist_id, 'item', t.item_id,"
        " 'text', (select i ->> 'text' from checklist c, jsonb_array_elements(c.items) i"
        " where c.id = t.checklist_id and i ->> 'id' = t.item_id), 'done_at', t.done_at)::text"
        " as data from checklist_progress t"
        " cross join lateral (select md5(t.checklist_id || '/' || t.item_id)::uuid as key) k"
        " where t.account_id = $1 and k.key > $2 order by k.key limit $3",
    ),
    _part(
        "files", "media.owner_id", "id",
        _fields("id", "file_name", "content_type", "size_bytes", "state", "created_at"),
    ),
    _part(
        "sessions", "session.account_id", "id",
        _fields("id", "user_agent", "created_at", "expires_at", "ended_at", "ended_reason"),
    ),
)  # fmt: skip


class OwnFile(NamedTuple):
    id: UUID
    file_name: str
    hash: bytes


async def files(pool: Pool, account_id: UUID) -> AsyncIterator[OwnFile]:
    """Uploaded files that are ready, in the order of their ids."""
    after = _BEFORE_ALL
    while True:
        async with acquire(pool) as connection:
            rows = await connection.fetch(
                "select id, file_name, object_hash from media where owner_id = $1 and id > $2"
                " and object_hash is not null order by id limit $3",
                account_id,
                after,
                _PAGE,
            )
        if not rows:
            return
        for row in rows:
            yield OwnFile(*row)
        after = rows[-1]["id"]


async def pages(pool: Pool, part: Part, account_id: UUID) -> AsyncIterator[list[str]]:
    """The JSON texts of the rows, a connection for each page: others need one meanwhile."""
    after = _BEFORE_ALL
    while True:
        async with acquire(pool) as connection:
            rows = await connection.fetch(part.query, account_id, after, _PAGE)
        if not rows:
            return
        yield [row["data"] for row in rows]
        after = rows[-1]["key"]
