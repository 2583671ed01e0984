"""Fetching a page: what a server may do to us, and what it can't."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from actors.links import fetching
from actors.links.fetching import FetchFailed, Known, Limits, Page, fetch

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
LIMITS = Limits(30.0, 1_000, "SeraiLinkCheck/1.0", [ipaddress.ip_network("127.0.0.0/8")])


class Site:
    """Answers the paths that a test gives it; remembers the requests."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            answer = self.pages.get(request.split(" ")[1], b"HTTP/1.1 404 Not Found\r\n\r\n")
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield site
    server.close()
    await server.wait_closed()


def ok(body: bytes, *headers: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (ok(b"to the end"), b"to the end"),
        (ok(b"counted, and more", "Content-Length: 7"), b"counted"),
        (ok(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), b"abcde"),
        (ok(b"x" * 5_000), b"x" * 1_000),
        (ok(b"x" * 5_000, "Content-Length: 5000"), b"x" * 1_000),
        (ok(b"fff\r\n" + b"x" * 4_095, "Transfer-Encoding: chunked"), b"x" * 1_000),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok(b"a"), b"a"),
        (b"HTTP/1.0 200\r\n\r\nold", b"old"),
    ],
)
async def test_pages_come_whole_or_up_to_the_bound(site: Site, answer: bytes, body: bytes) -> None:
    site.pages["/"] = answer
    page = await fetch(site.url, LIMITS)
    assert (page.status, page.body) == (200, body)
    assert "User-Agent: SeraiLinkCheck/1.0\r\n" in site.requests[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        ok(b"short", "Content-Length: 900"),
        ok(b"x", "Content-Length: many"),
        ok(b"zz\r\n", "Transfer-Encoding: chunked"),
        ok(b"1" * 100_000, "Transfer-Encoding: chunked"),
    ],
    ids=lambda answer: str(answer[:40]),
)
async def test_what_is_no_answer_is_told_as_a_failure(site: Site, answer: bytes) -> None:
    site.pages["/"] = answer
    with pytest.raises(FetchFailed):
        await fetch(site.url, LIMITS)


async def test_a_server_that_drips_is_left(site: Site) -> None:
    dripping = asyncio.Event()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            dripping.set()
            await asyncio.sleep(0.01)

    site.pages["/"] = drip
    limits = LIMITS._replace(timeout_seconds=0.2, max_bytes=1 << 20)
    with pytest.raises(FetchFailed, match="in time"):
        await fetch(site.url, limits)
    assert dripping.is_set()


async def test_redirects_are_followed_and_checked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to(location: str) -> bytes:
        return f"HTTP/1.1 301 Moved\r\nLocation: {location}\r\n\r\n".encode()

    site.pages |= {"/": to("/a#part"), "/a": to(f"{site.url}/b"), "/b": ok(b"there")}
    page = await fetch(site.url, LIMITS)
    assert (page.url, page.body) == (f"{site.url}/b", b"there")
    site.pages["/loop"] = to("/loop")
    with pytest.raises(FetchFailed, match="too many redirects"):
        await fetch(f"{site.url}/loop", LIMITS)
    assert len(site.requests) == 3 + 6
    for location in ("file:///etc/passwd", "http://user@127.0.0.1/", "http://[::1]/", "http:// /"):
        site.pages["/"] = to(location)
        with pytest.raises(FetchFailed):
            await fetch(site.url, LIMITS)

    # The name that answers a private address the second time is not asked.
    resolve = fetching._resolve
    asked: list[str] = []

    async def rebinding(target: Any) -> Any:
        asked.append(target.host)
        if target.host == "rebind.example":
            return [ipaddress.ip_address("10.0.0.1")]
        return await resolve(target)

    monkeypatch.setattr(fetching, "_resolve", rebinding)
    site.pages["/"] = to("http://rebind.example/")
    with pytest.raises(FetchFailed, match="not public"):
        await fetch(site.url, LIMITS)
    assert asked == ["127.0.0.1", "rebind.example"]


async def test_the_own_network_is_not_asked_without_permission(site: Site) -> None:
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1"):
        port = site.url.rpartition(":")[2]
        with pytest.raises(FetchFailed):
            await fetch(f"http://{host}:{port}/", LIMITS._replace(allowed=()))
    assert site.requests == []


async def test_what_is_known_is_asked_for_only_if_it_changed(site: Site) -> None:
    site.pages["/"] = ok(b"a", 'ETag: "1"', "Last-Modified: Fri, 20 Nov 2026 00:00:00 GMT")
    page = await fetch(f"{site.url}/", LIMITS)
    assert page.etag == '"1"'
    site.pages["/"] = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    known = Known(f"{site.url}/", page.etag, page.last_modified)
    again: Page = await fetch(f"{site.url}/", LIMITS, known)
    assert (again.status, again.body) == (304, b"")
    assert 'If-None-Match: "1"\r\n' in site.requests[1]
    assert "If-Modified-Since: Fri, 20 Nov" in site.requests[1]
    await fetch(f"{site.url}/", LIMITS, known._replace(url=f"{site.url}/other"))
    assert "If-None-Match" not in site.requests[2]
