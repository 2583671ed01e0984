"""The answer as members see it: Markdown of sentences, and the notices that go with it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from actors.assistant_messages import AnswerMode, AnswerSource, FinalAnswer, Notice
from actors.retrieval_messages import Passage
from ai.answering import Choice, Evidence
from ai.notices import Code, text_of
from ai.question import Question

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>#|~!&])")
_EXCERPT_CHARACTERS: Final = 300
MOST_COUNTRIES: Final = 3
"""So many of a question are looked up, those that come first by their codes."""


def shown_sources(choice: Choice, passages: Sequence[Passage]) -> list[AnswerSource]:
    """Numbered from 1 in the order of the evidence."""
    return [
        _shown(number, evidence, passages[evidence.place])
        for number, evidence in enumerate(choice.evidence, 1)
    ]


def _shown(number: int, evidence: Evidence, passage: Passage) -> AnswerSource:
    excerpt = " … ".join(evidence.sentences)
    if len(excerpt) > _EXCERPT_CHARACTERS:
        excerpt = excerpt[: _EXCERPT_CHARACTERS - 1].rstrip() + "…"
    return AnswerSource(
        number,
        passage.kind,
        passage.id,
        evidence.title,
        passage.url,
        passage.authority,
        passage.country,
        passage.visa_type,
        passage.language,
        passage.as_of,
        passage.stale,
        excerpt,
    )


def extractive(choice: Choice, language: str) -> str:
    """Each sentence word for word, as a quotation with its source."""
    lines = [
        f"- “{escaped(sentence)}” [{number}]"
        for number, evidence in enumerate(choice.evidence, 1)
        for sentence in evidence.sentences
    ]
    return "\n".join([text_of("verbatim", language), "", *lines])


def escaped(text: str) -> str:
    """The same text in Markdown that is rendered as a paragraph."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def final(
    mode: AnswerMode,
    markdown: str,
    *,
    question: Question,
    language: str,
    answer_id: UUID,
    sources: Sequence[AnswerSource],
    citations: Sequence[int],
    choice: Choice,
    model_away: bool,
) -> FinalAnswer:
    codes: list[Code] = []
    if len(question.countries) > MOST_COUNTRIES:
        codes.append("too_many_countries")
    if mode == "not_found":
        if not question.countries:
            codes.append("name_country")
    else:
        if choice.disagree:
            codes.append("disagree")
        if choice.stale:
            codes.append("stale")
        if choice.only_community:
            codes.append("only_community")
        if model_away:
            codes.append("model_away")
    codes.append("not_legal_advice")
    return FinalAnswer(
        markdown,
        mode,
        list(citations),
        [Notice(code, text_of(code, language)) for code in codes],
        language,
        answer_id,
        list(sources),
    )
