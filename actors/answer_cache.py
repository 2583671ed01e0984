"""Answers that were given, by everything that they hang on.

The key holds the question in its cache form, country, visa type, languages, the model and who may
read what; that the cited texts stand as they were is looked up with each hit (storage/answers.py).
Nothing is keyed by nearness of meaning: opposites are near (FIELD_NOTES). Without a database there
is no cache, and answers come all the same.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from actors.assistant_messages import AskQuestion
from actors.assistant_metrics import CACHE
from ai.question import cache_form
from config.assistant import Assistant as AssistantSettings
from config.errors import AppError
from storage import answers
from storage.answers import KeptAnswer, NewAnswer
from storage.postgres import Connection, Pool, acquire, in_transaction

_log = logging.getLogger(__name__)

VERSION: Final = 2
"""Of how answers are made: another one finds no answers of the former."""


class AnswerCache:
    def __init__(self, pool: Pool, settings: AssistantSettings, model: str) -> None:
        """`model` names what generates, empty where nothing does."""
        self._pool = pool
        self._settings = settings
        self._model = model

    async def find(self, request: AskQuestion, asked_in: str) -> tuple[bytes, KeptAnswer | None]:
        """The key, and the answer under it that the caller may see. `asked_in`: the language of the
        question."""
        account_id = request.caller.account_id
        settings = self._settings
        try:
            async with acquire(self._pool) as connection:
                of_member = account_id is not None and await answers.reads_otherwise_than_guests(
                    connection, account_id
                )
                key = self._key(request, asked_in, account_id if of_member else None)
                found = await answers.find(
                    connection,
                    key,
                    account_id,
                    seconds=settings.cache_seconds,
                    not_found_seconds=settings.not_found_seconds,
                )
        except AppError:
            CACHE.labels("away").inc()
            return self._key(request, asked_in, account_id), None
        CACHE.labels("miss" if found is None else "hit").inc()
        return key, found

    def _key(self, request: AskQuestion, asked_in: str, scope: UUID | None) -> bytes:
        parts = (
            VERSION, cache_form(request.question), request.country, request.visa_type,
            request.language, asked_in, self._model, scope,
        )  # fmt: skip
        return hashlib.sha256(msgspec.json.encode(parts)).digest()

    async def keep(self, new: NewAnswer) -> bool:
        """False: what it cites has changed since. Where the database is away the answer stays
        unkept, and nobody can give feedback on it."""

        async def work(connection: Connection) -> bool:
            return await answers.keep(connection, new)

        try:
            return await in_transaction(self._pool, work)
        except AppError as error:
            _log.warning("an answer is not kept: %s", error.code)
            return True


def cited(ids: Sequence[answers.CitedSource]) -> Sequence[answers.CitedSource]:
    """Each once: two passages may be of one text."""
    return list({each.id: each for each in ids}.values())
