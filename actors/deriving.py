"""The job 'derive': what is computed from texts that have changed, by rules alone.

Scores are for people to look at: nothing is hidden, removed or slowed down by them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from ai.language import UNDETERMINED
from ai.signals.scam import Score, score_scam
from ai.signals.spam import Writing, score_language, score_off_topic, score_spam
from storage.derive_jobs import DeriveJob
from storage.off_topic import Distance, read_distances
from storage.postgres import Connection, Pool, acquire, in_transaction
from storage.search.documents import comments_of
from storage.signals import Habit, Signal, TextToScore, read_habits, read_texts, write_signals
from storage.summaries import enqueue_due

SCORER: Final = 1
"""Version of the rules: another one where they change, so that old scores can be told."""
NOTED_FROM: Final = 0.3
"""Lower scores are not kept."""
_AT_ONCE: Final = 100
_FIRST: Final = UUID(int=0)

_decode: Final = msgspec.json.Decoder(DeriveJob).decode


class Deriver:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self, payload: bytes) -> None:
        """Idempotent. Raises msgspec.DecodeError, AppError."""
        job = _decode(payload)
        for posts, comments in _parts([*job.posts, *job.threads], job.comments):
            await self._derive(posts, comments)
        for thread in job.threads:
            await self._derive_comments(thread)

    async def _derive_comments(self, post_id: UUID) -> None:
        after = _FIRST
        while True:
            async with acquire(self._pool) as connection:
                ids = await comments_of(connection, post_id, after, _AT_ONCE)
            if not ids:
                return
            await self._derive([], ids)
            after = ids[-1]

    async def _derive(self, posts: Sequence[UUID], comments: Sequence[UUID]) -> None:
        async with acquire(self._pool) as connection:
            texts = await read_texts(connection, posts, comments)
            wanted = {_habit_key(text) for text in texts if _may_be_foreign(text)}
            habits = await read_habits(connection, sorted(wanted)) if wanted else {}
            distances = await _distances(connection, posts)
        # A text that was made for it takes the patterns a tenth of a second.
        signals = await asyncio.to_thread(_signals, texts, habits, distances)
        noted = [signal for signal in signals if _worst(signal) >= NOTED_FROM]
        settled = {*posts, *comments} - {signal.target_id for signal in noted}

        async def write(connection: Connection) -> None:
            await write_signals(connection, noted, sorted(settled))
            await enqueue_due(connection, posts, comments)

        await in_transaction(self._pool, write)


async def _distances(connection: Connection, posts: Sequence[UUID]) -> dict[UUID, Distance]:
    try:
        return await read_distances(connection, posts) if posts else {}
    except asyncpg.UndefinedTableError:
        return {}  # another generation took its place; what it embeds is looked at then


def _parts(posts: Sequence[UUID], comments: Sequence[UUID]) -> list[tuple[list[UUID], list[UUID]]]:
    posts, comments = sorted(set(posts)), sorted(set(comments))
    return [
        (posts[at : at + _AT_ONCE], comments[at : at + _AT_ONCE])
        for at in range(0, max(len(posts), len(comments)), _AT_ONCE)
    ]


def _primary(language: str) -> str:
    return language.partition("-")[0]


def _habit_key(text: TextToScore) -> tuple[UUID, str]:
    return text.community_id, _primary(text.language)


def _may_be_foreign(text: TextToScore) -> bool:
    """Whoever answers in the language of the post writes as is usual there."""
    if text.language == UNDETERMINED:
        return False
    return text.is_post or _primary(text.language) != _primary(text.thread_language)


def _signals(
    texts: Sequence[TextToScore],
    habits: Mapping[tuple[UUID, str], Habit],
    distances: Mapping[UUID, Distance],
) -> list[Signal]:
    return [_signal(text, habits.get(_habit_key(text)), distances.get(text.id)) for text in texts]


def _signal(text: TextToScore, habit: Habit | None, distance: Distance | None) -> Signal:
    scam = score_scam(text.text)
    spam = score_spam(Writing(text.text, text.author_age_hours, text.copies))
    language = Score(0.0, ())
    if habit is not None and _may_be_foreign(text):
        own = int(text.is_post)  # a post is one of those that it is compared with
        language = score_language(max(0, habit.same - own), habit.known - own)
    off_topic = Score(0.0, ()) if distance is None else score_off_topic(*distance)
    return Signal(
        text.id, text.is_post, text.post_id, text.community_id, text.revision, SCORER,
        scam.value, spam.value, language.value, off_topic.value,
        (*scam.reasons, *spam.reasons, *language.reasons, *off_topic.reasons),
    )  # fmt: skip


def _worst(signal: Signal) -> float:
    return max(signal.scam, signal.spam, signal.language, signal.off_topic)
