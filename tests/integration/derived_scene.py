"""A thread that has grown, and stand-ins for the models that jobs ask."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from actors.embedding import ServingModel
from actors.messages import Caller
from actors.shard_messages import Ephemeral
from actors.summarising import Summariser
from actors.writing import Writer
from ai.engines.engine import Generation
from config.embedding import Embedding
from config.errors import AppError
from tests.embedding_models import WordEmbedders
from tests.integration.content import Content


class FakeWriter:
    """Writes what `answer` says to the last message of a prompt."""

    trusted = True
    model = "test/writer"

    def __init__(self, answer: Callable[[str], str | AppError]) -> None:
        self._answer = answer
        self.asked: list[Generation] = []
        self.payers: list[UUID | None] = []

    async def stream(
        self, generation: Generation, *, account_id: UUID | None
    ) -> AsyncGenerator[str, None]:
        self.asked.append(generation)
        self.payers.append(account_id)
        answer = self._answer(generation.messages[-1].content)
        if isinstance(answer, AppError):
            raise answer
        for at in range(0, len(answer), 7):
            yield answer[at : at + 7]


class Told:
    """Remembers ephemeral events."""

    def __init__(self) -> None:
        self.events: list[Ephemeral] = []

    def publish(self, events: Sequence[Ephemeral]) -> None:
        self.events.extend(events)

    def data(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(event.data) for event in self.events]


def summariser(content: Content, told: Told, writer: Writer | None = None) -> Summariser:
    model = ServingModel(content.pool, Embedding(), WordEmbedders())
    return Summariser(content.pool, model, told.publish, writer)


def about(*posts: Any) -> bytes:
    """The payload of 'summarise'."""
    (post,) = posts
    return msgspec.json.encode({"post_id": post["id"]})


SAYINGS = (
    "The consulate in Mumbai took six weeks for my student visa this year.",
    "For me the consulate in Mumbai needed seven weeks for the student visa.",
    "You must show 11,904 euros in a blocked account before the appointment.",
    "The blocked account has to hold 11,904 euros when you go there.",
    "Bring the originals of your certificates and two copies of each page.",
    "My certificates were checked in original, so bring them along with copies.",
    "Health insurance for the first three months was asked of me at the counter.",
    "They asked for travel health insurance that covers the first months.",
    "Book the appointment early because slots open only on Monday mornings.",
    "Slots for the appointment appear on Monday mornings and are gone at noon.",
    "The visa fee of 75 euros is paid in cash in local currency.",
    "I paid the visa fee in cash, 75 euros in rupees.",
)


async def grown_thread(content: Content, author: Caller, sayings: Sequence[str] = SAYINGS) -> Any:
    """A post with a comment for each saying; `comments` holds them."""
    post = await content.post(author, title="What did the consulate in Mumbai want?")
    comments = [await content.comment(author, post["id"], body=saying) for saying in sayings]
    return {**post, "comments": comments}
