"""What is asked of the Retriever, and the passages that it answers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from actors.messages import Message

PassageKind = Literal["post", "comment", "guide"]
Authority = Literal["official", "community"]


class RetrievalQuery(Message, frozen=True):
    """`country` (alpha-2) and `visa_type` bound what is looked through, None: all of them.
    `language` (BCP 47) only moves passages of that language up. `account_id` None: a guest, who
    gets what is public."""

    question: str
    country: str | None = None
    visa_type: str | None = None
    language: str | None = None
    account_id: UUID | None = None
    limit: int = 10


class Passage(msgspec.Struct, frozen=True, gc=False):
    """A part of a post, an accepted answer or a guide that the asker may read now.

    `text` is plain, without Markdown. `url` is a path of this site, or the official page of a
    guide. `as_of` is a guide's date of validity, and it alone can be `stale`. `version` is the
    revision of the source that the text is from: another one means another text. `score` orders
    the passages of one answer and means nothing beyond it.
    """

    kind: PassageKind
    id: UUID
    post_id: UUID | None
    country: str | None
    visa_type: str | None
    title: str
    url: str
    authority: Authority
    language: str
    as_of: date | None
    stale: bool
    created_at: datetime
    text: str
    score: float
    version: int
