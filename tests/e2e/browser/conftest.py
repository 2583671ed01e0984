"""Chromium against the real server and the built frontend.

All tests of this folder share one event loop, so that they share one browser; each visitor has a
context of their own, with nothing of the others in it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from serve_app.site.build import read_build
from tests.e2e.api_client import ApiClient
from tests.e2e.browser.dump import write_dump
from tests.e2e.browser.visitor import Visitor
from tests.e2e.server import RunningServer

_HERE = Path(__file__).parent
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Of everything that a page is waited for: the machine may be busy with the server's start.
_PATIENCE_MS = 60_000
_QUIET = (
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
)

Visit = Callable[..., Awaitable[Visitor]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.e2e)


def _chromium() -> str:
    for name in _NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    missing = "No Chromium for the tests in a browser: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if read_build() is None:
        pytest.fail("The frontend is not built: make site")
    expect.set_options(timeout=_PATIENCE_MS)
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(
            executable_path=_chromium(), chromium_sandbox=False, args=list(_QUIET)
        )
        yield made
        await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, server: RunningServer) -> AsyncIterator[Visit]:
    """`await visit(width=360, theme="light", language="en")`: a visitor at a new browser."""
    visitors: list[Visitor] = []

    async def come(
        *, width: int = 390, height: int = 800, theme: str = "light", language: str = "en"
    ) -> Visitor:
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            locale=language,
            reduced_motion="reduce",
        )
        context.set_default_timeout(_PATIENCE_MS)
        visitor = Visitor(context, await context.new_page(), server.url)
        visitors.append(visitor)
        return visitor

    yield come
    trouble = [text for visitor in visitors for text in visitor.unexpected]
    for visitor in visitors:
        await visitor.context.close()
    assert not trouble, "\n".join(trouble)


@pytest_asyncio.fixture(loop_scope="session")
async def api(server: RunningServer) -> AsyncIterator[ApiClient]:
    """A member by the API, for what a test needs to find: posts, communities, other people."""
    async with ApiClient(server.url) as client:
        await client.register()
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def imported(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A guide, a checklist and a dozen timelines of Portugal's D7 visa."""
    directory = write_dump(tmp_path_factory.mktemp("dump") / "files", secrets.token_hex(3))
    done = await asyncio.to_thread(server.command, "import", str(directory))
    assert done.returncode == 0, done.stderr
