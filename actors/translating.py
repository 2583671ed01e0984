"""The job 'translate': a post or comment in another language, where the configured model can."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import msgspec
from prometheus_client import Counter

from actors import content
from actors.job_tools import PublishEphemeral
from actors.markdown import render
from actors.shard_messages import Ephemeral
from actors.writing import Writer, write_whole
from ai.chunking import size
from ai.prompts import translation as prompt
from ai.translation import is_faithful, spans
from config.errors import AppError
from storage import translations
from storage.jobs import attempt
from storage.postgres import Connection, Pool, acquire, in_transaction
from storage.translations import TextToTranslate, Translated, TranslateJob

_log = logging.getLogger(__name__)

_TRIES: Final = 3
_DEADLINE_SECONDS: Final = 120.0
_LEAST_TOKENS: Final = 64
# What has failed so often, by the deadline or by our fault, the member is told.
_MOST_ATTEMPTS: Final = 3
_COUNTED: Final = frozenset({"overloaded", "internal"})
# A full queue passes; a budget that is used up until midnight is not waited for.
_LONGEST_WAIT_SECONDS: Final = 60.0
_MAX_TITLE_CHARACTERS: Final = 300

_made = Counter("serai_translations_total", "Translations: ready or failed", ["state"])
_decode: Final = msgspec.json.Decoder(TranslateJob).decode


class Translator:
    """Without a `writer` no job is done: each waits for one."""

    def __init__(
        self,
        pool: Pool,
        publish: PublishEphemeral,
        writer: Writer | None,
    ) -> None:
        self._pool = pool
        self._publish = publish
        self._writer = writer

    async def run(self, payload: bytes) -> None:
        """Idempotent: what is settled stays. Raises msgspec.DecodeError; AppError `unavailable`
        while the model is away or its queue is full, `overloaded` or `internal` where it may be
        tried again, and where the text changes faster."""
        job = _decode(payload)
        for _ in range(_TRIES):
            async with acquire(self._pool) as connection:
                row = await translations.read_translation(connection, job.target_id, job.language)
                if row is None or row.state != "pending":
                    return
                text = await translations.read_text(connection, job.target_id, job.is_post)
                if text is None:
                    await translations.forget(connection, job.target_id, job.language)
                    return
            result = await self._translated(text, job)

            async def settle(
                connection: Connection,
                text: TextToTranslate = text,
                result: Translated = result,
            ) -> bool:
                return await translations.settle(connection, text, job.language, result)

            if await in_transaction(self._pool, settle):
                _made.labels(result.state).inc()
                self._tell(text, job, result)
                return
        raise AppError("overloaded", "A text changes faster than it is translated.")

    def _tell(self, text: TextToTranslate, job: TranslateJob, result: Translated) -> None:
        fields: dict[str, object] = {
            "kind": "post" if job.is_post else "comment",
            "id": text.id,
            "language": job.language,
            "state": result.state,
        }
        data = content.ephemeral("translation.ready", time.time_ns(), fields)
        key = f"translation:{text.id}:{job.language}"
        self._publish([Ephemeral(f"thread:{text.post_id}", key, data)])

    async def _translated(self, text: TextToTranslate, job: TranslateJob) -> Translated:
        if self._writer is None:
            raise AppError("unavailable", "There is no model that translates.")
        failed = Translated("failed", self._writer.model)
        try:
            source_title, title = await self._text(self._writer, text.title, job)
            source_body, body = await self._text(self._writer, text.body_markdown, job)
        except AppError as error:
            if error.code == "unavailable":
                raise
            if error.code == "rate_limited" and _passes(error):
                seconds = error.retry_after_seconds
                raise AppError("unavailable", error.detail, retry_after_seconds=seconds) from error
            if error.code in _COUNTED and attempt.get() < _MOST_ATTEMPTS:
                raise
            _log.info("no translation of %s: %s", text.id, error)
            return failed
        title = " ".join(title.split())
        if len(title) > _MAX_TITLE_CHARACTERS or not is_faithful(
            f"{source_title}\n{source_body}", f"{title}\n{body}", job.language
        ):
            return failed
        html = await asyncio.to_thread(render, body)
        return Translated("ready", self._writer.model, title, body, html)

    async def _text(self, writer: Writer, markdown: str, job: TranslateJob) -> tuple[str, str]:
        """What was translated, which is sanitised, and its translation."""
        found = list(spans(markdown))
        written = [
            await self._piece(writer, piece, job) if translates else piece
            for piece, translates in found
        ]
        return "".join(piece for piece, _ in found), "".join(written)

    async def _piece(self, writer: Writer, piece: str, job: TranslateJob) -> str:
        """With the white space around it."""
        bare = piece.strip()
        generation = prompt.generation(
            bare, job.language, max_tokens=_LEAST_TOKENS + size(bare),
            deadline_seconds=_DEADLINE_SECONDS,
        )  # fmt: skip
        written = await write_whole(writer, generation, job.account_id)
        return piece.replace(bare, written.strip(), 1)


def _passes(refusal: AppError) -> bool:
    seconds = refusal.retry_after_seconds
    return seconds is not None and seconds <= _LONGEST_WAIT_SECONDS
