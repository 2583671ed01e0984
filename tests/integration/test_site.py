"""The frontend as a gateway serves it: the shell, its files, and nothing outside of them."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yarl

from serve_app.site import pages
from serve_app.site.build import Site
from tests.gateway_app import running_gateway
from tests.unit.test_site_build import SHELL, write_manifest

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
async def session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[aiohttp.ClientSession]:
    folder = tmp_path / "out"
    (folder / "_next/static").mkdir(parents=True)
    script = folder / "_next/static/a.0f.js"
    script.write_text("code " * 200)
    Path(f"{script}.gz").write_bytes(gzip.compress(script.read_bytes()))
    (folder / "manifest.webmanifest").write_text("{}")
    (folder / "index.html").write_text(SHELL)
    (folder / "404.html").write_text(SHELL.replace("page", "lost"))
    (tmp_path / "secret.txt").write_text("secret")
    write_manifest(folder)
    monkeypatch.setattr(pages, "open_site", lambda objects: Site(folder))
    async with running_gateway() as (_, made):
        yield made


async def test_every_page_of_the_app_is_the_shell(session: aiohttp.ClientSession) -> None:
    for path in pages.PATHS.values():
        address = path.replace("{", "").replace("}", "")
        async with session.get(address, headers=BROWSER) as response:
            assert response.status == 200, path
            assert response.content_type == "text/html"
            assert response.headers["Cache-Control"] == "no-cache"
            assert "script-src 'self' 'sha256-x'" in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "page</body>" in await response.text()
        sent = {"If-None-Match": response.headers["ETag"]}
        async with session.get(address, headers=sent) as response:
            assert response.status == 304


async def test_files_are_kept_for_ever_where_their_name_changes_with_them(
    session: aiohttp.ClientSession,
) -> None:
    async with session.get("/_next/static/a.0f.js") as response:
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
        "/_next/static/",
        "/_next/static/a.0f.js.gz",
        "/_next/static/a.0f.js%00",
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
