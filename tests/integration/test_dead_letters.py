"""Held jobs as operators see them, by the functions and by the command line."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator

import pytest

from config.errors import AppError
from config.settings import Postgres
from serve_app.__main__ import _parser
from serve_app.jobs_command import run
from storage import dead_letters, jobs
from storage.postgres import Pool, connect, in_transaction

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, Postgres())
    yield pool
    await pool.close()


async def held(pool: Pool, *, key: str | None = None) -> int:
    id = await in_transaction(pool, lambda c: jobs.enqueue(c, "notify", {"n": 1}, dedupe_key=key))
    assert id is not None
    await pool.execute("update pgqueuer set status = 'failed' where id = $1", id)
    await pool.execute(
        "insert into pgqueuer_log (job_id, status, priority, entrypoint, traceback)"
        " values ($1, 'failed', 0, 'notify', '{\"exception_message\": \"broken\"}')",
        id,
    )
    return id


async def statuses(pool: Pool) -> dict[int, str]:
    rows = await pool.fetch("select id, status::text from pgqueuer")
    return {row["id"]: row["status"] for row in rows}


async def test_held_jobs_are_listed_with_their_error(pool: Pool) -> None:
    waiting = await in_transaction(pool, lambda c: jobs.enqueue(c, "notify"))
    id = await held(pool)
    await pool.execute("insert into pgqueuer (priority, entrypoint, status, payload)"
                       " values (0, 'notify', 'failed', '\\xff00')")  # fmt: skip
    listed = await dead_letters.list_jobs(pool, only_failed=False, limit=10)
    assert [job.status for job in listed] == ["failed", "failed", "queued"]
    assert (listed[1].id, listed[1].error, listed[1].payload) == (id, "broken", '{"n":1}')
    assert listed[2].id == waiting
    only = await dead_letters.list_jobs(pool, only_failed=True, limit=10)
    assert [job.id for job in only] == [listed[0].id, id]


async def test_a_held_job_goes_on_with_all_its_attempts(pool: Pool) -> None:
    first, second = await held(pool), await held(pool)
    await jobs.begin_attempt(pool, first)
    assert await dead_letters.retry(pool, first) == 1
    assert await statuses(pool) == {first: "queued", second: "failed"}
    assert await pool.fetchval("select count(*) from job_attempt") == 0
    assert await dead_letters.retry(pool, None) == 1
    assert set((await statuses(pool)).values()) == {"queued"}
    with pytest.raises(AppError, match="not_found"):
        await dead_letters.retry(pool, first)  # it is not held any more


async def test_of_one_key_one_job_goes_on(pool: Pool) -> None:
    older, newer = await held(pool, key="k"), await held(pool, key="k")
    assert await dead_letters.retry(pool, None) == 1
    assert await statuses(pool) == {older: "failed", newer: "queued"}
    with pytest.raises(AppError, match="conflict"):
        await dead_letters.retry(pool, older)
    assert await dead_letters.retry(pool, None) == 0


async def test_dropping_forgets_a_job_that_does_not_run(pool: Pool) -> None:
    id = await held(pool)
    running = await held(pool)
    await pool.execute("update pgqueuer set status = 'picked' where id = $1", running)
    await dead_letters.drop(pool, id)
    for gone in (id, running):
        with pytest.raises(AppError, match="not_found"):
            await dead_letters.drop(pool, gone)
    assert await statuses(pool) == {running: "picked"}


async def test_the_command(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    def options(*words: str) -> argparse.Namespace:
        return _parser().parse_args(["jobs", *words])

    first, second = await held(pool), await held(pool)
    await run(options("list", "--failed"), pool)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        [str(second), "held", "notify"],
        [str(first), "held", "notify"],
    ]
    assert all(line.endswith("broken") for line in lines)
    await run(options("drop", str(first)), pool)
    await run(options("retry", "--all"), pool)
    assert capsys.readouterr().out == "dropped\n1 put back\n"
    await run(options("list"), pool)
    assert capsys.readouterr().out.split()[:3] == [str(second), "waiting", "notify"]
