"""The job 'summarise': what a thread says, in a few sentences.

comments ─▶ plain sentences ─▶ vectors ─▶ central ones, not alike ─▶ extractive
            └─▶ a model that is trusted, each sentence verified against what it cites ─▶ generated
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from prometheus_client import Counter

from actors import content
from actors.embedding import ServingModel
from actors.job_tools import PublishEphemeral
from actors.shard_messages import Ephemeral
from actors.writing import Writer, write_whole
from ai import vocabulary
from ai.language import UNDETERMINED
from ai.prompts import summary as prompt
from ai.sanitising import addresses_the_assistant, plain
from ai.sentences import of_document, split
from ai.signals.scam import score_scam
from ai.summaries import Candidate, choose, count_for, is_candidate
from ai.verification import Asked, Statement, verify
from config.errors import AppError
from storage.postgres import Connection, Pool, acquire, in_transaction
from storage.summaries import (
    GrownThread,
    Mode,
    SourceText,
    SummariseJob,
    SummarySentence,
    read_grown,
    write_summary,
)

_log = logging.getLogger(__name__)


_TRIES: Final = 3
_SENTENCES_OF_A_COMMENT: Final = 4
# A second or so of the embedding model each; the best comments come first.
_MAX_CANDIDATES: Final = 100
_SCAM: Final = 0.5
_MIN_GENERATED: Final = 2
_MAX_TOKENS: Final = 320
_DEADLINE_SECONDS: Final = 120.0
_CITED: Final = re.compile(r"\s*\[\d{1,3}(?:\s*,\s*\d{1,3})*\]")

_made = Counter("serai_summaries_total", "Summaries of threads: how they were made", ["mode"])
_decode: Final = msgspec.json.Decoder(SummariseJob).decode


class _Made(NamedTuple):
    mode: Mode
    model: str
    sentences: list[SummarySentence]


class _Usable(NamedTuple):
    """A comment whose words may stand for the thread, and its text without markup."""

    comment: SourceText
    text: str


class Summariser:
    def __init__(
        self,
        pool: Pool,
        model: ServingModel,
        publish: PublishEphemeral,
        writer: Writer | None = None,
    ) -> None:
        self._pool = pool
        self._model = model
        self._publish = publish
        self._writer = writer

    async def run(self, payload: bytes) -> None:
        """Idempotent: a thread that has one that is new enough is left alone. Raises
        msgspec.DecodeError; AppError `unavailable` where the embedding model or the database is
        away, `overloaded` where the texts change faster than they are read."""
        post_id = _decode(payload).post_id
        for _ in range(_TRIES):
            async with acquire(self._pool) as connection:
                thread = await read_grown(connection, post_id)
            if thread is None:
                return
            language = _language_of(thread)
            made = await self._make(thread, language)
            if not made.sentences:
                return

            async def write(
                connection: Connection,
                thread: GrownThread = thread,
                made: _Made = made,
                language: str = language,
            ) -> bool:
                return await write_summary(
                    connection, thread, made.mode, made.model, language, made.sentences
                )

            if await in_transaction(self._pool, write):
                _made.labels(made.mode).inc()
                self._tell(thread)
                return
        raise AppError("overloaded", "A thread changes faster than it is summed up.")

    def _tell(self, thread: GrownThread) -> None:
        fields: dict[str, object] = {
            "post_id": thread.post_id,
            "comment_count": thread.comment_count,
        }
        data = content.ephemeral("summary.ready", time.time_ns(), fields)
        channel = f"thread:{thread.post_id}"
        self._publish([Ephemeral(channel, f"summary:{thread.post_id}", data)])

    async def _make(self, thread: GrownThread, language: str) -> _Made:
        usable = _usable(thread, language)
        count = count_for(thread.comment_count)
        if self._writer is not None and self._writer.trusted:
            sentences = await self._generated(self._writer, thread, language, usable, count)
            if len(sentences) >= _MIN_GENERATED:
                return _Made("generated", self._writer.model, sentences)
        return await self._extracted(usable, count)

    async def _extracted(self, usable: Sequence[_Usable], count: int) -> _Made:
        candidates = _candidates(usable)
        if not candidates:
            return _Made("extractive", "", [])
        import numpy as np

        name, vectors = await self._model.passages([each.text for each in candidates])
        sentences = [
            SummarySentence(candidates[n].text, [usable[candidates[n].source].comment.id])
            for n in choose(candidates, np.stack(vectors), count)
        ]
        return _Made("extractive", name, sentences)

    async def _generated(
        self,
        writer: Writer,
        thread: GrownThread,
        language: str,
        usable: Sequence[_Usable],
        count: int,
    ) -> list[SummarySentence]:
        """Those sentences that say what their comments say; none where the model is away."""
        best = sorted(usable, key=lambda each: -_weight(each.comment))[: prompt.MAX_COMMENTS]
        best.sort(key=lambda each: each.comment.id)
        # One that speaks to models says nothing to them; readers have it before their eyes anyway.
        title = "" if addresses_the_assistant(thread.title) else thread.title
        generation = prompt.generation(
            title, language, [each.text for each in best], count,
            max_tokens=_MAX_TOKENS, deadline_seconds=_DEADLINE_SECONDS,
        )  # fmt: skip
        try:
            text = await write_whole(writer, generation, None)
        except AppError as error:
            _log.warning("no generated summary of %s: %s", thread.post_id, error)
            return []
        return _verified(text, language, title, content.alpha2(thread.country_id), best)[:count]


def _verified(
    text: str, language: str, title: str, country: str | None, comments: Sequence[_Usable]
) -> list[SummarySentence]:
    sources = {
        number: Statement(
            each.text[: prompt.MAX_COMMENT_CHARACTERS], title, each.comment.language, country
        )
        for number, each in enumerate(comments, 1)
    }
    texts = [f"{each.title}\n{each.text}" for each in sources.values()]
    # Whatever the comments are about is what the summary may be about.
    asked = Asked(
        frozenset().union(*(vocabulary.topics(each, language).names for each in texts)),
        tuple({word for each in texts for word in vocabulary.tokens(each)}),
    )
    found: list[SummarySentence] = []
    for line in text.splitlines():
        for sentence in split(line):
            verdict = verify(sentence, language, sources, asked)
            if verdict.reason is None:
                ids = [comments[number - 1].comment.id for number in verdict.citations]
                found.append(SummarySentence(_CITED.sub("", sentence).strip(), ids))
    return found


def _language_of(thread: GrownThread) -> str:
    """That of most comments; where none stands out, the post's."""
    votes: dict[str, int] = {}
    for comment in thread.comments:
        primary = comment.language.partition("-")[0]
        if primary != UNDETERMINED:
            votes[primary] = votes.get(primary, 0) + 1
    own = thread.language.partition("-")[0]
    best = max(votes, key=lambda language: (votes[language], language == own), default=own)
    return best if best != own and 2 * votes.get(best, 0) > len(thread.comments) else own


