"""The job that looks at official pages: what it keeps, whom it asks, and what it tells."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.feed import Feed
from actors.feed_messages import ReadFeed
from actors.job_tools import JobTools
from actors.links.checking import LinkChecker
from actors.links.fetching import FetchFailed, Known, Limits, Page
from actors.messages import GUEST
from actors.shard_messages import Publication
from config.settings import OfficialLinks, Settings
from storage.directory import Directory
from tests.integration.content import Content, content_on
from tests.integration.test_link_fetching import Site, ok, site

__all__ = ["site"]

pytestmark = pytest.mark.integration

FIRST, SECOND = "https://a.example/", "https://b.example/"
RULE = OfficialLinks(check=True, host_pause_seconds=0, contact="ops@example.org")


class Web:
    """Stands for the internet."""

    def __init__(self) -> None:
        self.pages: dict[str, Page | str] = {}
        self.asked: list[tuple[str, Known | None]] = []
        self.agent = ""

    async def get(self, url: str, limits: Limits, known: Known | None = None) -> Page:
        self.asked.append((url, known))
        self.agent = limits.user_agent
        page = self.pages.get(url, "no answer in time")
        if isinstance(page, str):
            raise FetchFailed(page)
        return page

    def say(self, url: str, text: str, status: int = 200, etag: str | None = None) -> None:
        body = text.encode() if status == 200 else b""
        self.pages[url] = Page(url, status, etag, None, "text/html", body)


class Checks:
    def __init__(self, content: Content) -> None:
        self.pool = content.pool
        self.content = content
        self.web = Web()
        self.published: list[Publication] = []

    async def run(self, rule: OfficialLinks = RULE, **how: Any) -> None:
        tools = JobTools(self.pool, self.published.extend, Settings(official_links=rule))
        await LinkChecker(tools, **({"get": self.web.get} | how)).run(b"null")

    async def again(self) -> None:
        await self.pool.execute("update official_link set next_check_at = now()")
        await self.run()

    async def link(self, url: str = FIRST) -> Any:
        return await self.pool.fetchrow("select * from official_link where url = $1", url)

    async def feed(self, community: str) -> list[Any]:
        feed = Feed(self.pool, Directory(self.pool))
        request = ReadFeed(GUEST, community, "new", "all", 30, None)
        (outcome,) = await feed.handle_batch([request])
        items: list[Any] = self.content.body(outcome)["items"]
        return items


@pytest.fixture
async def checks(database_url: str) -> AsyncIterator[Checks]:
    """Two pages: one of one visa type, one of two."""
    async with content_on(database_url) as content:
        await content.pool.execute("delete from visa_type")
        await content.pool.execute(
            "insert into visa_type (country_id, code, name_en, category, official_url)"
            " values (276, 'student', 'Student visa', 'study', $1),"
            " (250, 'student', 'Visa étudiant', 'study', $2), (250, 'work', 'Work', 'work', $2)",
            FIRST,
            SECOND,
        )
        yield Checks(content)


async def test_nobody_is_asked_unless_the_operator_says_so(checks: Checks) -> None:
    await checks.run(OfficialLinks())
    assert checks.web.asked == []
    rows = await checks.pool.fetch("select url, status from official_link order by url")
    assert [tuple(row) for row in rows] == [(FIRST, "unchecked"), (SECOND, "unchecked")]
    await checks.pool.execute("delete from visa_type where code = 'student' and country_id = 276")
    await checks.run(OfficialLinks())
    assert await checks.link(FIRST) is None


async def test_what_is_seen_is_kept(checks: Checks) -> None:
    checks.web.say(FIRST, "<p>75 euro</p>", etag='"1"')
    checks.web.say(SECOND, "", status=404)
    await checks.run()
    assert checks.web.agent == "SeraiLinkCheck/1.0 (+ops@example.org)"
    first, second = await checks.link(FIRST), await checks.link(SECOND)
    assert (first["status"], first["http_status"], first["etag"]) == ("ok", 200, '"1"')
    assert first["last_ok_at"] == first["last_checked_at"] and first["last_changed_at"] is None
    assert (second["status"], second["reason"], second["failures"]) == ("missing", "HTTP 404", 1)
    assert first["next_check_at"] - first["last_checked_at"] == dt.timedelta(hours=24)
    assert second["next_check_at"] - second["last_checked_at"] == dt.timedelta(hours=1)
    count = len(checks.web.asked)
    await checks.run()  # nothing is due
    assert len(checks.web.asked) == count

    checks.web.say(FIRST, "", status=304)
    checks.web.pages[SECOND] = "the host is not public"
    await checks.again()
    assert checks.web.asked[-2:] in (
        [(FIRST, Known(FIRST, '"1"')), (SECOND, None)],
        [(SECOND, None), (FIRST, Known(FIRST, '"1"'))],
    )
    again = await checks.link(FIRST)
    assert again["content_hash"] == first["content_hash"] and again["etag"] == '"1"'
    assert again["last_ok_at"] > first["last_ok_at"]
    failed = await checks.link(SECOND)
    assert (failed["status"], failed["reason"]) == ("failed", "the host is not public")
    assert failed["next_check_at"] - failed["last_checked_at"] == dt.timedelta(hours=2)
    for status, name in ((403, "refused"), (500, "failed"), (410, "missing")):
        checks.web.say(FIRST, "", status=status)
        await checks.again()
        assert (await checks.link(FIRST))["status"] == name
    assert (await checks.link(FIRST))["content_hash"] == first["content_hash"]
    assert checks.published == []


async def test_a_change_is_told_once_where_it_matters(checks: Checks) -> None:
    for text in ("75 euro", "<b>75</b>  euro"):
        checks.web.say(FIRST, text)
        checks.web.say(SECOND, text)
        await checks.again()
    assert await checks.feed("de-student") == []
    checks.web.say(FIRST, "80 euro")
    checks.web.say(SECOND, "80 euro")
    await checks.again()
    for _ in range(2):
        (post,) = await checks.feed("de-student")
        assert post["author"]["handle"] == "serai"
        assert post["title"] == "An official page has changed: a.example"
        assert FIRST in post["body_markdown"] and "Student visa" in post["body_markdown"]
        (post,) = await checks.feed("fr")
        assert "Visa étudiant" in post["body_markdown"] and "Work" in post["body_markdown"]
        assert await checks.feed("fr-student") == [] and await checks.feed("de") == []
        await checks.run()
    channels = {publication.channel.partition(":")[0] for publication in checks.published}
    assert channels == {"community"}
    queued = await checks.pool.fetchval("select count(*) from pgqueuer where entrypoint = 'notify'")
    assert queued >= 1

    # A page that changes every day is told of once a week.
    checks.web.say(FIRST, "85 euro")
    await checks.again()
    assert len(await checks.feed("de-student")) == 1
    week = "update official_link set announced_at = announced_at - interval '8 days'"
    await checks.pool.execute(week)
    await checks.run()
    assert len(await checks.feed("de-student")) == 2


async def test_a_telling_that_was_cut_off_is_not_told_twice(checks: Checks) -> None:
    for text in ("75 euro", "80 euro"):
        checks.web.say(FIRST, text)
        checks.web.say(SECOND, text)
        await checks.again()
    await checks.pool.execute("update official_link set announced_at = null")
    await checks.run()
    assert len(await checks.feed("de-student")) == len(await checks.feed("fr")) == 1


async def test_an_archived_community_is_passed_over(checks: Checks) -> None:
    await checks.pool.execute("update community set archived_at = now() where slug = 'de-student'")
    for text in ("75 euro", "80 euro"):
        checks.web.say(FIRST, text)
        await checks.again()
    link = await checks.link(FIRST)
    assert link["announced_at"] == link["last_changed_at"] is not None
    assert await checks.feed("de-student") == []


async def test_pages_of_one_host_wait_for_each_other(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await checks.pool.execute("delete from visa_type")
    for number in range(3):
        await checks.pool.execute(
            "insert into visa_type (country_id, code, name_en, category, official_url)"
            " values (276, $1, 'x', 'x', $2)",
            f"v{number}",
            f"https://A.example/{number}",
        )
    pauses: list[float] = []
    real = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    monkeypatch.setattr("actors.links.checking.asyncio.sleep", pause)
    await checks.run(msgspec.structs.replace(RULE, host_pause_seconds=10))
    assert (pauses, len(checks.web.asked)) == ([10, 10], 3)
    # When a run has lasted long enough, the rest waits for the next one.
    await checks.pool.execute("update official_link set next_check_at = now()")
    ticks = iter([0.0, 0.0, 500.0])
    await checks.run(clock=lambda: next(ticks))
    assert len(checks.web.asked) == 4


async def test_a_real_page_on_a_network_that_is_allowed(checks: Checks, site: Site) -> None:
    await checks.pool.execute("update visa_type set official_url = $1", f"{site.url}/fees")
    rule = OfficialLinks(check=True, host_pause_seconds=0)
    from actors.links.fetching import fetch

    await checks.run(rule, get=fetch)
    link = await checks.link(f"{site.url}/fees")
    assert (link["status"], link["reason"], site.requests) == (
        "failed",
        "the host is not public",
        [],
    )
    site.pages["/fees"] = ok(b"<main>75 euro</main>", "Content-Type: text/html")
    await checks.pool.execute("update official_link set next_check_at = now()")
    allowed = msgspec.structs.replace(rule, allowed_networks=("127.0.0.0/8",))
    await checks.run(allowed, get=fetch)
    link = await checks.link(f"{site.url}/fees")
    assert (link["status"], link["http_status"], link["failures"]) == ("ok", 200, 0)
