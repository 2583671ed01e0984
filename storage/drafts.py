"""The draft table: texts that a member has begun, on whichever device.

A change names the revision that it was made from: of two devices that go on from the same one, the
second is refused and sees what the first has written. Drafts are content: they go with the account.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from config.errors import AppError
from storage.idempotency import first_of_key
from storage.postgres import Connection

MAX_DRAFTS: Final = 100
EXCERPT_CHARACTERS: Final = 200

DraftKind = Literal["post", "edit", "comment"]
Place = tuple[datetime, UUID]


class DraftText(msgspec.Struct, frozen=True):
    """What a change replaces. `community_id`: where a new post shall go, if that is known."""

    community_id: UUID | None
    title: str
    body_markdown: str
    language: str | None
    tags: tuple[str, ...]


class DraftTarget(msgspec.Struct, frozen=True):
    """What it is a draft of. `post_id`: of an edit or a comment; `parent_id`: the comment that a
    comment answers."""

    kind: DraftKind
    post_id: UUID | None
    parent_id: UUID | None


class Draft(msgspec.Struct, frozen=True):
    id: UUID
    kind: DraftKind
    community_id: UUID | None
    post_id: UUID | None
    parent_id: UUID | None
    title: str
    body_markdown: str
    language: str | None
    tags: list[str]
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def text(self) -> DraftText:
        return DraftText(
            self.community_id, self.title, self.body_markdown, self.language, tuple(self.tags)
        )


def no_draft() -> AppError:
    return AppError("not_found", "There is no such draft.")


_COLUMNS: Final = ", ".join(Draft.__struct_fields__)
_CREATE: Final = f"""
    insert into draft (account_id, id, kind, community_id, post_id, parent_id, title, body_markdown,
                       language, tags)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning {_COLUMNS}"""
_REPLACE: Final = f"""
    update draft set community_id = $4, title = $5, body_markdown = $6, language = $7, tags = $8,
           revision = revision + 1, updated_at = clock_timestamp()
     where account_id = $1 and id = $2 and revision = $3 returning {_COLUMNS}"""


async def create(
    connection: Connection,
    account_id: UUID,
    id: UUID,
    target: DraftTarget,
    text: DraftText,
    key: str | None,
    hash: bytes,
) -> Draft:
    """Once a key: a repetition answers the draft as it is now. The caller's transaction must be
    open and hold the account's lock, which keeps the number exact.

    Raises AppError `conflict` for a known key with another body and above MAX_DRAFTS, `not_found`
    where the draft of a known key was deleted.
    """
    first = None
    if key is not None:
        first = await first_of_key(connection, account_id, id, key, hash)
    if first is not None:
        return await read(connection, account_id, first)
    count = await connection.fetchval(
        "select count(*) from draft where account_id = $1", account_id
    )
    if count >= MAX_DRAFTS:
        raise AppError("conflict", f"A member has {MAX_DRAFTS} drafts at most: delete one first.")
    row = await connection.fetchrow(
        _CREATE, account_id, id, target.kind, text.community_id, target.post_id, target.parent_id,
        text.title, text.body_markdown, text.language, list(text.tags),
    )  # fmt: skip
    assert row is not None
    return _draft(row)


async def replace(
    connection: Connection, account_id: UUID, id: UUID, revision: int, text: DraftText
) -> Draft:
    """The next revision. A text that stands already is no change, so that a change may be sent
    again. Raises AppError `conflict` when `revision` is not the newest, `not_found`."""
    row = await connection.fetchrow(
        _REPLACE, account_id, id, revision, text.community_id, text.title, text.body_markdown,
        text.language, list(text.tags),
    )  # fmt: skip
    if row is not None:
        return _draft(row)
    draft = await read(connection, account_id, id)
    if draft.text == text:
        return draft
    raise AppError(
        "conflict",
        "The draft was changed meanwhile, on another device.",
        errors=(("revision", f"is {draft.revision} now"),),
    )


async def read(connection: Connection, account_id: UUID, id: UUID) -> Draft:
    """Raises AppError `not_found`."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from draft where account_id = $1 and id = $2", account_id, id
    )
    if row is None:
        raise no_draft()
    return _draft(row)


async def delete(connection: Connection, account_id: UUID, id: UUID) -> None:
    """Also what is not there."""
    await connection.execute("delete from draft where account_id = $1 and id = $2", account_id, id)


# An account has MAX_DRAFTS rows at most: they are sorted as they are. Of the text its beginning.
_LIST: Final = f"""
    select {_COLUMNS.replace("body_markdown", f"left(body_markdown, {EXCERPT_CHARACTERS})")}
      from draft
     where account_id = $1 and ($2::uuid is null or post_id = $2)
       and ($3::timestamptz is null or (updated_at, id) < ($3, $4::uuid))
     order by updated_at desc, id desc limit $5"""


async def list_drafts(
    connection: Connection, account_id: UUID, post_id: UUID | None, before: Place | None, limit: int
) -> list[Draft]:
    """Those changed last come first; `body_markdown` holds the beginning alone. `post_id`: only
    drafts of edits of this post and of comments in its thread."""
    rows = await connection.fetch(_LIST, account_id, post_id, *(before or (None, None)), limit)
    return [Draft(*row.values()) for row in rows]


def _draft(row: asyncpg.Record) -> Draft:
    return Draft(*row.values())
