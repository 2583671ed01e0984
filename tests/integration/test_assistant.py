"""The Assistant on a real database: what it answers, what it keeps, and what it never shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from uuid import UUID

import pytest

from actors.assistant_messages import AskQuestion, GiveFeedback
from actors.llm import Llm
from actors.llm_messages import GenerateText
from actors.member_budget import MemberBudget
from actors.messages import GUEST, DeletePost, EditPost, Failure, Reply
from actors.retrieval_messages import Passage, RetrievalQuery
from ai.engines.engine import Generation
from config.errors import AppError
from config.llm import Llm as LlmSettings
from storage import chunk_generations
from storage.identity import new_id
from tests.fake_engine import FakeEngine
from tests.integration.assistant_world import (
    ENGLISH,
    HINDI,
    AssistantWorld,
    WritingModel,
    assistant_world,
)
from tests.integration.content import RECEIVED_NS

pytestmark = pytest.mark.integration

GOOD = "You need EUR 11,904 per year in a blocked account [1]."


class Paid:
    """The real actor of the model, called without a deployment around it."""

    trusted = True
    model = "a model of the tests"

    def __init__(self, llm: Llm) -> None:
        self._llm = llm

    async def stream(
        self, generation: Generation, *, account_id: UUID | None
    ) -> AsyncGenerator[str, None]:
        async with aclosing(self._llm.stream(GenerateText(generation, account_id))) as chunks:
            async for chunk in chunks:
                yield chunk.text


async def nothing(query: RetrievalQuery) -> Sequence[Passage]:
    return ()


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[AssistantWorld]:
    async with assistant_world(database_url) as world:
        yield world


async def test_a_hindi_question_is_answered_from_english_and_german_guides(
    world: AssistantWorld,
) -> None:
    guides = {await world.guide("en"), await world.guide("de")}
    await world.guide("en", "FR", title="France: student visa")
    told = await world.ask(HINDI)
    answer = told.answer
    assert told.names == ["sources", "answer"]
    assert (answer.mode, answer.language, answer.citations) == ("extractive", "hi", [1, 2])
    assert {source.id for source in answer.sources} == guides
    assert {source.country for source in answer.sources} == {"DE"}
    assert "EUR 11,904 per year" in answer.answer_markdown
    assert "11.904 Euro pro Jahr" in answer.answer_markdown
    assert [notice.code for notice in answer.notices] == ["not_legal_advice"]
    assert "कानूनी सलाह" in answer.notices[0].text
    assert not world.model.prompts  # a model that nobody trusts is not asked


async def test_what_nothing_supports_is_not_found(world: AssistantWorld) -> None:
    await world.guide()
    told = await world.ask("Can I bring my dog to Germany?")
    assert told.answer.mode == "not_found"
    assert told.answer.sources == []
    assert told.answer.citations == []
    told = await world.ask("How much money for a student visa?")
    assert [notice.code for notice in told.answer.notices] == ["name_country", "not_legal_advice"]
    told = await world.ask("¿?¡! …")
    assert told.answer.mode == "not_found"


async def test_what_was_not_found_while_the_index_was_filled_is_looked_for_again(
    world: AssistantWorld,
) -> None:
    async with world.pool.acquire() as connection:
        await chunk_generations.mark_incomplete(connection)
    assert (await world.ask(ENGLISH)).answer.mode == "not_found"
    await world.guide()
    assert (await world.ask(ENGLISH)).answer.mode == "extractive"
    again = f"{ENGLISH} Please."
    world.find = nothing
    early = (await world.ask(again)).answer
    async with world.pool.acquire() as connection:
        await chunk_generations.finish(connection, await chunk_generations.serving(connection))
    late = (await world.ask(again)).answer
    assert (early.mode, late.mode) == ("not_found", "not_found")
    assert early.answer_id != late.answer_id
    assert (await world.ask(again)).answer == late, "from here on it is kept"


async def test_the_language_of_the_answer_may_be_chosen(world: AssistantWorld) -> None:
    await world.guide()
    answer = (await world.ask(ENGLISH, language="zh")).answer
    assert answer.language == "zh"
    assert answer.answer_markdown.startswith("来源原文")
    assert (await world.ask(ENGLISH, language="eo")).answer.notices[0].text.startswith("This is")


# ---------------------------------------------------------------- the model


async def test_verified_sentences_of_a_trusted_model_are_shown(world: AssistantWorld) -> None:
    await world.guide()
    world.model = WritingModel(lambda _: f"{GOOD} The blocked account pays EUR 992 a month [1].")
    told = await world.ask()
    assert told.names == ["sources", "token", "token", "answer"]
    assert told.answer.mode == "generated"
    assert told.answer.answer_markdown.startswith(GOOD)
    assert told.answer.citations == [1]


async def test_a_sentence_that_fails_ends_the_generation(world: AssistantWorld) -> None:
    await world.guide()
    for written in (
        GOOD.replace("11,904", "12,000"),
        GOOD.replace("[1]", ""),
        GOOD.replace("[1]", "[4]"),
        f"{GOOD} Pay it to the agent at https://evil.example [1].",
        "NOT FOUND",
        "",
    ):
        world.model = WritingModel(lambda _, written=written: written)  # type: ignore[misc]
        told = await world.ask()
        assert told.answer.mode == "extractive", written
        assert "evil" not in told.text
        assert "12,000" not in told.text
        await world.pool.execute("delete from answer")


async def test_without_its_model_it_says_so_in_the_sources_words(world: AssistantWorld) -> None:
    await world.guide()
    for code in ("unavailable", "overloaded", "rate_limited", "too_large"):
        world.model = WritingModel(failure=AppError(code))
        answer = (await world.ask(HINDI)).answer
        assert answer.mode == "extractive"
        assert [notice.code for notice in answer.notices] == ["model_away", "not_legal_advice"]
        assert "11,904" in answer.answer_markdown
        await world.pool.execute("delete from answer")


async def test_guests_share_a_budget_and_leave_what_members_have(world: AssistantWorld) -> None:
    await world.guide()
    settings = LlmSettings(max_tokens=320)
    world.model = Paid(Llm(FakeEngine(GOOD), settings, MemberBudget(1_500, None)))
    ana = await world.content.member("ana")
    assert (await world.ask(ENGLISH)).answer.mode == "generated"
    for times in range(1, 10):
        other = ENGLISH + " Please." * times
        told = await world.ask(other)
        if told.answer.mode != "generated":
            break
    assert [notice.code for notice in told.answer.notices] == ["model_away", "not_legal_advice"]
    # Neither is the member's budget used up, nor is the guest's poorer answer kept for her.
    assert (await world.ask(other, ana)).answer.mode == "generated"


async def test_who_goes_away_ends_the_generation(world: AssistantWorld) -> None:
    await world.guide()
    world.model = WritingModel(lambda _: f"{GOOD} It", hangs=True)
    async with aclosing(world.assistant().ask(AskQuestion(GUEST, ENGLISH))) as events:
        async for event in events:
            if event.name == "token":
                break
    async with asyncio.timeout(30):
        await world.model.closed.wait()
    assert await world.answers() == 0


# ---------------------------------------------------------------- countries


async def test_more_countries_than_are_looked_up_are_said(world: AssistantWorld) -> None:
    for country in ("DE", "FR", "ES", "IT"):
        await world.guide("en", country)
    question = "What is the fee of a student visa in Germany, France, Spain"
    told = await world.ask(f"{question}?")
    assert "too_many_countries" not in {notice.code for notice in told.answer.notices}
    told = await world.ask(f"{question} and Italy?")
    assert {query.country for query in world.looked_up} == {"DE", "ES", "FR"}
    assert told.answer.notices[0].code == "too_many_countries"


async def test_a_visa_that_is_named_is_one_of_its_country(world: AssistantWorld) -> None:
    await world.ask("What is the fee of the Chancenkarte in Germany, and of a visa for France?")
    asked = {query.country: query.visa_type for query in world.looked_up}
    assert asked == {"DE": "chancenkarte", "FR": None}


# ---------------------------------------------------------------- what is away


async def test_without_a_search_there_is_no_answer_but_a_typed_one(world: AssistantWorld) -> None:
    world.failure = AppError("unavailable", "The search is restarting.")
    with pytest.raises(AppError, match="unavailable"):
        await world.ask()


async def test_too_many_at_once_are_refused(world: AssistantWorld) -> None:
    await world.guide()
    world.model = WritingModel(lambda _: f"{GOOD} It", hangs=True)
    assistant = world.assistant(max_running=1)
    async with aclosing(assistant.ask(AskQuestion(GUEST, ENGLISH))) as first:
        await anext(first)
        with pytest.raises(AppError, match="overloaded"):
            await anext(assistant.ask(AskQuestion(GUEST, HINDI)))


# ---------------------------------------------------------------- what is kept


async def test_equal_questions_have_one_answer_until_a_source_changes(
    world: AssistantWorld,
) -> None:
    guide = await world.guide()
    first = (await world.ask(ENGLISH)).answer
    again = (await world.ask(ENGLISH.upper().replace("?", " ??"))).answer
    assert again == first
    assert (await world.ask(HINDI)).answer.answer_id != first.answer_id
    assert (await world.ask(ENGLISH, country="DE")).answer.answer_id != first.answer_id
    await world.pool.execute(
        "update guide set version = 2, body_markdown = replace(body_markdown, '11,904', '12,500')"
        " where id = $1",
        guide,
    )
    assert await world.answers() == 0
    changed = (await world.ask(ENGLISH)).answer
    assert "12,500" in changed.answer_markdown


async def test_what_is_removed_is_in_no_answer_any_more(world: AssistantWorld) -> None:
    ana, post_id = await world.answered()
    told = await world.ask(ENGLISH)
    assert told.answer.notices[0].code == "only_community"
    assert await world.answers() == 1
    title = "How much in the blocked account by now?"
    for request in (
        EditPost(ana, post_id, title, None, None, None, None, None, RECEIVED_NS),
        DeletePost(ana, post_id, RECEIVED_NS),
    ):
        assert isinstance((await world.content.ask(request))[0], Reply)
        assert await world.answers() == 0
        await world.ask(ENGLISH)
    assert (await world.ask(ENGLISH)).answer.mode == "not_found"


async def test_what_changes_while_it_is_answered_is_answered_anew(world: AssistantWorld) -> None:
    guide = await world.guide()
    await world.guide("de")

    async def change() -> None:
        await world.pool.execute(
            "update guide set version = 2, body_markdown = 'Gone.' where id = $1", guide
        )

    world.between = change
    told = await world.ask(ENGLISH)
    assert told.names == ["sources", "sources", "answer"]
    assert "Gone" not in told.answer.answer_markdown
    assert guide not in {source.id for source in told.answer.sources}


async def test_a_community_that_becomes_private_takes_its_answers_along(
    world: AssistantWorld,
) -> None:
    await world.answered()
    assert (await world.ask(ENGLISH)).answer.mode == "extractive"
    await world.pool.execute(
        "update community set visibility = 'private' where slug = 'de-student'"
    )
    assert (await world.ask(ENGLISH)).answer.mode == "not_found"


# ---------------------------------------------------------------- feedback


async def test_feedback_is_kept_once_an_account(world: AssistantWorld) -> None:
    await world.guide()
    ana = await world.content.member("ana")
    answer = (await world.ask(ENGLISH)).answer
    assistant = world.assistant()
    for verdict, note in (("helpful", ""), ("wrong", "It is 11,904 by now.")):
        (outcome,) = await assistant.handle_batch(
            [GiveFeedback(ana, answer.answer_id, verdict, note)]  # type: ignore[arg-type]
        )
        assert outcome == Reply(204)
    rows = await world.pool.fetch("select verdict, note, question, mode from answer_feedback")
    assert [tuple(row) for row in rows] == [
        ("wrong", "It is 11,904 by now.", ENGLISH, "extractive")
    ]
    unknown, guest = await assistant.handle_batch(
        [
            GiveFeedback(ana, new_id(276), "wrong", ""),
            GiveFeedback(GUEST, answer.answer_id, "wrong", ""),
        ]
    )
    assert isinstance(unknown, Failure)
    assert unknown.code == "not_found"
    assert isinstance(guest, Failure)
    assert guest.code == "unauthenticated"
