"""What the Assistant is asked, and what it answers.

A question is answered by a stream of frames: `sources` first, then `token`s, then `answer`; a
`Failure` instead of what is missing. `data` is the JSON that members get.
"""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from actors.messages import Caller, Failure, Message
from ai.notices import Code

AnswerMode = Literal["generated", "extractive", "not_found"]
Verdict = Literal["helpful", "wrong"]
EventName = Literal["sources", "token", "answer"]


class AskQuestion(Message, frozen=True):
    """`country` is alpha-2; `language` (BCP 47) is that of the answer, None: the question's."""

    caller: Caller
    question: str
    country: str | None = None
    visa_type: str | None = None
    language: str | None = None


class GiveFeedback(Message, frozen=True):
    """The newest of an account counts."""

    caller: Caller
    answer_id: UUID
    verdict: Verdict
    note: str


AssistantRequest = GiveFeedback


class AnswerEvent(Message, frozen=True):
    """`sources` may come again: what was cited has changed meanwhile, and the later one counts."""

    name: EventName
    data: bytes


AnswerFrame = AnswerEvent | Failure


# ---------------------------------------------------------------- what members get


class AnswerSource(msgspec.Struct, frozen=True):
    """`n` is what the answer cites it by; `excerpt` its own words, plain text. `as_of`: of a guide,
    which alone can be `stale`."""

    n: int
    kind: Literal["post", "comment", "guide"]
    id: UUID
    title: str
    url: str
    authority: Literal["official", "community"]
    country: str | None
    visa_type: str | None
    language: str
    as_of: date | None
    stale: bool
    excerpt: str


class Notice(msgspec.Struct, frozen=True):
    """`text` is in the language of the answer."""

    code: Code
    text: str


class FinalAnswer(msgspec.Struct, frozen=True):
    """`citations` are the `n` of sources. `mode` generated: by a model, each sentence checked
    against what it cites; extractive: the sources' words; not_found: nothing supports an answer."""

    answer_markdown: str
    mode: AnswerMode
    citations: list[int]
    notices: list[Notice]
    language: str
    answer_id: UUID
    sources: list[AnswerSource]


class AnswerToken(msgspec.Struct, frozen=True):
    """A checked piece of the answer."""

    text: str
