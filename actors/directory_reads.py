"""Countries, visa types and communities: what there is to join."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from actors import content
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.feed_messages import ListCommunities, ListTags, ListVisaTypes, ReadCommunity
from actors.messages import Caller, Reply
from actors.shard_messages import StreamPosition
from config.errors import AppError
from config.reference import Country, countries, countries_by_alpha2, visa_types
from storage import community_pages
from storage.communities import may_read, not_found
from storage.community_pages import CommunityFilter, CommunityRow
from storage.directory import Community, Directory
from storage.postgres import Connection, wal_position
from storage.replicas import Readers
from storage.stream_writer import rfc3339
from storage.tags import count_tags

_encode: Final = msgspec.json.Encoder().encode


class CommunityView(msgspec.Struct, frozen=True):
    id: UUID
    slug: str
    name: str
    country: str | None
    visa_type: str | None
    kind: str
    member_count: int
    rules: str
    visibility: str
    joining: str
    archived: bool
    created_at: str


class DirectoryReader:
    def __init__(self, readers: Readers, directory: Directory) -> None:
        self._readers = readers
        self._directory = directory
        self._countries = _countries_page()
        self._visa_types: dict[str | None, bytes] = {}

    def list_countries(self) -> Reply:
        return Reply(200, self._countries, public=True)

    def list_visa_types(self, request: ListVisaTypes) -> Reply:
        country = None if request.country is None else known_country(request.country)
        key = None if country is None else country.alpha2
        page = self._visa_types.get(key)
        if page is None:
            page = self._visa_types[key] = _visa_types_page(key)
        return Reply(200, page, public=True)

    async def list_communities(self, request: ListCommunities) -> Reply:
        """The public ones, the same for everyone; `joined`: the caller's own, private ones too."""
        joined_by = request.caller.account_id if request.joined else None
        if request.joined and joined_by is None:
            raise AppError("unauthenticated", "Guests have joined nothing.")
        country = None if request.country is None else known_country(request.country)
        without_nul("q", request.q)
        without_nul("visa_type", request.visa_type)
        wanted = CommunityFilter(
            None if country is None else country.numeric, request.visa_type, request.q, joined_by
        )
        scope = repr((wanted.country_id, wanted.visa_type, wanted.text, joined_by))
        after = ""
        if request.cursor is not None:
            after = decode_cursor(CursorKind.COMMUNITIES, scope, request.cursor, str)
            without_nul("cursor", after)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            rows = await community_pages.list_communities(
                connection, wanted, after, request.limit + 1
            )
        more = len(rows) > request.limit
        rows = rows[: request.limit]
        cursor = encode_cursor(CursorKind.COMMUNITIES, scope, rows[-1].slug) if more else None
        body = _encode({"items": [community_view(row) for row in rows], "next_cursor": cursor})
        return Reply(200, body, position, public=joined_by is None)

    async def read_community(self, request: ReadCommunity) -> Reply:
        community = await find_community(self._directory, request.community)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            found = await community_pages.read_community(connection, community.id)
            if found is None:
                raise not_found()
            row, epoch, offset = found
            if row.visibility != "public" and not await may_read(
                connection, row.id, request.caller.account_id
            ):
                if row.joining != "request":
                    raise not_found()
                # Who may ask to join may see what for.
                card = _encode(community_view(row))
                return Reply(200, card, position, False, f"community:{row.id}", offset)
        return community_page(row, epoch, offset, position)

    async def list_tags(self, request: ListTags) -> Reply:
        """The most frequent ones, counted among the community's newest posts."""
        community = await find_community(self._directory, request.community)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            found = await community_pages.read_community(connection, community.id)
            if found is None:
                raise not_found()
            row, _, offset = found
            if row.visibility != "public":
                await require_reader(connection, request.caller, row.id)
            counts = await count_tags(connection, row.country_id, row.id, request.limit)
        items = [{"tag": tag, "posts": posts} for tag, posts in counts]
        body = _encode({"items": items, "next_cursor": None})
        public = row.visibility == "public"
        return Reply(200, body, position, public, f"community:{row.id}", offset)


def community_page(row: CommunityRow, epoch: str, offset: int, position: int) -> Reply:
    return content.live_page(
        _encode(community_view(row)),
        f"community:{row.id}",
        StreamPosition(epoch, offset),
        position,
        public=row.visibility == "public",
    )


async def find_community(directory: Directory, id_or_slug: str) -> Community:
    community = None if "\0" in id_or_slug else await directory.find(id_or_slug)
    if community is None:
        raise not_found()
    return community


async def require_reader(connection: Connection, caller: Caller, community_id: UUID) -> None:
    """Whoever may not see a private community is not told that it exists."""
    if not await may_read(connection, community_id, caller.account_id):
        raise not_found()


def known_country(alpha2: str) -> Country:
    """By its alpha-2 code, in any case."""
    country = countries_by_alpha2().get(alpha2.upper())
    if country is None:
        reason = "no country of ISO 3166-1 has this code"
        raise AppError("invalid", f"country: {reason}.", errors=(("country", reason),))
    return country


def without_nul(path: str, text: str | None) -> None:
    if text is not None and "\0" in text:
        raise AppError("invalid", f"{path}: holds a NUL.", errors=((path, "holds a NUL"),))


def community_view(row: CommunityRow) -> CommunityView:
    return CommunityView(
        row.id, row.slug, row.name, content.alpha2(row.country_id), row.visa_type, row.kind,
        row.member_count, row.rules, row.visibility, row.joining, row.archived,
        rfc3339(row.created_at),
    )  # fmt: skip


def _countries_page() -> bytes:
    counts: dict[str, int] = {}
    for visa_type in visa_types():
        counts[visa_type.country.alpha2] = counts.get(visa_type.country.alpha2, 0) + 1
    items = [
        {
            "code": country.alpha2,
            "name": country.name,
            "flag": country.flag,
            "community": country.alpha2.lower(),
            "visa_type_count": counts.get(country.alpha2, 0),
        }
        for country in countries()
    ]
    return _encode({"items": items, "next_cursor": None})


def _visa_types_page(alpha2: str | None) -> bytes:
    items = [
        {
            "country": visa_type.country.alpha2,
            "code": visa_type.code,
            "name": visa_type.name_en,
            "name_local": visa_type.name_local,
            "category": visa_type.category,
            "official_url": visa_type.official_url,
            "community": f"{visa_type.country.alpha2.lower()}-{visa_type.code}",
        }
        for visa_type in visa_types()
        if alpha2 is None or visa_type.country.alpha2 == alpha2
    ]
    return _encode({"items": items, "next_cursor": None})
