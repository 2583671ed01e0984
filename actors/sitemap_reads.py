"""What search engines may find: public communities, guides, and the newest public posts of each
country."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.feed_messages import ListSitemap
from actors.messages import Reply
from config.errors import AppError
from config.reference import countries_by_alpha2, countries_by_numeric
from storage import sitemap
from storage.postgres import wal_position
from storage.replicas import Readers
from storage.stream_writer import rfc3339

COMMUNITIES: Final = "communities"
GUIDES: Final = "guides"
GROUPS: Final = "groups"
_NO_COUNTRY: Final = 0
_encode: Final = msgspec.json.Encoder().encode


class SitemapEntry(msgspec.Struct, frozen=True, array_like=True):
    """`name`: of a part, the slug of a community, the id of a guide or post; `changed_at`: where it
    is known."""

    name: str
    changed_at: str | None = None


class SitemapReader:
    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def list_part(self, request: ListSitemap) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            if request.part == "":
                found = await sitemap.countries_with_posts(connection)
                parts = [COMMUNITIES, *(_part_of(country_id) for country_id in found)]
                if await sitemap.has_guides(connection):
                    parts.insert(1, GUIDES)
                entries = [SitemapEntry(part) for part in parts]
            elif request.part == COMMUNITIES:
                slugs = await sitemap.public_communities(connection)
                entries = [SitemapEntry(slug) for slug in slugs]
            elif request.part == GUIDES:
                entries = _changed(await sitemap.guides(connection))
            else:
                country_id = _country_id_of(request.part)
                entries = _changed(await sitemap.newest_posts(connection, country_id))
        return Reply(200, _encode(entries), position, public=True)


def _changed(pages: list[sitemap.PublicPage]) -> list[SitemapEntry]:
    return [SitemapEntry(str(page.id), rfc3339(page.changed_at)) for page in pages]


def _part_of(country_id: int) -> str:
    country = countries_by_numeric().get(country_id)
    return GROUPS if country is None else country.alpha2


def _country_id_of(part: str) -> int:
    if part == GROUPS:
        return _NO_COUNTRY
    country = countries_by_alpha2().get(part)
    if country is None:
        raise AppError("not_found", "There is no such part.")
    return country.numeric
