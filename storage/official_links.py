"""Official pages: where they are named (the view official_source), and what was seen of each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from storage.postgres import Connection

SourceKind = Literal["visa_type", "guide", "checklist"]


class LinkRow(msgspec.Struct, frozen=True):
    """Of a page that nobody has looked at, `id` and the times are None."""

    url: str
    id: int | None
    status: str
    http_status: int | None
    content_hash: bytes | None
    last_checked_at: dt.datetime | None
    last_ok_at: dt.datetime | None
    last_changed_at: dt.datetime | None


class Source(msgspec.Struct, frozen=True):
    """What names a page. `visa_type` None: of the country as a whole."""

    kind: SourceKind
    country: str
    visa_type: str | None
    reference: str
    title: str


class Listed(msgspec.Struct, frozen=True):
    link: LinkRow
    sources: list[Source]


_sources: Final = msgspec.json.Decoder(list[Source])
_LINK: Final = """
    l.id, coalesce(l.status, 'unchecked') as status, l.http_status, l.content_hash,
    l.last_checked_at, l.last_ok_at, l.last_changed_at"""

# Some thousand sources; of one country by the indexes of their tables.
_LIST: Final = f"""
    with named as (
        select s.url, json_agg(json_build_object(
                   'kind', s.kind, 'country', c.alpha2, 'visa_type', s.visa_type,
                   'reference', s.reference, 'title', s.title)
                   order by s.country_id, s.kind, s.visa_type, s.reference) as sources
          from official_source s join country c on c.id = s.country_id
         where ($1::smallint is null or s.country_id = $1)
           and ($2::text is null or s.visa_type is null or s.visa_type = $2)
           and s.url > $3
         group by s.url order by s.url limit $4)
    select n.url, {_LINK}, n.sources::text as sources
      from named n left join official_link l on l.url = n.url order by n.url"""


async def list_links(
    connection: Connection, country_id: int | None, visa_type: str | None, after: str, limit: int
) -> list[Listed]:
    """In the order of their addresses. `visa_type`: also those of the country as a whole."""
    rows = await connection.fetch(_LIST, country_id, visa_type, after, limit)
    found = []
    for row in rows:
        *link, sources = row.values()
        found.append(Listed(LinkRow(*link), _sources.decode(sources)))
    return found


async def states(connection: Connection, urls: Sequence[str]) -> list[LinkRow]:
    """Of each of these pages, in no order."""
    rows = await connection.fetch(
        f"select u.url, {_LINK} from unnest($1::text[]) u (url)"
        " left join official_link l on l.url = u.url",
        list(urls),
    )
    return [LinkRow(*row) for row in rows]


# ---------------------------------------------------------------- what the job keeps


class DueLink(msgspec.Struct, frozen=True):
    id: int
    url: str
    final_url: str | None
    etag: str | None
    last_modified: str | None
    content_hash: bytes | None
    failures: int


class Seen(msgspec.Struct, frozen=True):
    """What a look at a page brought. `content_hash` None: its text is as it was, or unknown."""

    status: str
    http_status: int | None
    reason: str | None
    final_url: str | None
    etag: str | None
    last_modified: str | None
    content_hash: bytes | None
    next_in: dt.timedelta


class ChangedLink(msgspec.Struct, frozen=True):
    """A change that nobody was told of. `places`: what names the page, (country, visa type or None
    for the country as a whole, what it is called there)."""

    id: int
    url: str
    last_changed_at: dt.datetime
    places: list[tuple[int, str | None, str]]


_SYNC: Final = """
    with gone as (
        delete from official_link l
         where not exists (select from official_source s where s.url = l.url))
    insert into official_link (url)
    select distinct url from official_source order by url on conflict do nothing"""


async def sync(connection: Connection) -> None:
    """A row for each page that is named anywhere, and no others. What is as it should be is not
    written."""
    await connection.execute(_SYNC)


async def due(connection: Connection, limit: int) -> list[DueLink]:
    """Those that wait longest come first. By official_link_due."""
    rows = await connection.fetch(
        f"select {', '.join(DueLink.__struct_fields__)} from official_link"
        " where next_check_at <= clock_timestamp() order by next_check_at limit $1",
        limit,
    )
    return [DueLink(*row) for row in rows]


_SAVE: Final = """
    update official_link set
           status = $2, http_status = $3, reason = $4, final_url = $5, etag = $6,
           last_modified = $7, last_checked_at = now(),
           last_changed_at = case when content_hash <> $8 then now()
                                  else last_changed_at end,
           content_hash = coalesce($8, content_hash),
           last_ok_at = case when $2 = 'ok' then now() else last_ok_at end,
           failures = case when $2 = 'ok' then 0 else failures + 1 end,
           next_check_at = now() + $9
     where id = $1"""


async def save(connection: Connection, id: int, seen: Seen) -> None:
    await connection.execute(
        _SAVE, id, seen.status, seen.http_status, seen.reason, seen.final_url, seen.etag,
        seen.last_modified, seen.content_hash, seen.next_in,
    )  # fmt: skip


_UNTOLD: Final = """
    select l.id, l.url, l.last_changed_at, s.country_id, s.visa_type, s.title
      from official_link l join official_source s on s.url = l.url
     where l.id in (
           select id from official_link
            where last_changed_at is distinct from announced_at
              and (announced_at is null or announced_at < clock_timestamp() - $1::interval)
            order by last_changed_at limit $2)
     order by l.id, s.country_id, s.visa_type, s.kind desc, s.reference"""


async def untold(connection: Connection, quiet: dt.timedelta, limit: int) -> list[ChangedLink]:
    """Changes of pages whose last one was told longer ago than `quiet`. By official_link_untold."""
    found: dict[int, ChangedLink] = {}
    for row in await connection.fetch(_UNTOLD, quiet, limit):
        link = found.setdefault(
            row["id"], ChangedLink(row["id"], row["url"], row["last_changed_at"], [])
        )
        link.places.append((row["country_id"], row["visa_type"], row["title"]))
    return list(found.values())


async def told(connection: Connection, id: int, changed_at: dt.datetime) -> None:
    await connection.execute(
        "update official_link set announced_at = $2 where id = $1", id, changed_at
    )
