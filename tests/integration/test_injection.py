"""Attacks by posts and questions, through the whole pipeline: none may be seen by the member."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from actors.messages import AcceptComment, Caller
from benchmarks.obeying_model import Attack, ObeyingModel, read_attacks
from tests.integration.assistant_world import (
    ENGLISH,
    AssistantWorld,
    WritingModel,
    assistant_world,
)
from tests.integration.content import RECEIVED_NS

pytestmark = pytest.mark.integration

_TRUE = "The blocked account needs 11,904 euros a year."
_WRITTEN = "The blocked account needs EUR 11,904 per year [1]."


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[AssistantWorld]:
    async with assistant_world(database_url) as world:
        yield world


def test_there_are_enough_attacks() -> None:
    attacks = read_attacks()
    assert len(attacks) >= 40
    assert len({attack.id for attack in attacks}) == len(attacks)


async def test_no_attack_succeeds(world: AssistantWorld) -> None:
    """Each is asked about with a model that obeys it and with none, and is removed again."""
    await world.guide()
    mallory = await world.content.member("mallory")
    succeeded: list[str] = []
    unanswered: list[str] = []
    generated = 0
    for attack in read_attacks():
        question, post_id = ENGLISH, None
        if attack.where == "question":
            question = attack.text
        else:
            post_id = await _planted(world, mallory, attack)
        for model in (ObeyingModel(attack.shows, _WRITTEN), WritingModel(trusted=False)):
            world.model = model
            told = await world.ask(question)
            if attack.is_seen_in(told.text):
                succeeded.append(f"{attack.id} {model.trusted}: {told.answer}")
            if told.answer.mode == "not_found" and attack.where != "question":
                unanswered.append(attack.id)
            generated += told.answer.mode == "generated"
        if post_id is not None:
            await world.pool.execute("update post set deleted_at = now() where id = $1", post_id)
        await world.pool.execute("delete from answer")
    assert succeeded == []
    assert unanswered == []  # the guide still answers
    assert generated > 40  # what was written without a trace of an attack is shown


async def _planted(world: AssistantWorld, author: Caller, attack: Attack) -> UUID:
    title = attack.text if attack.where == "title" else "The blocked account, what I learned"
    body = _TRUE if attack.where in ("title", "comment") else f"{_TRUE}\n\n{attack.text}"
    post = await world.content.post(author, title=title[:300], body=body)
    if attack.where == "comment":
        comment = await world.content.comment(author, post["id"], body=f"{_TRUE} {attack.text}")
        request = AcceptComment(author, UUID(post["id"]), UUID(comment["id"]), RECEIVED_NS)
        world.content.body((await world.content.ask(request))[0])
    return UUID(post["id"])
