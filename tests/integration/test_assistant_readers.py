"""Who is shown which answer, with the real retriever and the real cache together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from actors.assistant_messages import GiveFeedback
from actors.by_words import EngineWords
from actors.embedding import EmbeddingJobs
from actors.messages import GUEST, Caller, Failure
from actors.retrieval import Retriever
from config.embedding import Embedding
from config.settings import Guides, Postgres
from storage.chunk_search import SEARCH_SETTINGS
from storage.postgres import connect
from tests.embedding_models import WordEmbedders
from tests.integration.assistant_world import ENGLISH, TODAY, AssistantWorld
from tests.integration.content import content_on
from tests.integration.search_world import search_on

pytestmark = pytest.mark.integration


class Readers(AssistantWorld):
    """`ana` has written the only answer, which is indexed and embedded."""

    ana: Caller
    ben: Caller

    async def asked(self, caller: Caller) -> str:
        """What kind of answer they get."""
        return (await self.ask(ENGLISH, caller)).answer.mode

    async def mute(self, who: Caller, muted: Caller) -> None:
        await self.pool.execute(
            "insert into account_mute (account_id, muted_id) values ($1, $2)",
            who.account_id, muted.account_id,
        )  # fmt: skip


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[Readers]:
    pool = await connect(database_url, Postgres(), size=2, more_settings=SEARCH_SETTINGS)
    embedders = WordEmbedders()
    async with content_on(database_url) as content, search_on(content, tmp_path) as search:
        made = Readers(content)
        words = EngineWords(content.pool, search.engine)
        made.find = Retriever(pool, embedders, words, Guides(), lambda: TODAY).find
        made.ben = await content.member("ben")
        made.ana, post_id = await made.answered()
        await search.run_jobs()
        jobs = EmbeddingJobs(content.pool, Embedding(), embedders)
        await jobs.embed(msgspec.json.encode({"posts": [post_id]}))
        yield made
    embedders.close()
    await pool.close()


async def test_what_a_mute_takes_from_one_is_not_taken_from_all(world: Readers) -> None:
    await world.mute(world.ben, world.ana)
    assert await world.asked(world.ben) == "not_found"
    assert await world.asked(GUEST) == "extractive"
    assert await world.asked(world.ana) == "extractive"


async def test_no_kept_answer_quotes_whom_its_reader_has_muted(world: Readers) -> None:
    eve = await world.content.member("eve")
    assert await world.asked(world.ben) == "extractive"
    await world.mute(world.ben, world.ana)
    assert await world.asked(world.ben) == "not_found"
    # Neither one that was kept for a member who had muted others.
    await world.mute(eve, world.ben)
    assert await world.asked(eve) == "extractive"
    await world.mute(eve, world.ana)
    assert await world.asked(eve) == "not_found"


async def test_private_words_reach_their_members_alone(world: Readers) -> None:
    ana, ben = world.ana, world.ben
    await world.pool.execute(
        "update community set visibility = 'private' where slug = 'de-student'"
    )
    await world.pool.execute(
        "insert into membership (account_id, community_id)"
        " select $1, id from community where slug = 'de-student'",
        ana.account_id,
    )
    mine = (await world.ask(ENGLISH, ana)).answer
    assert mine.mode == "extractive"
    for caller in (GUEST, ben):
        assert await world.asked(caller) == "not_found"
    assert (await world.ask(ENGLISH, ana)).answer == mine
    # Who is no member any more gets neither the answer nor its words.
    await world.pool.execute("delete from membership where account_id = $1", ana.account_id)
    assert await world.asked(ana) == "not_found"
    feedback = GiveFeedback(ben, mine.answer_id, "wrong", "")
    assert isinstance((await world.assistant().handle_batch([feedback]))[0], Failure)
