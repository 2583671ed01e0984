"""The index as a whole: made, filled, made anew while it is searched, lost, away."""

from __future__ import annotations

import re
import shutil
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import pytest

from actors.indexing import Indexer
from actors.messages import DeletePost
from actors.search import Search
from actors.search_indexer import SearchIndexer
from actors.search_messages import IndexContent
from config.errors import AppError
from config.settings import Settings
from serve_app import search_command
from storage.postgres import in_transaction
from storage.search import generations
from storage.search.engine import Changes
from storage.search.tantivy_engine import TantivyEngine
from tests.integration.content import RECEIVED_NS, Content, content_on
from tests.integration.search_world import SearchWorld, search_on, search_world

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[SearchWorld]:
    async with search_world(database_url, tmp_path) as world:
        yield world


@asynccontextmanager
async def another(world: SearchWorld, directory: Path) -> AsyncIterator[SearchWorld]:
    """The next replica, after the first one has ended."""
    await world.engine.close()
    async with search_on(world.content, directory) as next_one:
        yield next_one


async def numbers(content: Content) -> list[tuple[int, bool, bool]]:
    return [
        (row["generation"], row["live"], row["finished_at"] is not None)
        for row in await content.pool.fetch("select * from search_index order by generation")
    ]


async def begin_rebuild(world: SearchWorld) -> bool:
    return await in_transaction(
        world.content.pool, lambda connection: generations.begin_rebuild(connection, "tantivy")
    )


async def test_what_was_there_before_is_found_once_the_index_is_filled(
    database_url: str, tmp_path: Path
) -> None:
    async with content_on(database_url) as content:
        ana = await content.member("ana")
        post = await content.post(ana, title="An apostille")
        comment = await content.comment(ana, post["id"], body="apostille too")
        await content.pool.execute("delete from pgqueuer where entrypoint = 'index'")
        async with search_on(content, tmp_path) as world:
            assert await world.found("apostille") == []
            await world.run_jobs()
            assert set(await world.found("apostille")) == {post["id"], comment["id"]}
            assert await numbers(content) == [(1, True, True)]


async def test_a_restart_finds_its_index(world: SearchWorld, tmp_path: Path) -> None:
    post = await world.content.post(await world.content.member("ana"), title="An apostille")
    await world.run_jobs()
    async with another(world, tmp_path) as next_one:
        assert await next_one.found("apostille") == [post["id"]]
        assert await next_one.run_jobs() == 0


async def test_a_lost_directory_is_filled_anew_by_itself(
    world: SearchWorld, tmp_path: Path
) -> None:
    post = await world.content.post(await world.content.member("ana"), title="An apostille")
    await world.run_jobs()
    await world.engine.close()
    shutil.rmtree(tmp_path)
    async with search_on(world.content, tmp_path) as next_one:
        assert await next_one.found("apostille") == []
        await next_one.run_jobs()
        assert await next_one.found("apostille") == [post["id"]]
        assert await numbers(world.content) == [(2, True, True)]


@pytest.mark.parametrize("damaged", ["meta.json", "*.term", "gone"])
async def test_a_damaged_index_is_made_anew(
    world: SearchWorld, tmp_path: Path, damaged: str
) -> None:
    post = await world.content.post(await world.content.member("ana"), title="An apostille")
    await world.run_jobs()
    await world.engine.close()
    (directory,) = tmp_path.iterdir()
    if damaged == "gone":
        (directory / "meta.json").unlink()
    else:
        for path in directory.glob(damaged):
            path.write_bytes(b"")
    async with search_on(world.content, tmp_path) as next_one:
        with suppress(AppError):
            await next_one.found("apostille")
        await next_one.run_jobs()
        assert await next_one.found("apostille") == [post["id"]]


async def test_an_index_of_another_database_or_version_is_not_used(
    world: SearchWorld, tmp_path: Path
) -> None:
    post = await world.content.post(await world.content.member("ana"), title="An apostille")
    await world.run_jobs()
    restored = "update incarnation set epoch = 'restored'"
    for change in (restored, "update search_index set shape = 0"):
        await world.content.pool.execute(change)
        async with another(world, tmp_path) as next_one:
            assert await next_one.found("apostille") == []
            await next_one.run_jobs()
            assert await next_one.found("apostille") == [post["id"]]
            world = next_one


async def test_a_rebuild_takes_in_what_changes_meanwhile_and_then_takes_over(
    world: SearchWorld, tmp_path: Path
) -> None:
    content = world.content
    ana = await content.member("ana")
    posts = [(await content.post(ana, title=f"Apostille {n}"))["id"] for n in range(5)]
    await world.run_jobs()
    small = SearchWorld(content, Search(content.pool, world.engine), world.engine)
    small.search._indexer = SearchIndexer(content.pool, world.engine, page=2)

    assert await begin_rebuild(world)
    assert not await begin_rebuild(world), "one at a time"
    filled = await small.fill()
    assert (filled.done, filled.documents) == (False, 2)
    assert await numbers(content) == [(1, True, True), (2, False, False)]

    # One that is in the new index already, one that is not, and one that comes.
    for id in (posts[0], posts[4]):
        (outcome,) = await content.ask(DeletePost(ana, UUID(id), RECEIVED_NS))
        content.body(outcome)
    fresh = await content.post(ana, title="Apostille 6")
    await content.pool.execute("delete from pgqueuer where entrypoint = 'fill_search'")
    await world.run_jobs()
    expected = {*posts[1:4], fresh["id"]}
    assert set(await world.found("apostille")) == expected, "served by the former one meanwhile"

    while not (await small.fill()).done:
        pass
    assert await numbers(content) == [(2, True, True)]
    assert set(await world.found("apostille")) == expected
    assert await world.documents() == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2"]


