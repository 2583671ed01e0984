"""The Assistant actor: a question to an answer that its sources support.

    language ─▶ cache ─▶ retrieval ─▶ evidence gate ──nothing──▶ "I could not find this"
                                          │
                      sources ◀───────────┤
                                          ├─ trusted model ─▶ prompt ─▶ sentences, each verified
                       tokens ◀───────────│──────────────────────┘        │ one fails, or none comes
                       answer ◀───────────┴─ the sources' own words ◀─────┘

It runs at the permissions of who asks: retrieval finds what they may read. Nothing that a model
wrote is shown before it is verified, so what hostile posts make it say is never seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from actors import answer_text
from actors.answer_cache import AnswerCache, cited
from actors.answer_writer import AnswerWriter, CitedPassage, Generated
from actors.assistant_messages import (
    AnswerEvent,
    AnswerMode,
    AnswerSource,
    AskQuestion,
    EventName,
    FinalAnswer,
    GiveFeedback,
)
from actors.assistant_metrics import (
    ANSWERS,
    FEEDBACK,
    RETRIEVAL_SECONDS,
    RUNNING,
    SECONDS,
)
from actors.llm_messages import GUESTS
from actors.messages import Failure, Outcome, Reply
from actors.retrieval_messages import Passage, RetrievalQuery
from actors.writing import Writer
from ai import language as languages
from ai.answering import NOTHING, Choice, Source, choose
from ai.notices import FALLBACK, text_of
from ai.question import Question, parse
from config.assistant import Assistant as AssistantSettings
from config.errors import AppError
from config.reference import countries_by_alpha2
from storage import answers
from storage.answers import CitedSource, NewAnswer
from storage.identity import country_of, new_id
from storage.postgres import Pool, acquire

Retrieve = Callable[[RetrievalQuery], Awaitable[Sequence[Passage]]]

# What was cited may change while it is answered; the second time the answer begins anew.
_ATTEMPTS: Final = 3
_BUSY_SECONDS: Final = 2.0
_encode: Final = msgspec.json.Encoder().encode


class _Evidence(NamedTuple):
    passages: Sequence[Passage]
    choice: Choice
    sources: list[AnswerSource]

    def used(self) -> list[Passage]:
        """In the order of the sources."""
        return [self.passages[each.place] for each in self.choice.evidence]

    def cited(self) -> list[CitedPassage]:
        return [
            CitedPassage(
                each.title,
                each.text,
                passage.language,
                passage.country,
                passage.authority == "official",
                passage.as_of,
            )
            for each, passage in zip(self.choice.evidence, self.used(), strict=True)
        ]


class Assistant:
    def __init__(
        self,
        pool: Pool,
        retrieve: Retrieve,
        model: Writer,
        settings: AssistantSettings,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._pool = pool
        self._retrieve = retrieve
        self._model = model
        self._settings = settings
        self._today = today
        self._writer = AnswerWriter(model, settings)
        self._cache = AnswerCache(pool, settings, model.model if model.trusted else "")
        self._running = 0

    async def ask(self, request: AskQuestion) -> AsyncGenerator[AnswerEvent, None]:
        """Events in the order of actors/assistant_messages.py. Closing it, or cancelling who waits
        for it, ends the generation. Raises AppError: `overloaded` where too many ask, `unavailable`
        where nothing can be looked up."""
        if self._running >= self._settings.max_running:
            raise AppError(
                "overloaded", "Too many questions at once.", retry_after_seconds=_BUSY_SECONDS
            )
        self._running += 1
        RUNNING.inc()
        started = time.monotonic()
        outcome = "left"
        try:
            async with aclosing(self._answer(request, started)) as events:
                async for event, mode in events:
                    if mode is not None:
                        outcome = mode
                    yield event
        except AppError:
            outcome = "failed"
            raise
        finally:
            self._running -= 1
            RUNNING.dec()
            ANSWERS.labels(outcome).inc()
            SECONDS.labels(outcome).observe(time.monotonic() - started)

    async def _answer(
        self, request: AskQuestion, started: float
    ) -> AsyncGenerator[tuple[AnswerEvent, AnswerMode | None], None]:
        detected = await asyncio.to_thread(languages.detect, request.question)
        known = detected != languages.UNDETERMINED
        language = request.language or (detected if known else FALLBACK)
        asked_in = detected if known else request.language or languages.UNDETERMINED
        key, kept = await self._cache.find(request, asked_in)
        if kept is not None:
            yield _event("sources", kept.sources), None
            yield _event("answer", kept.answer), kept.mode
            return
        question = parse(request.question, asked_in, request.country, request.visa_type)
        changed: set[UUID] = set()
        for _ in range(_ATTEMPTS):
            evidence = await self._evidence(request, question, changed)
            shown = _encode(evidence.sources)
            yield _event("sources", shown), None
            generated = Generated("", (), False)
            if evidence.sources and self._model.trusted:
                payer = request.caller.account_id or GUESTS
                writing = self._writer.write(question, language, evidence.cited(), payer, started)
                async with aclosing(writing) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Generated):
                            generated = piece
                        else:
                            yield _event("token", _encode(piece)), None
            answer = _final(question, language, evidence, generated)
            body = _encode(answer)
            # Whoever asks next may find the model there, and a budget that is not used up.
            found_by = b"" if generated.away else key
            if await self._cache.keep(_kept(request, found_by, evidence, answer, shown, body)):
                yield _event("answer", body), answer.mode
                return
            changed.update(passage.id for passage in evidence.used())
        raise AppError(
            "unavailable", "The sources change while they are read.", retry_after_seconds=1.0
        )

    # ------------------------------------------------------------ evidence

    async def _evidence(
        self, request: AskQuestion, question: Question, changed: set[UUID]
    ) -> _Evidence:
        if not (question.topics or question.rest):
            return _Evidence((), NOTHING, [])
        with RETRIEVAL_SECONDS.time():
            found = await self._passages(request, question)
        passages = [passage for passage in found if passage.id not in changed]
        sources = [_source(passage) for passage in passages]
        choice = await asyncio.to_thread(choose, question, sources, self._today())
        return _Evidence(passages, choice, answer_text.shown_sources(choice, passages))

    async def _passages(self, request: AskQuestion, question: Question) -> list[Passage]:
        """Of each country that the question is about; of all where it names none."""
        wanted: list[str | None] = [*sorted(question.countries)[: answer_text.MOST_COUNTRIES]]
        try:
            async with asyncio.timeout(self._settings.retrieval_seconds):
                found = await asyncio.gather(
                    *(self._look_up(request, question, country) for country in wanted or [None])
                )
                return [passage for passages in found for passage in passages]
        except TimeoutError:
            raise AppError(
                "unavailable", "The search does not answer.", retry_after_seconds=_BUSY_SECONDS
            ) from None

    async def _look_up(
        self, request: AskQuestion, question: Question, country: str | None
    ) -> Sequence[Passage]:
        # A visa that the question names is one of its country alone.
        codes = {code for of, code in question.visa_codes if country in (None, of)}
        visa_type = request.visa_type or (codes.pop() if len(codes) == 1 else None)
        return await self._retrieve(
            RetrievalQuery(
                question.text,
                country,
                visa_type,
                question.language,
                request.caller.account_id,
                self._settings.passages,
            )
        )

    # ------------------------------------------------------------ feedback

    async def handle_batch(self, requests: Sequence[GiveFeedback]) -> list[Outcome]:
        return [await self._feedback(request) for request in requests]

    async def _feedback(self, request: GiveFeedback) -> Outcome:
        account_id = request.caller.account_id
        if account_id is None:
            return Failure("unauthenticated", "Log in to give feedback.")
        try:
            async with acquire(self._pool) as connection:
                known = await answers.give_feedback(
                    connection, account_id, request.answer_id, request.verdict, request.note
                )
        except AppError as error:
            return Failure.of(error)
        if not known:
            return Failure("not_found", "There is no such answer, or not any more.")
        FEEDBACK.labels(request.verdict).inc()
        return Reply(204)


def _source(passage: Passage) -> Source:
    return Source(
        passage.kind,
        passage.title,
        passage.text,
        passage.country,
        passage.visa_type,
        passage.language,
        passage.authority == "official",
        passage.as_of,
        passage.stale,
        passage.created_at.date(),
    )


def _final(
    question: Question, language: str, evidence: _Evidence, generated: Generated
) -> FinalAnswer:
    mode: AnswerMode
    if generated.markdown:
        mode, markdown, citations = "generated", generated.markdown, generated.citations
    elif evidence.sources:
        mode, markdown = "extractive", answer_text.extractive(evidence.choice, language)
        citations = tuple(source.n for source in evidence.sources)
    else:
        mode, markdown, citations = "not_found", text_of("not_found", language), ()
    country = next(iter(sorted(question.countries)), None)
    return answer_text.final(
        mode,
        markdown,
        question=question,
        language=language,
        answer_id=new_id(_numeric(country)),
        sources=evidence.sources,
        citations=citations,
        choice=evidence.choice,
        model_away=generated.away,
    )


def _numeric(country: str | None) -> int:
    return countries_by_alpha2()[country].numeric if country is not None else 0


def _kept(
    request: AskQuestion,
    key: bytes,
    evidence: _Evidence,
    answer: FinalAnswer,
    sources: bytes,
    body: bytes,
) -> NewAnswer:
    return NewAnswer(
        answer.answer_id,
        request.caller.account_id,
        key,
        request.question,
        country_of(answer.answer_id),
        answer.language,
        answer.mode,
        sources.decode(),
        body.decode(),
        cited([CitedSource(p.id, p.kind, p.version, p.post_id) for p in evidence.used()]),
    )


def _event(name: EventName, data: bytes) -> AnswerEvent:
    return AnswerEvent(name, data)
