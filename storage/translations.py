"""The table translation: what members have asked for, of the revision that stands.

A translation goes with the text that it is of (migrations/0028_derived.sql); the job that writes
one holds the text, so that none comes back.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from storage.identity import country_of
from storage.jobs import enqueue
from storage.postgres import Connection

ENTRYPOINT: Final = "translate"
State = Literal["pending", "ready", "failed"]


class TranslateJob(msgspec.Struct, frozen=True):
    """`account_id`: who asked first, and pays for it."""

    target_id: UUID
    is_post: bool
    language: str
    account_id: UUID


class TextToTranslate(NamedTuple):
    """A post or comment that stands; a comment's `title` is empty."""

    id: UUID
    post_id: UUID
    title: str
    body_markdown: str
    language: str
    revision: int


class TranslationRow(msgspec.Struct, frozen=True):
    target_id: UUID
    language: str
    revision: int
    state: State
    model: str
    title: str
    body_markdown: str
    body_html: str


_POST: Final = """
    select id, id as post_id, title, body_markdown, language, revision from post
     where country_id = $1 and id = $2 and deleted_at is null"""
_COMMENT: Final = """
    select id, post_id, '' as title, body_markdown, language, revision from comment
     where country_id = $1 and id = $2 and deleted_at is null"""


async def read_text(
    connection: Connection, target_id: UUID, is_post: bool
) -> TextToTranslate | None:
    statement = _POST if is_post else _COMMENT
    row = await connection.fetchrow(statement, country_of(target_id), target_id)
    return None if row is None else TextToTranslate(*row)


_READ: Final = f"""
    select {", ".join(TranslationRow.__struct_fields__)} from translation
     where target_id = $1 and language = $2"""


async def read_translation(
    connection: Connection, target_id: UUID, language: str
) -> TranslationRow | None:
    row = await connection.fetchrow(_READ, target_id, language)
    return None if row is None else TranslationRow(*row)


_ASK: Final = """
    insert into translation as t (target_id, language, revision, state)
    values ($1, $2, $3, 'pending')
    on conflict (target_id, language) do update
       set state = 'pending', revision = excluded.revision, asked_at = clock_timestamp(),
           title = '', body_markdown = '', body_html = ''
     where t.state = 'failed' or t.revision <> excluded.revision"""


async def ask(
    connection: Connection, text: TextToTranslate, language: str, account_id: UUID
) -> TranslationRow:
    """In the caller's transaction: what there is, or a pending one with its job. One that failed is
    tried again."""
    await connection.execute(_ASK, text.id, language, text.revision)
    row = await connection.fetchrow(_READ, text.id, language)
    if row is None:  # removed at this moment
        return TranslationRow(text.id, language, text.revision, "failed", "", "", "", "")
    found = TranslationRow(*row)
    if found.state == "pending":
        is_post = text.id == text.post_id
        await enqueue(
            connection,
            ENTRYPOINT,
            TranslateJob(text.id, is_post, language, account_id),
            dedupe_key=f"{ENTRYPOINT}:{text.id}:{language}",
        )
    return found


class Translated(NamedTuple):
    """`state` is 'ready' or 'failed'."""

    state: State
    model: str
    title: str = ""
    body_markdown: str = ""
    body_html: str = ""


_SETTLE: Final = """
    update translation set state = $4, revision = $3, model = $5, title = $6, body_markdown = $7,
           body_html = $8
     where target_id = $1 and language = $2 and state = 'pending'"""


async def settle(
    connection: Connection, text: TextToTranslate, language: str, result: Translated
) -> bool:
    """In the caller's transaction. False: the text has changed meanwhile."""
    statement = (_POST if text.id == text.post_id else _COMMENT) + " for share"
    row = await connection.fetchrow(statement, country_of(text.id), text.id)
    if row is None or row["revision"] != text.revision:
        return False
    await connection.execute(_SETTLE, text.id, language, text.revision, *result)
    return True


async def forget(connection: Connection, target_id: UUID, language: str) -> None:
    await connection.execute(
        "delete from translation where target_id = $1 and language = $2", target_id, language
    )
