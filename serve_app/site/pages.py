"""The shell, for every address of frontend/src/routing/paths.json.

What is public is described in its head (described.py), kept in the edge cache like any other public
page: until the next event of its stream. The rest of the page is the same for everybody.
"""

from __future__ import annotations

import gzip
import logging
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict

from actors.messages import Reply
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.headers import etag_of, is_match
from serve_app.api.route import Nothing, Route
from serve_app.gateway.edge_cache import ABSENT_CODES, Page
from serve_app.site.build import Build, Site
from serve_app.site.described import DESCRIBED
from serve_app.site.head import NOT_INDEXED, render_head, render_text
from serve_app.site.origin import origin_of
from serve_app.site.security import page_headers

if TYPE_CHECKING:
    from storage.objects import Objects

log = logging.getLogger(__name__)

SITE: Final = web.AppKey("site", Site)

_PATHS: Final = Path(__file__).resolve().parents[2] / "frontend" / "src" / "routing" / "paths.json"
PATHS: Final[dict[str, str]] = msgspec.json.decode(_PATHS.read_bytes(), type=dict[str, str])

_NOT_INDEXED: Final = render_head(NOT_INDEXED, "")
_NOT_BUILT: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Serai</title>
<link rel="icon" href="data:,">
</head>
<body>
<h1>The server runs, its web pages have not been built</h1>
<p>Stop it and start it with <code>make run</code> or <code>make demo</code>: that builds the pages
in <code>frontend/</code>, with Node 20 or newer of this machine or one that it installs into
<code>.tools/node</code>. What it printed says what went wrong.</p>
<p>The API works: <a href="/api/docs">its documentation</a>.</p>
</body>
</html>
"""
_NOT_BUILT_HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src data:; frame-ancestors 'none'",
}


def open_site(objects: Objects | None) -> Site:
    bucket = objects.bucket if objects is not None else None
    if bucket is None:
        return Site()
    endpoint = urlsplit(bucket.endpoint)
    host = endpoint.netloc if bucket.path_style else f"{bucket.name}.{endpoint.netloc}"
    return Site(buckets=(f"{endpoint.scheme}://{host}",))


class _Page:
    """One address of the app."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._describe = DESCRIBED.get(name)

    async def answer(self, call: Call[Nothing, Nothing]) -> web.StreamResponse:
        site = call.request.app[SITE]
        build = site.build
        if build is None:
            return web.Response(
                status=HTTPStatus.SERVICE_UNAVAILABLE, body=_NOT_BUILT, headers=_NOT_BUILT_HEADERS
            )
        headers = page_headers(build.shell, build.api_origin, site.buckets)
        headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
        pack = "gzip" in call.request.headers.get(hdrs.ACCEPT_ENCODING, "")
        page = None if self._describe is None else await self._described(call, build, pack)
        body = _encoded(build.shell.html(_NOT_INDEXED), pack) if page is None else page.body
        if pack:
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        headers[hdrs.ETAG] = etag_of(body) if page is None else page.headers[hdrs.ETAG]
        if is_match(headers[hdrs.ETAG], call.request.headers.get(hdrs.IF_NONE_MATCH, "")):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(body=body, headers=headers)

    async def _described(
        self, call: Call[Nothing, Nothing], build: Build, pack: bool
    ) -> Page | None:
        """None: there is nothing to describe, or no way to find out. The page itself is the same
        for everybody and shown in any case: what may be seen in it the API decides."""
        describe = self._describe
        assert describe is not None
        verdict = await call.services.rate_limiter.check("read", None, call.address)
        if not verdict.allowed:
            return None
        origin = origin_of(call)

        async def load(position: int) -> Reply:
            head, read = await describe(replace(call, position=position), origin)
            html = build.shell.html(render_head(head, origin), render_text(head))
            body = _encoded(html, pack)
            return (
                Reply(body=body, public=True)
                if read is None
                else msgspec.structs.replace(read, body=body)
            )

        def make_headers(reply: Reply) -> CIMultiDict[str]:
            return CIMultiDict({hdrs.ETAG: etag_of(reply.body)})

        path = "/".join(call.values.values())
        key = f"site {build.id} {pack} {origin} {self._name}\n{path}"
        try:
            return await call.services.edge_cache.page(key, key, None, load, make_headers)
        except AppError as error:
            if error.code not in ABSENT_CODES and not error.retryable:
                log.error("the head of a page can't be written (%s): %r", self._name, error)
            return None


def _encoded(html: bytes, pack: bool) -> bytes:
    # Some 10 kB, once a page that is kept: a third of a millisecond.
    return gzip.compress(html, compresslevel=6, mtime=0) if pack else html


ROUTES: Final[tuple[Route[Any, Any], ...]] = tuple(
    Route(
        "GET", path, _Page(name).answer, f"Page: {name}", access="open", content_type="text/html",
        hidden=True,
    )
    for name, path in PATHS.items()
)  # fmt: skip
