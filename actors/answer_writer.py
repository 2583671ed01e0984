"""An answer written by a model, sentence by sentence, each verified before anybody sees it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import date
from typing import NamedTuple
from uuid import UUID

from actors.assistant_messages import AnswerToken
from actors.assistant_metrics import FALLBACKS, FIRST_TOKEN_SECONDS, UNVERIFIED
from actors.writing import Writer
from ai.drafting import Draft
from ai.prompts.answer import NOT_FOUND, PassageText, generation, repeats_instructions
from ai.question import Question
from ai.verification import Asked, Statement, verify
from config.assistant import Assistant as AssistantSettings
from config.errors import AppError


class CitedPassage(NamedTuple):
    """`title` and `text` are sanitised."""

    title: str
    text: str
    language: str
    country: str | None
    official: bool
    as_of: date | None


class Generated(NamedTuple):
    """What became of it. `markdown` empty: nothing that may be shown, and `away` says that there
    was no model to ask."""

    markdown: str
    citations: tuple[int, ...]
    away: bool


class AnswerWriter:
    def __init__(self, model: Writer, settings: AssistantSettings) -> None:
        self._model = model
        self._settings = settings

    async def write(
        self,
        question: Question,
        language: str,
        passages: Sequence[CitedPassage],
        payer: UUID,
        started: float,
    ) -> AsyncGenerator[AnswerToken | Generated, None]:
        """Verified sentences as they come, then what became of all. The first that fails ends it,
        and with it the generation; so does closing it. Passages are cited by their place, from 1.
        `payer`: whose budget it is. `started`: of the question, by time.monotonic."""
        prompt = generation(
            question.text,
            language,
            [PassageText(each.title, each.text, each.official, each.as_of) for each in passages],
            max_tokens=self._settings.max_tokens,
            deadline_seconds=self._settings.generation_seconds,
        )
        page = _Page(question, language, passages)
        draft = Draft()
        begun = False
        try:
            stream = self._model.stream(prompt, account_id=payer)
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    if not begun:
                        begun = True
                        FIRST_TOKEN_SECONDS.observe(time.monotonic() - started)
                    for sentence in draft.add(piece):
                        if not page.takes(sentence):
                            yield Generated("", (), False)
                            return
                        yield AnswerToken(f"{sentence} ")
        except AppError as error:
            FALLBACKS.labels(error.code).inc()
            yield Generated("", (), True)
            return
        for sentence in draft.finish():
            if not page.takes(sentence):
                yield Generated("", (), False)
                return
            yield AnswerToken(f"{sentence} ")
        yield Generated(" ".join(page.written), tuple(sorted(page.citations)), False)


class _Page:
    """The sentences that have passed."""

    def __init__(self, question: Question, language: str, passages: Sequence[CitedPassage]) -> None:
        self._language = language
        self._asked = Asked(question.topics, question.rest)
        self._statements = {
            number: Statement(each.text, each.title, each.language, each.country)
            for number, each in enumerate(passages, 1)
        }
        self.written: list[str] = []
        self.citations: set[int] = set()

    def takes(self, sentence: str) -> bool:
        if NOT_FOUND.casefold() in sentence.casefold():
            FALLBACKS.labels("not_found").inc()
            return False
        verified = verify(sentence, self._language, self._statements, self._asked)
        reason = "instructions" if repeats_instructions(sentence) else verified.reason
        if reason is not None:
            UNVERIFIED.labels(reason).inc()
            FALLBACKS.labels("verification").inc()
            return False
        self.written.append(sentence)
        self.citations.update(verified.citations)
        return True
