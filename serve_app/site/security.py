"""The headers of every HTML page of the frontend."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs

from serve_app.site.build import Shell

_PERMISSIONS: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def page_headers(shell: Shell, api_origin: str, buckets: tuple[str, ...] = ()) -> dict[str, str]:
    """`buckets`: origins that files are sent to and come from.

    Scripts are the build's own files and those inline ones whose hashes the build wrote. Pictures
    come from wherever members link to; nothing else does.
    """
    scripts = " ".join(("'self'", *(f"'{value}'" for value in shell.script_hashes)))
    targets = " ".join(("'self'", *_api_origins(api_origin), *buckets))
    policy = {
        "default-src": "'none'",
        "script-src": scripts,
        "style-src": "'self'",
        # React sets styles of elements by script, which this does not forbid; the export writes
        # some into the page.
        "style-src-attr": "'unsafe-inline'",
        "img-src": " ".join(("'self'", "data:", "blob:", "https:", *buckets)),
        "media-src": "'self' blob:",
        "font-src": "'self'",
        "connect-src": targets,
        "manifest-src": "'self'",
        "worker-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
        # Asked for again each time, since it names the files of the newest build.
        hdrs.CACHE_CONTROL: "no-cache",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": _PERMISSIONS,
        # Where a link leads to learns that it was Serai, not which thread.
        "Referrer-Policy": "strict-origin-when-cross-origin",
    }


def _api_origins(api_origin: str) -> tuple[str, ...]:
    if not api_origin:
        return ()
    parts = urlsplit(api_origin)
    socket_scheme = "wss" if parts.scheme == "https" else "ws"
    return (api_origin, f"{socket_scheme}://{parts.netloc}")
