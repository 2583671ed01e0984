"""The job 'check_links': looks at official pages, politely, and tells communities of changes.

due ─▶ by host, one after the other with a pause ─▶ fetch ─▶ hash of the text ─▶ save
changed, and not told yet ─▶ a post in each community that the page matters to
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from actors.job_tools import JobTools
from actors.links.announcing import Announcer
from actors.links.fetching import FetchFailed, Known, Limits, Page, fetch
from actors.links.page_text import content_hash
from storage import official_links
from storage.official_links import DueLink, Seen
from storage.postgres import acquire

_log = logging.getLogger(__name__)

AGENT: Final = "SeraiLinkCheck/1.0"
_AT_ONCE: Final = 60
_HOSTS_AT_ONCE: Final = 4
# Of one run: what is left is due at the next one.
_RUN_SECONDS: Final = 240.0
_FIRST_RETRY: Final = dt.timedelta(hours=1)
_MOST_DOUBLINGS: Final = 6
_OK, _NOT_MODIFIED = 200, 304
_MISSING: Final = frozenset({404, 410})
_REFUSED: Final = frozenset({401, 403, 406, 429, 451})

Fetch = Callable[[str, Limits, Known | None], Awaitable[Page]]


class LinkChecker:
    """One run at a time (job_table.py). Without `official_links.check` nobody is asked."""

    def __init__(
        self,
        tools: JobTools,
        *,
        get: Fetch = fetch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = tools.pool
        self._rule = tools.settings.official_links
        self._announcer = Announcer(tools)
        self._fetch = get
        self._clock = clock
        contact = f" (+{self._rule.contact})" if self._rule.contact else ""
        self._limits = Limits(
            self._rule.timeout_seconds,
            self._rule.max_bytes,
            AGENT + contact,
            [ipaddress.ip_network(network) for network in self._rule.allowed_networks],
        )

    async def run(self, payload: bytes) -> None:
        """Raises AppError. What was looked at stays so, wherever it is cut off."""
        async with acquire(self._pool) as connection:
            await official_links.sync(connection)
            if not self._rule.check:
                return
            found = await official_links.due(connection, _AT_ONCE)
        by_host: dict[str, list[DueLink]] = {}
        for link in found:
            by_host.setdefault(urlsplit(link.url).netloc.lower(), []).append(link)
        ends_at = self._clock() + _RUN_SECONDS
        hosts = asyncio.Semaphore(_HOSTS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for links in by_host.values():
                group.create_task(self._check_host(links, hosts, ends_at))
        await self._announcer.tell()

    async def _check_host(
        self, links: list[DueLink], hosts: asyncio.Semaphore, ends_at: float
    ) -> None:
        async with hosts:
            for number, link in enumerate(links):
                if number:
                    await asyncio.sleep(self._rule.host_pause_seconds)
                if self._clock() >= ends_at:
                    return
                seen = await self._look(link)
                async with acquire(self._pool) as connection:
                    await official_links.save(connection, link.id, seen)

    async def _look(self, link: DueLink) -> Seen:
        known = None
        if link.content_hash is not None:  # else there is nothing that could be as it was
            known = Known(link.final_url or link.url, link.etag, link.last_modified)
        try:
            page = await self._fetch(link.url, self._limits, known)
        except FetchFailed as error:
            _log.info("official page %s: %s", link.url, error)
            return Seen(
                "failed", None, str(error), link.final_url, link.etag, link.last_modified, None,
                self._next(link, "failed"),
            )  # fmt: skip
        status = _status(page.status)
        is_new = page.status == _OK
        return Seen(
            status,
            page.status,
            None if status == "ok" else f"HTTP {page.status}",
            None if page.url == link.url else page.url,
            page.etag if is_new else link.etag,
            page.last_modified if is_new else link.last_modified,
            await asyncio.to_thread(content_hash, page.content_type, page.body) if is_new else None,
            self._next(link, status),
        )

    def _next(self, link: DueLink, status: str) -> dt.timedelta:
        usual = dt.timedelta(hours=self._rule.every_hours)
        if status == "ok":
            return usual
        return min(usual, _FIRST_RETRY * (1 << min(link.failures, _MOST_DOUBLINGS)))


def _status(code: int) -> str:
    if code in (_OK, _NOT_MODIFIED):
        return "ok"
    if code in _MISSING:
        return "missing"
    return "refused" if code in _REFUSED else "failed"
