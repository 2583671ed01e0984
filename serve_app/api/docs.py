"""/api/v1/openapi.json and /api/docs, a page that needs nothing from outside this server."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

from aiohttp import hdrs, web

from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.headers import etag_of, is_match
from serve_app.api.route import Nothing, Route

OPENAPI: Final = web.AppKey("openapi", bytes)
OPENAPI_PATH: Final = "/api/v1/openapi.json"

_PAGE: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Serai API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/api/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<noscript>This page needs JavaScript; the document itself is
<a href="/api/v1/openapi.json">openapi.json</a>.</noscript>
<script src="/api/docs/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script>
</body>
</html>
"""
_START: Final = b"""SwaggerUIBundle({
  url: "/api/v1/openapi.json", dom_id: "#page", deepLinking: true, docExpansion: "list",
  validatorUrl: null, persistAuthorization: false, displayRequestDuration: true,
});
"""
# Everything from this server; Swagger UI sets styles in elements and draws icons as data: images.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    hdrs.CACHE_CONTROL: "no-cache",
}
_TYPES: Final[Mapping[str, str]] = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


async def openapi(call: Call[Nothing, Nothing]) -> web.Response:
    body = call.request.app[OPENAPI]
    headers = {hdrs.ETAG: etag_of(body), hdrs.CACHE_CONTROL: "no-cache"}
    if is_match(headers[hdrs.ETAG], call.request.headers.get(hdrs.IF_NONE_MATCH, "")):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers, content_type="application/json")


async def page(call: Call[Nothing, Nothing]) -> web.Response:
    return web.Response(body=_PAGE, headers=_HEADERS, content_type="text/html", charset="utf-8")


async def asset(call: Call[Nothing, Nothing]) -> web.StreamResponse:
    name = call.request.match_info["asset"]
    if name == "start.js":
        return web.Response(body=_START, headers=_HEADERS, content_type="text/javascript")
    if name not in _TYPES:
        raise AppError("not_found")
    return web.FileResponse(_folder() / name, headers={**_HEADERS, hdrs.CONTENT_TYPE: _TYPES[name]})


@cache
def _folder() -> Path:
    """The files alone: importing the package would import a web framework that nobody uses here."""
    return Path(str(distribution("fastapi-offline").locate_file("fastapi_offline/static")))


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route("GET", OPENAPI_PATH, openapi, "This document", access="open"),
    Route(
        "GET", "/api/docs", page, "This API as a page", access="open", content_type="text/html"
    ),
    Route(
        "GET", "/api/docs/{asset}", asset, "Files of the page", access="open", hidden=True,
        content_type="text/plain",
    ),
)  # fmt: skip
