"""Telling communities that an official page has changed: by a post of the server's own account.

A post is live at once, stays for those who come later, can be found and answered, and tells those
who follow the community (docs/adr/0023).
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from actors.job_tools import JobTools
from actors.messages import Caller, CreatePost, Failure
from actors.shard_messages import Ephemeral, Publication
from config.reference import countries_by_numeric
from storage import official_links
from storage.directory import Directory
from storage.official_links import ChangedLink
from storage.postgres import acquire
from storage.system_account import (
    SYSTEM_ACCOUNT,
    SYSTEM_HANDLE,
    SYSTEM_NAME,
    ensure_system_account,
)

_log = logging.getLogger(__name__)

# A page that changes every day is told of once a week.
_QUIET: Final = dt.timedelta(days=7)
_AT_ONCE: Final = 50
_MAX_TITLES: Final = 10
_MAX_TITLE_CHARACTERS: Final = 300
_SERVER: Final = Caller(SYSTEM_ACCOUNT, SYSTEM_HANDLE, SYSTEM_NAME)
# No later try would end otherwise: the community is archived, or somebody has suspended the server.
_FINAL: Final = frozenset(
    {"not_found", "not_permitted", "suspended", "unauthenticated", "conflict", "locked"}
)


class _Publisher:
    def __init__(self, tools: JobTools) -> None:
        self._publish = tools.publish

    def publish(self, publications: Sequence[Publication]) -> None:
        self._publish(list(publications))

    def publish_ephemeral(self, events: Sequence[Ephemeral]) -> None:
        """A new post has none."""


class Announcer:
    def __init__(self, tools: JobTools) -> None:
        self._tools = tools

    async def tell(self) -> None:
        """Once for each change and community, wherever it is cut off: a post has a key, and the
        change counts as told when all are written. Raises AppError."""
        async with acquire(self._tools.pool) as connection:
            changed = await official_links.untold(connection, _QUIET, _AT_ONCE)
            if not changed:
                return
            await ensure_system_account(connection)
        # Rendering and its libraries are loaded where there is something to write.
        from actors.thread import Thread

        thread = Thread(self._tools.pool, Directory(self._tools.pool), _Publisher(self._tools))
        for link in changed:
            for slug, titles in places_of(link):
                (outcome,) = await thread.handle_batch([_post(link, slug, titles)])
                if isinstance(outcome, Failure):
                    if outcome.code not in _FINAL:
                        raise outcome.error()
                    _log.warning("%s is not told of %s: %s", slug, link.url, outcome.code)
            async with acquire(self._tools.pool) as connection:
                await official_links.told(connection, link.id, link.last_changed_at)


def places_of(link: ChangedLink) -> list[tuple[str, list[str]]]:
    """(slug of a community, what names the page there): the community of a visa type where the page
    is about that one alone, else the country's."""
    by_country: dict[int, list[tuple[str | None, str]]] = {}
    for country_id, visa_type, title in link.places:
        by_country.setdefault(country_id, []).append((visa_type, title))
    found = []
    for country_id, named in by_country.items():
        country = countries_by_numeric()[country_id].alpha2.lower()
        visa_types = {visa_type for visa_type, _ in named}
        (only, *others) = visa_types
        slug = country if only is None or others else f"{country}-{only}"
        found.append((slug, list(dict.fromkeys(title for _, title in named))))
    return found


def _post(link: ChangedLink, slug: str, titles: list[str]) -> CreatePost:
    host = urlsplit(link.url).netloc
    day = f"{link.last_changed_at:%Y-%m-%d}"
    named = "\n".join(f"- {title}" for title in titles[:_MAX_TITLES])
    body = (
        f"The text of <{link.url}> is not what it was; this was seen on {day}. Here the page stands"
        f" behind:\n\n{named}\n\nPlease compare it with what you rely on, and write below what is"
        " different.\n\n*Written by the server, which compares the words of the page and does not"
        " know what they mean.*"
    )
    key = f"official-link-{link.id}-{int(link.last_changed_at.timestamp() * 1000)}-{slug}"
    return CreatePost(
        _SERVER, slug, f"An official page has changed: {host}"[:_MAX_TITLE_CHARACTERS], body, "en",
        ("official-page",), key[:128], time.time_ns(),
    )  # fmt: skip
