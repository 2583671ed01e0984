"""Asking for a translation, and reading what is there."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from actors.messages import AskTranslation, Caller, ReadTranslation, Reply, TargetKind
from actors.thread_edits import account_of
from actors.thread_reads import visible_post
from ai.prompts.delimited import has_name
from ai.translation import MAX_CHARACTERS
from config.errors import AppError
from config.language_tags import canonical_language
from storage import translations
from storage.content_locks import no_comment, no_post
from storage.identity import is_v7
from storage.postgres import Connection, Pool, in_transaction_at, wal_position
from storage.readable import require_comment, require_post
from storage.replicas import Readers
from storage.translations import State, TextToTranslate, TranslationRow

_encode: Final = msgspec.json.Encoder().encode


class Translation(msgspec.Struct, frozen=True):
    """`state` `pending`: `translation.ready` on the thread's channel says when it is made;
    `failed`: what the model wrote could not be shown. Texts are empty until it is ready; `title` is
    null for comments. `model` names the machine that made it."""

    kind: TargetKind
    id: UUID
    language: str
    source_language: str
    state: State
    model: str
    title: str | None
    body_markdown: str
    body_html: str


class Translations:
    def __init__(self, pool: Pool, readers: Readers, *, can_translate: bool) -> None:
        self._pool = pool
        self._readers = readers
        self._can_translate = can_translate

    async def read(self, request: ReadTranslation) -> Reply:
        """Of the text as it stands. Raises not_found where nobody has asked for it."""
        language = _target_language(request.language)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            text = await _readable(connection, request.caller, request.kind, request.target_id)
            row = await translations.read_translation(connection, text.id, language)
        if row is None or row.revision != text.revision:
            raise AppError("not_found", "Nobody has asked for this translation yet.")
        return Reply(200, _encode(_view(request.kind, text, row)), position)

    async def ask(self, request: AskTranslation) -> Reply:
        """What there is, or a pending one. Raises not_supported where the server's model does not
        translate, too_large, and invalid for a language that is none, or the text's own."""
        if not self._can_translate:
            raise AppError("not_supported", "No model of this server translates.")
        language = _target_language(request.language)
        account_id = account_of(request.caller.account_id)
        is_post = request.kind == "post"

        async def work(connection: Connection) -> tuple[TextToTranslate, TranslationRow]:
            require = require_post if is_post else require_comment
            await require(connection, account_id, request.target_id)
            text = await translations.read_text(connection, request.target_id, is_post)
            if text is None:
                raise _missing(request.kind)
            if text.language.partition("-")[0] == language.partition("-")[0]:
                raise _invalid("the text is in this language")
            if len(text.body_markdown) > MAX_CHARACTERS:
                limit = f"Texts of up to {MAX_CHARACTERS} characters are translated."
                raise AppError("too_large", limit)
            return text, await translations.ask(connection, text, language, account_id)

        (text, row), position = await in_transaction_at(self._pool, work)
        return Reply(200, _encode(_view(request.kind, text, row)), position)


async def _readable(
    connection: Connection, caller: Caller, kind: TargetKind, target_id: UUID
) -> TextToTranslate:
    found = None
    if is_v7(target_id):
        found = await translations.read_text(connection, target_id, kind == "post")
    if found is None:
        raise _missing(kind)
    missing = no_post if kind == "post" else no_comment
    post, _, _ = await visible_post(connection, caller, found.post_id, missing)
    if post.deleted:
        raise missing()
    return found


def _target_language(tag: str) -> str:
    language = canonical_language(tag)
    if not has_name(language):
        raise _invalid("no such language")
    return language


def _invalid(reason: str) -> AppError:
    return AppError("invalid", f"to: {reason}.", errors=(("to", reason),))


def _missing(kind: TargetKind) -> AppError:
    return no_post() if kind == "post" else no_comment()


def _view(kind: TargetKind, text: TextToTranslate, row: TranslationRow) -> Translation:
    ready = row.state == "ready"
    return Translation(
        kind, text.id, row.language, text.language, row.state, row.model,
        (row.title if ready else "") if kind == "post" else None,
        row.body_markdown if ready else "", row.body_html if ready else "",
    )  # fmt: skip
