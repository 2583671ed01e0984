"""The frontend as a gateway serves it: the shell, its files, and nothing outside of them."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import aiohttp
import msgspec
import pytest
import yarl

from actors import feed_messages as fm
from actors.messages import Reply
from config.errors import AppError
from serve_app.site import pages
from serve_app.site.build import Site
from tests.gateway_app import POST_ID, REFUSED, GatewayUnderTest, running_gateway
from tests.unit.test_site_build import SHELL, write_manifest

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


COMMUNITY = {
    "id": POST_ID, "slug": "de-student", "name": "Germany: Student visa & <b>", "country": "DE",
    "visa_type": "student", "kind": "visa", "member_count": 3, "rules": "",
    "visibility": "public", "joining": "open", "archived": False,
    "created_at": "2026-11-20T08:15:30.123Z",
}  # fmt: skip
POST: dict[str, Any] = {
    "id": POST_ID, "community_id": POST_ID, "country": "DE", "visa_type": None,
    "author": {"id": POST_ID, "handle": "amina", "display_name": "Amina"},
    "title": "A & B\u0000", "body_markdown": "", "body_html": "<p>C</p>", "language": "en",
    "tags": [], "up": 0, "down": 0, "score": 0, "comment_count": 0,
    "created_at": "2026-11-21T08:15:30.123Z", "edited_at": None, "locked": False,
    "pinned": False, "accepted_comment_id": None, "deleted": False,
}  # fmt: skip


def answers(request: Any) -> Reply:
    channel, body = f"community:{POST_ID}", b""
    match request:
        case fm.ReadCommunity(community="private"):
            raise AppError("not_found")
        case fm.ReadCommunity():
            body = msgspec.json.encode(COMMUNITY)
        case fm.ReadMember(handle=handle):
            view = {"id": POST_ID, "handle": handle, "display_name": "A", "joined": "2026-03"}
            body = msgspec.json.encode(view)
        case fm.ReadFeed():
            body = msgspec.json.encode({"items": [POST], "next_cursor": None})
        case fm.ListSitemap(part="XX"):
            raise AppError("not_found")
        case fm.ListSitemap(part=part):
            is_page = part in ("DE", "guides")
            entry = [POST_ID, "2026-11-21T08:15:30.123Z"] if is_page else ["DE", None]
            return Reply(body=msgspec.json.encode([entry]), public=True)
    return Reply(body=body, public=True, channel=channel)


@pytest.fixture
async def gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[GatewayUnderTest, aiohttp.ClientSession]]:
    folder = tmp_path / "out"
    (folder / "_next/static/chunks").mkdir(parents=True)
    script = folder / "_next/static/chunks/a0f.js"
    script.write_text("code " * 200)
    Path(f"{script}.gz").write_bytes(gzip.compress(script.read_bytes()))
    (folder / "manifest.webmanifest").write_text("{}")
    (folder / "index.html").write_text(SHELL)
    (folder / "404.html").write_text(SHELL.replace("page", "lost"))
    (tmp_path / "secret.txt").write_text("secret")
    write_manifest(folder)
    monkeypatch.setattr(pages, "open_site", lambda objects: Site(folder))
    async with running_gateway() as (made, session):
        made.backends.answer = answers
        yield made, session


@pytest.fixture
def session(
    gateway: tuple[GatewayUnderTest, aiohttp.ClientSession],
) -> aiohttp.ClientSession:
    return gateway[1]


async def test_every_page_of_the_app_is_the_shell(session: aiohttp.ClientSession) -> None:
    for path in pages.PATHS.values():
        address = path.replace("{", "").replace("}", "")
        async with session.get(address, headers=BROWSER) as response:
            assert response.status == 200, path
            assert response.content_type == "text/html"
            assert response.headers["Cache-Control"] == "no-cache"
            assert "script-src 'self' 'sha256-x'" in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "<body>page" in await response.text()
        sent = {"If-None-Match": response.headers["ETag"]}
        async with session.get(address, headers=sent) as response:
            assert response.status == 304


async def test_files_are_kept_for_ever_where_their_name_changes_with_them(
    session: aiohttp.ClientSession,
) -> None:
    async with session.get("/_next/static/chunks/a0f.js") as response:
        assert response.status == 200
        assert response.content_type == "text/javascript"
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert await response.text() == "code " * 200
    async with session.get("/manifest.webmanifest") as response:
        assert response.content_type == "application/manifest+json"
        assert "immutable" not in response.headers["Cache-Control"]
    async with session.head("/manifest.webmanifest") as response:
        assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/_next/../../secret.txt",
        "/_next/static/%2e%2e/%2e%2e/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%5csecret.txt",
        "/site.json",
        "/index.html/",
        "/_next/static/chunks/",
        "/_next/static/chunks/a0f.js.gz",
        "/_next/static/chunks/a0f.js%00",
        "//secret.txt",
    ],
)
async def test_nothing_but_the_builds_files_is_served(
    session: aiohttp.ClientSession, path: str
) -> None:
    address = yarl.URL(f"{session._base_url}{path}", encoded=True)
    async with session.get(address) as response:
        assert response.status == 404, path
        assert "secret" not in await response.text()


async def test_an_unknown_page_is_404_for_people_and_a_problem_for_programs(
    session: aiohttp.ClientSession,
) -> None:
    async with session.get("/nowhere/at/all", headers=BROWSER) as response:
        text = await response.text()
        assert (response.status, response.content_type) == (404, "text/html")
        assert "lost</body>" in text and 'content="noindex"' in text
    for path in ("/nowhere", "/api/v1/nowhere", "/_next/static/old.js"):
        headers = {} if path == "/nowhere" else BROWSER
        async with session.get(path, headers=headers) as response:
            assert response.status == 404
            assert response.content_type == "application/problem+json"
    async with session.post("/nowhere", headers=BROWSER) as response:
        assert response.content_type == "application/problem+json"
    async with session.post("/", headers=BROWSER) as response:
        assert response.status == 405


async def test_a_server_without_a_build_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "open_site", lambda objects: Site(tmp_path))
    async with running_gateway() as (_, session):
        async with session.get("/", headers=BROWSER) as response:
            assert response.status == 503
            assert "make run" in await response.text()
        async with session.get("/nowhere", headers=BROWSER) as response:
            assert response.content_type == "application/problem+json"


async def test_the_head_of_a_community_is_kept_until_its_next_event(
    gateway: tuple[GatewayUnderTest, aiohttp.ClientSession],
) -> None:
    made, session = gateway
    for _ in range(2):  # the first read only makes the cache follow the channel
        async with session.get("/communities/de-student", headers=BROWSER) as response:
            text = await response.text()
            assert "<title>Germany: Student visa &amp; &lt;b&gt; · Serai</title>" in text
            assert f'<link rel="canonical" href="{made.url}/communities/de-student">' in text
            assert 'href="/communities/de-student/atom.xml"' in text
            assert response.headers["Cache-Control"] == "no-cache"
    asked = len(made.backends.requests)
    async with session.get("/communities/de-student", headers=BROWSER) as response:
        assert response.headers["Content-Encoding"] == "gzip"
    assert len(made.backends.requests) == asked
    sent = {"If-None-Match": response.headers["ETag"]}
    async with session.get("/communities/de-student", headers=BROWSER | sent) as response:
        assert response.status == 304
    made.realtime.event(f"community:{POST_ID}", 7)
    async with session.get("/communities/de-student", headers=BROWSER):
        assert len(made.backends.requests) > asked
    async with session.get(
        "/communities/de-student", headers={"Accept-Encoding": "identity"}
    ) as response:
        assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("trouble", ["private", "unavailable", "limited"])
async def test_the_page_is_shown_also_where_nothing_can_be_said_about_it(
    gateway: tuple[GatewayUnderTest, aiohttp.ClientSession], trouble: str
) -> None:
    made, session = gateway
    if trouble == "unavailable":
        made.backends.fail("unavailable")
    elif trouble == "limited":
        made.limiter.verdict = REFUSED
    async with session.get("/communities/private", headers=BROWSER) as response:
        assert response.status == 200
        text = await response.text()
        assert '<meta name="robots" content="noindex">' in text and "page</body>" in text
    if trouble == "limited":
        assert made.backends.requests == []


async def test_a_host_that_somebody_makes_up_is_in_no_page(
    session: aiohttp.ClientSession,
) -> None:
    sent = {"Host": 'evil"><script>', **BROWSER}
    async with session.get("/communities/de-student", headers=sent) as response:
        text = await response.text()
        assert "evil" not in text and "canonical" not in text


async def test_a_community_has_an_atom_feed(session: aiohttp.ClientSession) -> None:
    async with session.get("/communities/de-student/atom.xml") as response:
        assert response.status == 200
        assert response.content_type == "application/atom+xml"
        feed = ElementTree.fromstring(await response.text())
        sent = {"If-None-Match": response.headers["ETag"]}
    atom = "{http://www.w3.org/2005/Atom}"
    [entry] = feed.findall(f"{atom}entry")
    assert entry.findtext(f"{atom}title") == "A & B"
    assert entry.findtext(f"{atom}content") == "<p>C</p>"
    assert feed.findtext(f"{atom}updated") == "2026-11-21T08:15:30.123Z"
    async with session.get("/communities/de-student/atom.xml", headers=sent) as response:
        assert response.status == 304
    async with session.get("/communities/private/atom.xml") as response:
        assert response.status == 404


async def test_robots_find_the_sitemaps(
    gateway: tuple[GatewayUnderTest, aiohttp.ClientSession],
) -> None:
    made, session = gateway
    async with session.get("/robots.txt") as response:
        text = await response.text()
        assert f"Sitemap: {made.url}/sitemap.xml" in text and "Disallow: /api/" in text
    async with session.get("/sitemap.xml") as response:
        assert f"<loc>{made.url}/sitemap/DE.xml</loc>" in await response.text()
    async with session.get("/sitemap/DE.xml") as response:
        text = await response.text()
        assert f"<loc>{made.url}/posts/{POST_ID}</loc>" in text
        assert "<lastmod>2026-11-21T08:15:30.123Z</lastmod>" in text
    async with session.get("/sitemap/guides.xml") as response:
        assert f"<loc>{made.url}/guides/{POST_ID}</loc>" in await response.text()
    for path in ("/sitemap/XX.xml", "/sitemap/DE.txt", "/sitemap/..%2fDE.xml"):
        async with session.get(yarl.URL(f"{made.url}{path}", encoded=True)) as response:
            assert response.status == 404, path
