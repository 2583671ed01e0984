"""Files of the build, and what an address gets that nothing knows."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from serve_app.site.build import Site
from serve_app.site.security import page_headers

_YEAR: Final = "public, max-age=31536000, immutable"


def file_response(site: Site, request: web.Request) -> web.StreamResponse | None:
    """None: no file has this address. Compressed where the client takes it (`.br`, `.gz`)."""
    build = site.build
    if build is None or request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
        return None
    file = build.files.get(request.path)
    if file is None:
        return None
    headers = {
        hdrs.CONTENT_TYPE: file.content_type,
        hdrs.CACHE_CONTROL: _YEAR if file.immutable else "public, max-age=3600",
        # Pages on another origin (a CDN in front of the gateway) load them too.
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return web.FileResponse(file.path, headers=headers)


def not_found_page(site: Site, request: web.Request) -> web.Response | None:
    """The app's own 404 for who asks for a page; None for programs, which want a problem."""
    build = site.build
    if build is None or request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
        return None
    if "text/html" not in request.headers.get(hdrs.ACCEPT, "") or _is_for_programs(request.path):
        return None
    head = '<title>Serai</title><meta name="robots" content="noindex">'
    return web.Response(
        status=HTTPStatus.NOT_FOUND,
        body=build.not_found.html(head),
        headers=page_headers(build.not_found, build.api_origin, site.buckets),
    )


def _is_for_programs(path: str) -> bool:
    return path.startswith(("/api/", "/_next/", "/connection/", "/emulation"))
