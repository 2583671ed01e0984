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