def _usable(thread: GrownThread, language: str) -> list[_Usable]:
    """What readers have turned down, what looks like a scam, and what speaks to machines instead
    of people is left out; so are other languages where enough is left."""
    found = [
        _Usable(comment, text)
        for comment in thread.comments
        if comment.up >= comment.down
        and (text := plain(comment.body_markdown))
        and not addresses_the_assistant(text)
        and score_scam(text).value < _SCAM
    ]
    own = [
        each
        for each in found
        if each.comment.language.partition("-")[0] in (language, UNDETERMINED)
    ]
    return own if 2 * len(own) >= len(found) else found


def _candidates(usable: Sequence[_Usable]) -> list[Candidate]:
    by_weight = sorted(range(len(usable)), key=lambda n: -_weight(usable[n].comment))
    found: list[Candidate] = []
    for source in by_weight:
        each = usable[source]
        sentences = [s.text for s in of_document(each.text) if is_candidate(s.text)]
        found += (
            Candidate(sentence, source, _weight(each.comment))
            for sentence in sentences[:_SENTENCES_OF_A_COMMENT]
        )
        if len(found) >= _MAX_CANDIDATES:
            break
    found = found[:_MAX_CANDIDATES]
    found.sort(key=lambda candidate: candidate.source)  # stable: in the order of the thread
    return found


def _weight(comment: SourceText) -> float:
    """1 for a comment without votes, 2 at most; the accepted answer has that anyway."""
    if comment.accepted:
        return 2.0
    return 1.0 + min(1.0, max(0, comment.up - comment.down) / 20.0)
