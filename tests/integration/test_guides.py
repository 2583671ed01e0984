"""Guides: imported line by line, versioned, withdrawn, listed and read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from actors.feed import Feed
from actors.feed_messages import ListGuides, ReadGuide, ReadGuideHistory
from actors.messages import Failure, Reply
from config.errors import AppError
from config.settings import Postgres
from serve_app.dump_files import DumpFiles
from serve_app.guides_command import import_guides, withdraw_guide
from serve_app.import_report import Refusal, Summary
from serve_app.importing import import_files
from storage.directory import Directory
from storage.guides import guide_id
from storage.identity import country_of
from storage.postgres import Pool, connect
from storage.seed import seed

pytestmark = pytest.mark.integration

TODAY = datetime.now(UTC).date()


class Silent:
    def __init__(self) -> None:
        self.reasons: list[tuple[int, str]] = []

    def advance(self, done_bytes: int, total_bytes: int, summary: Summary) -> None:
        pass

    def refused(self, refusal: Refusal) -> None:
        self.reasons.append((refusal.line, refusal.reason.partition(":")[0]))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, Postgres())
    async with pool.acquire() as connection:
        await seed(connection)
    yield pool
    await pool.close()


@pytest.fixture
def feed(pool: Pool) -> Feed:
    return Feed(pool, Directory(pool))


def days_ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


def guide(id: str, **changes: Any) -> dict[str, Any]:
    line = {
        "id": id, "country": "DE", "visa_type": "student", "language": "en", "title": f"About {id}",
        "body_markdown": "Pay **EUR 75**.", "authority": "Federal Foreign Office",
        "source_url": "https://www.example.org/visa", "as_of": days_ago(30),
        "last_checked": days_ago(10),
    }  # fmt: skip
    return line | changes


async def bring(directory: Path, url: str, *lines: Any) -> tuple[Summary, Silent]:
    file = directory / "guides.jsonl"
    file.write_text("".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in lines))
    silent = Silent()
    return await import_files(DumpFiles(guides=[file]), url, silent), silent


async def ask(feed: Feed, request: Any) -> Any:
    [outcome] = await feed.handle_batch([request])
    if isinstance(outcome, Failure):
        return outcome.code
    assert isinstance(outcome, Reply)
    assert outcome.public
    return json.loads(outcome.body)


async def listed(feed: Feed, **wanted: Any) -> list[str]:
    """By pages of two."""
    found: list[str] = []
    cursor = None
    while True:
        request = ListGuides(
            wanted.get("country"), wanted.get("visa_type"), wanted.get("languages", ()), 2, cursor
        )
        page = await ask(feed, request)
        found += [item["title"].removeprefix("About ") for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def id_of(reference: str, country: int = 276) -> UUID:
    return guide_id(country, reference)


async def test_what_is_known_is_left_alone_what_says_something_new_is_a_version(
    pool: Pool, feed: Feed, database_url: str, tmp_path: Path
) -> None:
    first, _ = await bring(tmp_path, database_url, guide("a"), guide("b"))
    assert (first.guides.written, first.guides.there) == (2, 0)
    assert country_of(id_of("a")) == 276
    before = await pool.fetch("select * from guide order by id")
    again, _ = await bring(tmp_path, database_url, guide("a"), guide("b"))
    assert (again.guides.written, again.guides.there) == (0, 2)
    assert await pool.fetch("select * from guide order by id") == before

    dearer = guide("a", body_markdown="Pay EUR 80.", as_of=days_ago(1), last_checked=days_ago(0))
    changed, _ = await bring(tmp_path, database_url, dearer, guide("b", last_checked=days_ago(0)))
    assert changed.guides.written == 2
    shown = await ask(feed, ReadGuide(id_of("a")))
    assert (shown["version"], shown["body_markdown"]) == (2, "Pay EUR 80.")
    assert shown["body_html"] == '<p dir="auto">Pay EUR 80.</p>\n'
    checked = await ask(feed, ReadGuide(id_of("b")))
    assert (checked["version"], checked["last_checked"]) == (1, days_ago(0))
    history = await ask(feed, ReadGuideHistory(id_of("a"), 1, None))
    older = await ask(feed, ReadGuideHistory(id_of("a"), 1, history["next_cursor"]))
    versions = history["items"] + older["items"]
    assert [(v["version"], v["body_markdown"]) for v in versions] == [
        (2, "Pay EUR 80."), (1, "Pay **EUR 75**."),
    ]  # fmt: skip
    assert versions[0]["replaced_at"] is None
    assert versions[1]["replaced_at"] is not None
    assert older["next_cursor"] is None


async def test_each_bad_line_is_refused_with_its_reason_the_rest_comes(
    pool: Pool, database_url: str, tmp_path: Path
) -> None:
    await bring(tmp_path, database_url, guide("elsewhere", country="FR", visa_type=None))
    bad: list[tuple[Any, str]] = [
        ("{", "Input data was truncated"),
        (guide("a", country="XX"), "country"),
        (guide("b", visa_type="no-such"), "visa_type"),
        (guide("c", language="english"), "Expected `str` matching regex"),
        (guide("d", source_url="http://example.org/"), "source_url"),
        (guide("e", source_url="javascript:alert(1)"), "source_url"),
        (guide("f", as_of=days_ago(-3)), "as_of"),
        (guide("g", last_checked=days_ago(60)), "last_checked"),
        (guide("h", title="nul \0"), "title"),
        (guide("i", body_markdown=" "), "body_markdown"),
        (guide("j", as_of="yesterday"), "Invalid RFC3339 encoded date - at `$.as_of`"),
        (guide("k", url="x"), "Object contains unknown field `url`"),
        (guide("elsewhere"), "country"),
        (guide("twice"), ""),
        (guide("twice"), "id"),
    ]
    summary, silent = await bring(tmp_path, database_url, *[line for line, _ in bad])
    tally = summary.guides
    assert (tally.read, tally.written, tally.refused) == (15, 1, 14)
    said = dict(silent.reasons)
    for number, (_, reason) in enumerate(bad, 1):
        assert said.get(number, "").startswith(reason), (number, said)
    assert await pool.fetchval("select count(*) from guide") == 2


async def test_texts_are_sanitised(
    feed: Feed, pool: Pool, database_url: str, tmp_path: Path
) -> None:
    text = "<script>alert(1)</script> [x](javascript:alert(1))"
    await bring(tmp_path, database_url, guide("a", body_markdown=text))
    html = (await ask(feed, ReadGuide(id_of("a"))))["body_html"]
    assert "<script" not in html
    assert 'href="javascript' not in html


async def test_lists_are_filtered_and_never_skip(
    feed: Feed, pool: Pool, database_url: str, tmp_path: Path
) -> None:
    await bring(
        tmp_path, database_url, guide("en"), guide("de", language="de"),
        guide("br", language="pt-br", visa_type="family-reunion"),
        guide("whole", visa_type=None), guide("french", country="FR", visa_type="student"),
    )  # fmt: skip
    assert await listed(feed) == ["french", "whole", "br", "de", "en"]
    assert await listed(feed, country="de") == ["whole", "br", "de", "en"]
    assert await listed(feed, country="DE", visa_type="student") == ["de", "en"]
    assert await listed(feed, languages=("pt",)) == ["br"]
    assert await listed(feed, languages=("pt-BR", "de")) == ["br", "de"]
    assert await listed(feed, languages=("pt-PT",)) == []
    assert await ask(feed, ListGuides("XX", None, (), 2, None)) == "invalid"
    assert await ask(feed, ListGuides(None, "\0", (), 2, None)) == "invalid"
    assert await ask(feed, ListGuides(None, None, (), 2, "nonsense")) == "invalid"


async def test_stale_by_rule(feed: Feed, pool: Pool, database_url: str, tmp_path: Path) -> None:
    await bring(
        tmp_path, database_url,
        guide("fresh", as_of=days_ago(365), last_checked=days_ago(90)),
        guide("old", as_of=days_ago(366), last_checked=days_ago(0)),
        guide("unchecked", as_of=days_ago(91), last_checked=days_ago(91)),
    )  # fmt: skip
    page = await ask(feed, ListGuides(None, None, (), 10, None))
    found = {item["title"]: item["stale"] for item in page["items"]}
    assert found == {"About fresh": False, "About old": True, "About unchecked": True}


async def test_a_withdrawn_guide_is_shown_to_nobody_until_it_is_brought_again(
    feed: Feed, pool: Pool, database_url: str, tmp_path: Path
) -> None:
    await bring(tmp_path, database_url, guide("a"))
    await withdraw_guide("a", pool)
    with pytest.raises(AppError) as refused:
        await withdraw_guide("a", pool)
    assert refused.value.code == "not_found"
    assert await listed(feed) == []
    assert await ask(feed, ReadGuide(id_of("a"))) == "not_found"
    assert await ask(feed, ReadGuideHistory(id_of("a"), 10, None)) == "not_found"
    summary, _ = await bring(tmp_path, database_url, guide("a"))
    assert summary.guides.written == 1
    assert (await ask(feed, ReadGuide(id_of("a"))))["version"] == 1


async def test_the_command_says_what_came(
    pool: Pool, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "guides.jsonl"
    file.write_text(json.dumps(guide("a")) + "\n{}\n")
    assert await import_guides(file, database_url) == 1
    assert capsys.readouterr().out.startswith("2 read: 1 new or changed, 0 as they were, 1 refused")
    with pytest.raises(AppError):
        await import_guides(tmp_path / "none", database_url)


def test_ids_are_those_of_every_installation() -> None:
    assert str(id_of("g-de-student-en")) == "00000000-0000-7114-91d7-37b451d1786e"
    assert id_of("a") != id_of("a", 250)
    assert date.fromisoformat(days_ago(0)) == TODAY
