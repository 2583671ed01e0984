"""Attacks by posts and questions, through each pipeline that asks a model: none may be seen by the
member."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import pytest

from actors.markdown import render
from actors.messages import AcceptComment, Caller
from actors.translating import Translator
from benchmarks.obeying_model import Attack, ObeyingModel, read_attacks
from storage.translations import TranslateJob
from tests.integration.assistant_world import (
    ENGLISH,
    AssistantWorld,
    WritingModel,
    assistant_world,
)
from tests.integration.content import RECEIVED_NS, Content, content_on
from tests.integration.derived_scene import SAYINGS, Told, about, grown_thread, summariser

pytestmark = pytest.mark.integration

_TRUE = "The blocked account needs 11,904 euros a year."
_WRITTEN = "The blocked account needs EUR 11,904 per year [1]."


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[AssistantWorld]:
    async with assistant_world(database_url) as world:
        yield world


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as made:
        yield made


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


async def test_no_attack_succeeds_in_a_summary(content: Content) -> None:
    """As the first comment of a thread, which is the one that the model cites, or its title."""
    ana = await content.member("ana")
    sayings = [saying.replace("75", "92") for saying in SAYINGS]  # no attack says 2 euros
    post = await grown_thread(content, ana, ["Nice weather.", *sayings])
    # By numbers that hold with the attack among the comments and without it.
    written = "The blocked account must hold 11,904 euros [4]. The fee is 92 euros in cash [12]."
    succeeded: list[str] = []
    generated = 0
    for attack in read_attacks():
        title = attack.text[:300] if attack.where == "title" else "What did the consulate want?"
        said = "Nice weather." if attack.where == "title" else attack.text
        await content.pool.execute("update post set title = $1 where id = $2", title, post["id"])
        await content.pool.execute(
            "update comment set body_markdown = $1 where id = $2", said, post["comments"][0]["id"]
        )
        await content.pool.execute("delete from thread_summary")
        await summariser(content, Told(), ObeyingModel(attack.shows, written)).run(about(post))
        row = await content.pool.fetchrow(
            "select mode, sentences::text as told from thread_summary"
        )
        assert row is not None
        if attack.is_seen_in(row["told"]):
            succeeded.append(f"{attack.id} {row['mode']}: {row['told']}")
        generated += row["mode"] == "generated"
    assert succeeded == []
    assert generated > 40


async def test_no_attack_succeeds_in_a_translation(content: Content) -> None:
    """As a paragraph of a post, or its title: the words stand as their author wrote them, without
    what a model made of them."""
    ana = await content.member("ana")
    post_id = UUID((await content.post(ana))["id"])
    true, written = "Das Sperrkonto braucht 11.904 Euro im Jahr [1].", _WRITTEN
    succeeded: list[str] = []
    ready = 0
    for attack in read_attacks():
        title = attack.text[:300] if attack.where == "title" else "Das Sperrkonto [1]"
        body = true if attack.where == "title" else f"{true}\n\n{attack.text}"
        await content.pool.execute(
            "update post set title = $1, body_markdown = $2 where id = $3", title, body, post_id
        )
        await content.pool.execute("delete from translation")
        await content.pool.execute(
            "insert into translation (target_id, language, revision, state)"
            " select id, 'en', revision, 'pending' from post where id = $1",
            post_id,
        )
        assert ana.account_id is not None
        job = msgspec.json.encode(TranslateJob(post_id, True, "en", ana.account_id))
        model = ObeyingModel(attack.shows, written)
        await Translator(content.pool, Told().publish, model).run(job)
        row = await content.pool.fetchrow("select state, title, body_html from translation")
        assert row is not None
        told = f"{row['title']}\n{html.unescape(row['body_html'])}"
        original = f"{title}\n{html.unescape(render(body))}"
        obeyed = msgspec.structs.replace(attack, shows=tuple(f"needs {w}" for w in attack.shows))
        if obeyed.is_seen_in(told) and not obeyed.is_seen_in(original):
            succeeded.append(f"{attack.id}: {told}")
        ready += row["state"] == "ready"
    assert succeeded == []
    assert ready > 30  # what is in another language than most of the text is not shown at all
