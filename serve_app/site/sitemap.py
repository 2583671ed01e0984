"""/robots.txt and the sitemap: an index, then communities, guides and the posts of each country."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from xml.sax.saxutils import escape

import msgspec
from aiohttp import hdrs, web

from actors.feed_messages import ListSitemap
from actors.sitemap_reads import COMMUNITIES, GUIDES, SitemapEntry
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.route import Nothing, Route
from serve_app.site.origin import origin_of

_XML: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE: Final = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
# Search engines ask a few times a day.
_CACHE: Final = "public, max-age=3600"
_decode: Final = msgspec.json.Decoder(list[SitemapEntry]).decode

# Of the parts that are no country's posts.
_PATHS: Final = {COMMUNITIES: "/communities/", GUIDES: "/guides/"}

# What is of use to its member alone, and what answers anew for every question.
_NOT_FOR_ROBOTS: Final = (
    "/api/", "/connection/", "/emulation", "/login", "/register", "/settings", "/notifications",
    "/search", "/ask",
)  # fmt: skip


async def robots(call: Call[Nothing, Nothing]) -> web.Response:
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in _NOT_FOR_ROBOTS)]
    lines.append(f"Sitemap: {origin_of(call)}/sitemap.xml")
    return web.Response(
        text="\n".join(lines) + "\n",
        headers={hdrs.CACHE_CONTROL: _CACHE},
        content_type="text/plain",
    )


async def index(call: Call[Nothing, Nothing]) -> web.Response:
    origin = origin_of(call)
    parts = await _entries(call, "")
    places = "".join(
        f"<sitemap><loc>{escape(origin)}/sitemap/{entry.name}.xml</loc></sitemap>"
        for entry in parts
    )
    return _xml(f"{_XML}<sitemapindex {_NAMESPACE}>{places}</sitemapindex>")


async def part(call: Call[Nothing, Nothing]) -> web.Response:
    name, dot, kind = call.values["part"].rpartition(".")
    if not dot or kind != "xml" or not name.isascii() or not name.isalpha():
        raise AppError("not_found", "No such path.")
    path = _PATHS.get(name, "/posts/")
    entries = await _entries(call, name)
    return _xml(f"{_XML}<urlset {_NAMESPACE}>{_urls(origin_of(call) + path, entries)}</urlset>")


async def _entries(call: Call[Nothing, Nothing], part: str) -> list[SitemapEntry]:
    return _decode((await call.backends.feed(ListSitemap(part))).body)


def _urls(base: str, entries: Iterable[SitemapEntry]) -> str:
    # Slugs and ids hold nothing that XML or a URL would read otherwise.
    return "".join(
        f"<url><loc>{escape(base)}{entry.name}</loc>"
        + (f"<lastmod>{entry.changed_at}</lastmod>" if entry.changed_at else "")
        + "</url>"
        for entry in entries
    )


def _xml(text: str) -> web.Response:
    return web.Response(
        body=text.encode(),
        headers={hdrs.CACHE_CONTROL: _CACHE, hdrs.CONTENT_TYPE: "application/xml; charset=utf-8"},
    )


def _route(path: str, handler: Any, summary: str) -> Route[Any, Any]:
    return Route("GET", path, handler, summary, access="open", rate="read", hidden=True,
                 content_type="application/xml")  # fmt: skip


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    _route("/robots.txt", robots, "For robots"),
    _route("/sitemap.xml", index, "Index of sitemaps"),
    _route("/sitemap/{part}", part, "A sitemap"),
)
