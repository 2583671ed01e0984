"""One page over HTTP: bounded in time, bytes and redirects, and never from inside the own network.

    url ─▶ target_of ─▶ resolve ─▶ choose ─▶ connect to that address ─▶ a page, or a redirect: again

The address that was checked is the one that is connected to, so that a name which answers another
one a moment later leads nowhere. HTTP/1.1 with one request a connection: that is all it takes, and
no client library lets us choose the address.
"""

from __future__ import annotations

import asyncio
import functools
import http.client
import io
import ipaddress
import socket
import ssl
from asyncio import LimitOverrunError
from collections.abc import Sequence
from http.client import HTTPException
from typing import Final, NamedTuple
from urllib.parse import urldefrag, urljoin

from actors.links.addresses import Address, Network, Refused, Target, choose, target_of

_MAX_REDIRECTS: Final = 5
_HEADER_BYTES: Final = 65_536
_MAX_INTERIM: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CONTINUE, _SWITCHING, _OK = 100, 101, 200


class Limits(NamedTuple):
    """`allowed`: networks that may be asked although they are not public."""

    timeout_seconds: float
    max_bytes: int
    user_agent: str
    allowed: Sequence[Network] = ()


class Known(NamedTuple):
    """What the last look said of `url`, where redirects had led."""

    url: str
    etag: str | None = None
    last_modified: str | None = None


class Page(NamedTuple):
    """`url`: where redirects led. `body`: up to `max_bytes`, empty for 304 and errors."""

    url: str
    status: int
    etag: str | None
    last_modified: str | None
    content_type: str
    body: bytes


class FetchFailed(Exception):
    """Why there is no answer, in words that hold nothing of the network behind."""


async def fetch(url: str, limits: Limits, known: Known | None = None) -> Page:
    """Raises FetchFailed. Cancelling closes the connection."""
    try:
        async with asyncio.timeout(limits.timeout_seconds):
            for _ in range(_MAX_REDIRECTS + 1):
                page, location = await _once(url, limits, known)
                if location is None:
                    return page
                url = urldefrag(urljoin(url, location)).url
    except Refused as error:
        raise FetchFailed(str(error)) from error
    except TimeoutError as error:
        raise FetchFailed("no answer in time") from error
    except ssl.SSLError as error:
        raise FetchFailed("no trusted connection (TLS)") from error
    except socket.gaierror as error:
        raise FetchFailed("the host has no address") from error
    except (OSError, EOFError, ValueError, LimitOverrunError, HTTPException) as error:
        raise FetchFailed("no answer, or none of HTTP") from error
    raise FetchFailed("too many redirects")


async def _once(url: str, limits: Limits, known: Known | None) -> tuple[Page, str | None]:
    """A page, and where it redirects to."""
    target = target_of(url)
    address = choose(target, await _resolve(target), limits.allowed)
    reader, writer = await asyncio.open_connection(
        str(address),
        target.port,
        limit=_HEADER_BYTES,
        ssl=_tls() if target.scheme == "https" else None,
        server_hostname=target.host if target.scheme == "https" else None,
    )
    try:
        writer.write(_request(target, limits, known if known and known.url == url else None))
        await writer.drain()
        status, headers = await _head(reader)
        page = Page(
            url, status, headers.get("ETag"), headers.get("Last-Modified"),
            headers.get("Content-Type", ""), b"",
        )  # fmt: skip
        if status in _REDIRECTS and headers.get("Location"):
            return page, str(headers["Location"])
        if status == _OK:
            page = page._replace(body=await _body(reader, headers, limits.max_bytes))
        return page, None
    finally:
        writer.transport.abort()


async def _resolve(target: Target) -> list[Address]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(entry[4][0]) for entry in found]


def _request(target: Target, limits: Limits, known: Known | None) -> bytes:
    lines = [
        f"GET {target.path} HTTP/1.1",
        f"Host: {target.host_header}",
        f"User-Agent: {limits.user_agent}",
        "Accept: text/html,application/xhtml+xml,*/*;q=0.5",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    for name, value in (
        ("If-None-Match", known and known.etag),
        ("If-Modified-Since", known and known.last_modified),
    ):
        if value and value.isprintable() and value.isascii():
            lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


async def _head(reader: asyncio.StreamReader) -> tuple[int, http.client.HTTPMessage]:
    for _ in range(_MAX_INTERIM):
        raw = await reader.readuntil(b"\r\n\r\n")
        first, _, rest = raw.partition(b"\r\n")
        version, _, status = first.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise ValueError("not HTTP/1")
        code = int(status[:3])
        if not _CONTINUE <= code < _OK or code == _SWITCHING:
            return code, http.client.parse_headers(io.BytesIO(rest))
    raise ValueError("no final answer")


async def _body(
    reader: asyncio.StreamReader, headers: http.client.HTTPMessage, max_bytes: int
) -> bytes:
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return await _chunks(reader, max_bytes)
    length = headers.get("Content-Length")
    if length is not None:
        return await reader.readexactly(min(max(0, int(length)), max_bytes))
    body = bytearray()
    while len(body) < max_bytes and (part := await reader.read(max_bytes - len(body))):
        body += part
    return bytes(body)


async def _chunks(reader: asyncio.StreamReader, max_bytes: int) -> bytes:
    body = bytearray()
    while len(body) < max_bytes:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if size <= 0:
            break
        body += await reader.readexactly(min(size, max_bytes - len(body)))
        if len(body) < max_bytes:
            await reader.readexactly(2)
    return bytes(body)


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
