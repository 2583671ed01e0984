"""An import that is killed in the middle leaves whole threads only, and goes on when run again."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from config.settings import Postgres
from serve_app.import_report import Refusal, Summary
from serve_app.importing import import_dump
from storage.postgres import connect
from storage.seed import seed

STARTER = Path(__file__).parents[2] / "config" / "starter"
COPIES = 12
DEADLINE_SECONDS = 60.0
PROGRAM = """
import asyncio, sys
from pathlib import Path
from serve_app.importing import import_dump
asyncio.run(import_dump(Path(sys.argv[1]), sys.argv[2]))
"""


class Silent:
    def advance(self, done_bytes: int, total_bytes: int, summary: Summary) -> None: ...

    def refused(self, refusal: Refusal) -> None: ...


def write_dump(directory: Path) -> tuple[int, int]:
    """Threads and comments in it."""
    names = ("accounts", "accounts_extra")
    for name in names:
        (directory / f"{name}.jsonl").write_bytes((STARTER / f"{name}.jsonl").read_bytes())
    threads = [json.loads(line) for line in (STARTER / "threads.jsonl").read_text().splitlines()]
    lines = [
        json.dumps(thread | {"id": f"{copy}-{thread['id']}"})
        for copy in range(COPIES)
        for thread in threads
    ]
    (directory / "threads.jsonl").write_text("\n".join(lines))
    return len(lines), COPIES * sum(len(thread["comments"]) for thread in threads)


@pytest.mark.fault
async def test_a_killed_import_goes_on(database_url: str, tmp_path: Path) -> None:
    posts, comments = write_dump(tmp_path)
    pool = await connect(database_url, Postgres())
    async with pool.acquire() as connection:
        await seed(connection)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(tmp_path), database_url
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await pool.fetchval("select exists (select from post)"):
            assert process.returncode is None
            await asyncio.sleep(0.005)
    process.kill()
    await process.wait()
    count = "select (select count(*) from post), (select count(*) from comment)"
    cut = await pool.fetchrow(count)
    assert cut is not None
    assert 0 < cut[0] < posts
    torn = await pool.fetchval(
        "select count(*) from post p where comment_count <>"
        " (select count(*) from comment c where c.post_id = p.id)"
    )
    assert torn == 0
    summary = await import_dump(tmp_path, database_url, Silent())
    assert cut[0] <= summary.posts.there < posts
    assert cut[1] <= summary.comments.there < comments
    assert tuple(await pool.fetchrow(count) or ()) == (posts, comments)
    streams = await pool.fetchval("select count(*) from stream where channel like 'thread:%'")
    assert streams == posts
    await pool.close()
