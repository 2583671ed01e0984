"""The shell, for every address of frontend/src/routing/paths.json."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import hdrs, web

from serve_app.api.call import Call
from serve_app.api.headers import etag_of, is_match
from serve_app.api.route import Nothing, Route
from serve_app.site.build import Site
from serve_app.site.security import page_headers

if TYPE_CHECKING:
    from storage.objects import Objects

SITE: Final = web.AppKey("site", Site)

_PATHS: Final = Path(__file__).resolve().parents[2] / "frontend" / "src" / "routing" / "paths.json"
PATHS: Final[dict[str, str]] = msgspec.json.decode(_PATHS.read_bytes(), type=dict[str, str])

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


async def shell(call: Call[Nothing, Nothing]) -> web.StreamResponse:
    site = call.request.app[SITE]
    build = site.build
    if build is None:
        return web.Response(
            status=HTTPStatus.SERVICE_UNAVAILABLE, body=_NOT_BUILT, headers=_NOT_BUILT_HEADERS
        )
    body = build.shell.html()
    headers = page_headers(build.shell, build.api_origin, site.buckets)
    headers[hdrs.ETAG] = etag_of(body)
    if is_match(headers[hdrs.ETAG], call.request.headers.get(hdrs.IF_NONE_MATCH, "")):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(body=body, headers=headers)


ROUTES: Final[tuple[Route[Any, Any], ...]] = tuple(
    Route(
        "GET", path, shell, f"Page: {name}", access="open", content_type="text/html", hidden=True,
    )
    for name, path in PATHS.items()
)  # fmt: skip
