"""Somebody at a browser of their own, and what went wrong in it without their doing."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import BrowserContext, ConsoleMessage, Page, Request, Response, expect

from tests.e2e.api_client import PASSWORD as API_PASSWORD

SCREENSHOTS: Final = Path(__file__).resolve().parents[3] / "build" / "screenshots"
PASSWORD: Final = "a password of four words"
# What axe says that is no defect of a page: best practices beyond WCAG are the design's business.
_AXE: Final = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


class Visitor:
    """`page` is a Playwright page; `trouble` collects errors of scripts, messages of the console
    and answers that say that the server failed. The fixture asserts that there were none."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.handle = ""
        self.trouble: list[str] = []
        self._allowed: tuple[str, ...] = ()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._note(f"script: {error}"))
        page.on("requestfailed", self._on_failed)
        page.on("response", self._on_response)

    def allow(self, *texts: str) -> None:
        """Trouble that holds one of these is part of the test."""
        self._allowed += texts

    @property
    def unexpected(self) -> list[str]:
        return [text for text in self.trouble if not any(part in text for part in self._allowed)]

    async def lose_network(self) -> None:
        """What the browser itself says of requests and sockets that it gives up is part of it."""
        self.allow("ERR_INTERNET_DISCONNECTED", "WebSocket")
        await self.context.set_offline(True)

    async def find_network(self) -> None:
        await self.context.set_offline(False)

    async def open(self, path: str) -> None:
        """Returns when the page shows its heading."""
        await self.page.goto(f"{self.url}{path}")
        await expect(self.page.locator("h1")).to_be_visible()

    async def sign_up(self) -> str:
        """As a newcomer does, by the form. Returns the handle."""
        self.handle = f"v_{secrets.token_hex(5)}"
        await self.open("/register")
        page = self.page
        await page.get_by_label("Your name here").fill(self.handle)
        await page.get_by_label("E-mail").fill(f"{self.handle}@mail.example")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Create an account").click()
        await expect(page.get_by_role("button", name=f"Account of {self.handle}")).to_be_visible()
        return self.handle

    async def sign_in(self, handle: str, password: str = API_PASSWORD) -> None:
        """As somebody who has an account already, that of an ApiClient for instance."""
        await self.open("/login")
        await self.enter(handle, password)

    async def enter(self, handle: str, password: str = API_PASSWORD) -> None:
        """By the form that the page shows: what the page remembers stays with it."""
        self.handle = handle
        page = self.page
        await page.get_by_label("Name or e-mail").fill(handle)
        await page.get_by_label("Password", exact=True).fill(password)
        await page.get_by_role("main").get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("button", name=f"Account of {handle}")).to_be_visible()

    async def look(self, name: str) -> None:
        """A picture for whoever changed the page, and what no page may be: broader than the screen,
        or hard to use for somebody (axe, WCAG 2.2 AA)."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png")
        broader = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert broader <= 0, f"{name}: {broader} px broader than the screen"
        found = await Axe().run(self.page, options=_AXE)
        assert found.violations_count == 0, f"{name}:\n{found.generate_report()}"

    def _note(self, text: str) -> None:
        self.trouble.append(text)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(f"console: {message.text} ({message.location.get('url', '')})")

    def _on_failed(self, request: Request) -> None:
        # A page that is left ends what it was reading.
        if request.failure != "net::ERR_ABORTED":
            self._note(f"request: {request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 500:
            self._note(f"answer: {response.status} {response.url}")
