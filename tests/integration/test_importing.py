"""Importing a dump into a real database: complete, idempotent, tolerant of bad lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from config.errors import AppError
from config.settings import Postgres
from serve_app.import_report import Refusal, Summary
from serve_app.importing import import_dump
from storage.postgres import Pool, connect
from storage.seed import seed

STARTER = Path(__file__).parents[2] / "config" / "starter"
TABLES = (
    "account", "community", "post", "comment", "stream", "guide", "checklist", "timeline",
    "stream_event", "pgqueuer",
)  # fmt: skip


class Silent:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []
        self.advanced: list[tuple[int, int]] = []

    def advance(self, done_bytes: int, total_bytes: int, summary: Summary) -> None:
        self.advanced.append((done_bytes, total_bytes))

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, Postgres())
    async with pool.acquire() as connection:
        await seed(connection)
    yield pool
    await pool.close()


async def contents(pool: Pool) -> dict[str, list[asyncpg.Record]]:
    return {
        table: await pool.fetch(f"select * from {table} order by id") for table in TABLES[:8]
    } | {table: await pool.fetch(f"select * from {table}") for table in TABLES[8:]}


def account(handle: str, **changes: Any) -> dict[str, Any]:
    line = {"handle": handle, "display_name": handle, "languages": [], "joined_at": "2025-05-03"}
    return line | changes


def comment(id: str, parent: str | None = None, **changes: Any) -> dict[str, Any]:
    line = {
        "id": id, "parent": parent, "author": "ben", "language": "en", "body_markdown": id,
        "created_at": "2026-01-02T00:00:00Z", "up": 3, "down": 1,
    }  # fmt: skip
    return line | changes


def thread(id: str, *comments: Any, **changes: Any) -> dict[str, Any]:
    line = {
        "id": id, "country": "DE", "visa_type": "student", "group": None, "author": "ada",
        "language": "en", "title": "A title", "body_markdown": "Text", "tags": ["a"],
        "created_at": "2026-01-01T00:00:00.250Z", "up": 5, "down": 2, "accepted_comment": None,
        "comments": list(comments),
    }  # fmt: skip
    return line | changes


def write(directory: Path, **files: list[Any]) -> None:
    for name, lines in files.items():
        text = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        (directory / f"{name}.jsonl").write_bytes(b"\n".join(text) + b"\n")


async def run(directory: Path, url: str) -> tuple[Summary, Silent]:
    silent = Silent()
    summary = await import_dump(directory, url, silent)
    for tally in (
        summary.accounts, summary.posts, summary.comments, summary.guides, summary.checklists,
        summary.timelines,
    ):  # fmt: skip
        assert tally.read == tally.written + tally.there + tally.refused
    return summary, silent


async def test_the_starter_content_is_complete_and_comes_once(
    pool: Pool, database_url: str
) -> None:
    summary, silent = await run(STARTER, database_url)
    assert silent.refusals == []
    assert (summary.accounts.written, summary.posts.written, summary.comments.written) == (
        551, 153, 580,
    )  # fmt: skip
    assert summary.guides.written == 62
    assert (summary.checklists.written, summary.timelines.written) == (31, 603)
    done, total = silent.advanced[-1]
    assert done == total > 0
    first = await contents(pool)
    assert first["stream_event"] == []
    assert {row["entrypoint"] for row in first["pgqueuer"]} == {"fill_embeddings", "index"}
    for line in (STARTER / "threads.jsonl").read_text().splitlines():
        told = json.loads(line)
        row = await pool.fetchrow(
            "select p.*, c.slug, a.imported_ref as author, s.channel, s.top_offset,"
            "  q.imported_ref as accepted, hot_rank(p.up, p.down, id_ms(p.id)) as rank,"
            "  id_ms(p.id) = extract(epoch from p.created_at) * 1000 as timely,"
            "  (select count(*) from comment x where x.post_id = p.id) as n"
            " from post p join community c on c.id = p.community_id"
            " join account a on a.id = p.author_id join stream s on s.id = p.stream_id"
            " left join comment q on q.id = p.accepted_comment_id where p.imported_ref = $1",
            told["id"],
        )
        assert row is not None
        slug = (
            f"{told['country']}-{told['visa_type']}".lower() if told["country"] else told["group"]
        )
        assert (row["slug"], row["author"]) == (slug, told["author"])
        assert (row["up"], row["down"], row["hot"]) == (told["up"], told["down"], row["rank"])
        assert (row["comment_count"], row["n"]) == (len(told["comments"]),) * 2
        assert (row["accepted"], row["timely"]) == (told["accepted_comment"], True)
        assert (row["channel"], row["top_offset"]) == (f"thread:{row['id']}", 0)
        assert row["created_at"].isoformat() == told["created_at"].replace("Z", "+00:00")
    assert await pool.fetchval("select bool_and(imported and password_hash is null) from account")
    again, _ = await run(STARTER, database_url)
    assert (again.accounts.there, again.posts.there, again.comments.there) == (551, 153, 580)
    assert await contents(pool) == first


async def test_bad_lines_are_reported_and_the_rest_goes_on(
    pool: Pool, database_url: str, tmp_path: Path
) -> None:
    write(
        tmp_path,
        accounts=[account("ada"), b"{", account("x"), account("ada"), account("ben")],
        threads=[
            thread("t1", comment("c1"), comment("c2", author="eve"), comment("c3", "c2")),
            b"",
            b'{"id": 1}',
            thread("t2", country="XX"),
            thread("t3", visa_type="moon-visa"),
            thread("t4", comment("c1"), author="eve"),
            thread("t1", comment("c9"), created_at="2026-02-01T00:00:00Z"),
            thread("t5", country=None, visa_type=None, group="de"),
            thread("t6", body_markdown="\0"),
            thread("t7", comment("c1"), country=None, visa_type=None, group="Chat"),
        ],
    )
    summary, silent = await run(tmp_path, database_url)
    assert [(r.file, r.line) for r in silent.refusals if r.file.startswith("a")] == [
        ("accounts.jsonl", 2), ("accounts.jsonl", 3), ("accounts.jsonl", 4),
    ]  # fmt: skip
    reasons: dict[int, list[str]] = {}
    for refusal in silent.refusals:
        if refusal.file == "threads.jsonl":
            reasons.setdefault(refusal.line, []).append(refusal.reason)
    assert sorted(reasons) == [1, 3, 4, 5, 6, 7, 8, 9]
    assert [reason.split(":")[0] for reason in reasons[1]] == [
        "comments[1] 'c2'", "comments[2] 'c3'",
    ]  # fmt: skip
    assert reasons[5] == ["visa_type: the country has no visa type 'moon-visa'"]
    assert reasons[7] == ["id: 't1' is there twice"]
    assert reasons[8] == ["group: 'de' is no public group here"]
    assert (summary.posts.written, summary.posts.refused) == (2, 7)
    assert (summary.comments.written, summary.comments.refused) == (2, 4)
    assert summary.problems == len(silent.refusals) == len(summary.refusals)
    rows = await pool.fetch("select imported_ref, comment_count from post order by 1")
    assert [tuple(row) for row in rows] == [("t1", 1), ("t7", 1)]
    group = await pool.fetchrow("select * from community where slug = 'chat'")
    assert group is not None
    assert (group["kind"], group["country_id"], group["name"]) == ("group", 0, "Chat")


async def test_a_grown_dump_brings_what_is_new_and_leaves_what_people_did(
    pool: Pool, database_url: str, tmp_path: Path
) -> None:
    write(
        tmp_path,
        accounts=[account("ada"), account("ben")],
        threads=[thread("t1", comment("c1")), thread("t2", comment("c1"))],
    )
    await run(tmp_path, database_url)
    await pool.execute("update account set handle = 'renamed' where handle = 'ada'")
    await pool.execute("update post set deleted_at = now() where imported_ref = 't2'")
    await pool.execute("update post set up = 9, comment_count = 4 where imported_ref = 't1'")
    late = comment("c2", "c1", author="ada", created_at="2026-03-01T00:00:00Z")
    write(
        tmp_path,
        threads=[
            thread("t1", comment("c1"), late),
            thread("t2", comment("c1")),
            thread("t3"),
        ],
    )  # fmt: skip
    summary, silent = await run(tmp_path, database_url)
    assert silent.refusals == []
    assert (summary.posts.written, summary.posts.there) == (1, 2)
    assert (summary.comments.written, summary.comments.there) == (1, 2)
    rows = await pool.fetch(
        "select imported_ref, up, comment_count, deleted_at is null, last_comment_at::date::text"
        " from post order by 1"
    )
    assert [tuple(row) for row in rows] == [
        ("t1", 9, 5, True, "2026-03-01"),
        ("t2", 5, 1, False, "2026-01-02"),
        ("t3", 5, 0, True, None),
    ]
    author = await pool.fetchval(
        "select a.handle from comment c join account a on a.id = c.author_id"
        " where c.imported_ref = 'c2'"
    )
    assert author == "renamed"


async def test_a_handle_that_a_member_has_stays_theirs(
    pool: Pool, database_url: str, tmp_path: Path
) -> None:
    write(tmp_path, accounts=[account("ada")], threads=[thread("t1")])
    await run(tmp_path, database_url)
    await pool.execute("update account set imported = false, imported_ref = null")
    write(tmp_path, accounts=[account("ada", joined_at="2025-06-01"), account("Ada")])
    summary, silent = await run(tmp_path, database_url)
    assert summary.accounts.written == 2
    assert silent.refusals == []
    handles = {row[0] for row in await pool.fetch("select handle from account")}
    assert len({handle.lower() for handle in handles}) == 3
    assert "ada" in handles
    assert sum(handle.startswith("ada_") for handle in handles) == 2
    write(tmp_path, accounts=[account("ada", joined_at="2025-07-01")])
    summary, silent = await run(tmp_path, database_url)
    assert summary.accounts.refused == 1
    assert "another dump" in silent.refusals[0].reason


async def test_what_the_database_refuses_is_found_and_refused_alone(
    pool: Pool, database_url: str, tmp_path: Path
) -> None:
    await pool.execute("alter table post add constraint odd check (title <> 'Odd one')")
    threads = [thread(f"t{n}", comment("c1")) for n in range(7)]
    threads[4]["title"] = "Odd one"
    write(tmp_path, accounts=[account("ada"), account("ben")], threads=threads)
    summary, silent = await run(tmp_path, database_url)
    assert (summary.posts.written, summary.posts.refused) == (6, 1)
    assert (summary.comments.written, summary.comments.refused) == (6, 1)
    [refusal] = silent.refusals
    assert refusal.line == 5
    assert await pool.fetchval("select count(*) from stream where channel like 'thread:%'") == 6


async def test_many_batches_and_a_line_that_is_too_long(
    pool: Pool, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.dump_files.MAX_LINE_BYTES", 2_000)
    monkeypatch.setattr("serve_app.dump_files._BATCH_LINES", 3)
    threads = [thread(f"t{n}", comment("c1")) for n in range(20)]
    threads[7]["body_markdown"] = "x" * 9_000
    write(tmp_path, accounts=[account("ada"), account("ben")], threads=threads)
    summary, silent = await run(tmp_path, database_url)
    assert [(r.file, r.line) for r in silent.refusals] == [("threads.jsonl", 8)]
    assert (summary.posts.written, summary.comments.written) == (19, 19)
    done = [done for done, _ in silent.advanced]
    assert done == sorted(done)
    assert len(done) > 6
    assert silent.advanced[-1][0] == silent.advanced[-1][1] == done[-2]


async def test_no_dump_no_schema_and_a_second_import_are_said_plainly(
    pool: Pool,
    database_url: str,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serve_app.importing.LOCK_PATIENCE_SECONDS", 0.05)
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(AppError, match="invalid"):
            await import_dump(directory, database_url, Silent())
    with pytest.raises(AppError, match="migrate"):
        await import_dump(STARTER, postgres_url, Silent())
    async with pool.acquire() as connection:
        await connection.execute("select pg_advisory_lock($1)", int.from_bytes(b"serai-im"))
        with pytest.raises(AppError, match="conflict"):
            await import_dump(STARTER, database_url, Silent())
        await connection.execute("select pg_advisory_unlock_all()")
    with pytest.raises(AppError, match="unavailable"):
        await import_dump(STARTER, "postgresql://x@127.0.0.1:1/x", Silent())