async def test_a_rebuild_that_was_cut_off_goes_on(world: SearchWorld, tmp_path: Path) -> None:
    content = world.content
    ana = await content.member("ana")
    for n in range(3):
        await content.post(ana, title=f"Apostille {n}")
    await world.run_jobs()
    await begin_rebuild(world)
    await world.fill()
    await content.pool.execute("delete from pgqueuer where entrypoint = 'fill_search'")
    async with another(world, tmp_path) as next_one:
        assert await next_one.run_jobs() == 1
        assert await numbers(content) == [(2, True, True)]
        assert len(await next_one.found("apostille")) == 3


async def test_words_of_removed_texts_leave_the_files_a_day_later(world: SearchWorld) -> None:
    content = world.content
    ana = await content.member("ana")
    post = await content.post(ana, title="An apostille")
    other = await content.post(ana, title="A passport")
    # In one part of the files: one of which all is removed goes as a whole.
    await world.index(IndexContent(posts=(UUID(post["id"]), UUID(other["id"]))))
    await content.pool.execute("delete from pgqueuer")
    (outcome,) = await content.ask(DeletePost(ana, UUID(post["id"]), RECEIVED_NS))
    content.body(outcome)
    await world.run_jobs()
    indexer = SearchIndexer(content.pool, world.engine)
    await indexer.renew()
    assert await world.run_jobs() == 0, "not every day's removals are worth a rebuild at once"
    await content.pool.execute("update search_index set finished_at = now() - interval '25 hours'")
    await indexer.renew()
    await world.run_jobs()
    assert await numbers(content) == [(2, True, True)]
    assert not await world.engine.has_remains(2)
    await content.pool.execute("update search_index set finished_at = now() - interval '25 hours'")
    await indexer.renew()
    assert await world.run_jobs() == 0


async def test_an_index_that_vanishes_while_it_is_used_is_made_anew(
    world: SearchWorld, tmp_path: Path
) -> None:
    post = await world.content.post(await world.content.member("ana"), title="An apostille")
    await world.run_jobs()
    await world.engine.keep_only([])
    with pytest.raises(AppError) as away:
        await world.found("apostille")
    assert away.value.code == "unavailable"
    await world.run_jobs()
    assert await world.found("apostille") == [post["id"]]
    await world.engine.keep_only([])
    await world.index(IndexContent(posts=(UUID(post["id"]),)))
    assert await world.found("apostille") == [post["id"]]


async def test_an_engine_that_is_away_is_said_and_loses_no_change(
    world: SearchWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise AppError("unavailable", "The search engine does not answer.")

    ana = await world.content.member("ana")
    with monkeypatch.context() as patched:
        patched.setattr(TantivyEngine, "apply", away)
        patched.setattr(TantivyEngine, "search", away)
        post = await world.content.post(ana, title="An apostille")
        with pytest.raises(AppError) as refused:
            await world.found("apostille")
        assert refused.value.code == "unavailable"
        with pytest.raises(AppError) as refused:
            await world.index(IndexContent(posts=(UUID(post["id"]),)))
        assert refused.value.code == "unavailable", "the job waits, uncounted"
        payload = await world.content.pool.fetchval(
            "select payload from pgqueuer where entrypoint = 'index'"
        )
        with pytest.raises(AppError):
            await Indexer(world.content.pool, world).run(payload)
        others = await world.content.pool.fetch(
            "select entrypoint from pgqueuer where entrypoint in ('embed', 'derive') order by 1"
        )
        assert [row["entrypoint"] for row in others] == ["derive", "embed"], "they don't wait"
    await world.run_jobs()
    assert await world.found("apostille") == [post["id"]]


async def test_a_directory_is_locked_by_its_owner(tmp_path: Path) -> None:
    first, second = TantivyEngine(tmp_path), TantivyEngine(tmp_path)
    try:
        await first.create(1)
        assert await second.has(1)
        with pytest.raises(AppError) as refused:
            await second.apply(1, Changes())
        assert refused.value.code == "unavailable"
        await first.close()
        await second.apply(1, Changes())
    finally:
        await second.close()


async def test_operators_see_what_is_searched_and_begin_another(
    world: SearchWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = world.content.pool

    async def command(action: str) -> str:
        await search_command.run(Namespace(action=action), pool, Settings())
        return capsys.readouterr().out

    assert await command("status") == (
        "tantivy index 1  (searched)\n0 changes wait, the oldest for 0 s\n"
    )
    await world.content.post(await world.content.member("ana"), title="An apostille")
    await pool.execute("update pgqueuer set created = now() - interval '90 seconds'")
    waited = re.search(r"1 changes wait, the oldest for (\d+) s", await command("status"))
    assert waited and int(waited[1]) >= 90
    assert "the former one is searched until then" in await command("rebuild")
    assert "already" in await command("rebuild")
    assert "index 2  (beside it, being filled: 0 documents so far)" in await command("status")
    await pool.execute("update pgqueuer set status = 'failed' where entrypoint = 'index'")
    assert "1 jobs are held" in await command("status")
    await pool.execute("delete from search_index")
    assert (await command("status")).startswith("no index\n")
