"""Random requests at every route give success or a 4xx problem, never a 500."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import msgspec
import pytest
import yarl
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.feed_messages import ListSitemap, ReadCommunity, ReadGuide, ReadMember
from actors.media.messages import ReadMedia
from actors.messages import ReadPost, Reply
from config.errors import AppError
from serve_app.api.routing import ROUTES
from tests.gateway_app import AS_MEMBER, POST_ID, GatewayUnderTest, running_gateway, tokens

Running = tuple[asyncio.Runner, GatewayUnderTest, aiohttp.ClientSession]

_NAMES = sorted(
    {
        name
        for route in ROUTES
        for name in (*route.body.__struct_fields__, *route.query.__struct_fields__)
    }
)
_TEXT = st.text(max_size=40)
_JSON = st.recursive(
    st.sampled_from([None, True, False, POST_ID])
    | st.integers()
    | st.floats(allow_nan=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)
_BODY = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(st.sampled_from(_NAMES), _JSON).map(msgspec.json.encode),
)
_SEGMENT = st.one_of(st.just(POST_ID), st.just("de"), st.text(min_size=1, max_size=20))
_QUERY = st.dictionaries(st.sampled_from(_NAMES) | _TEXT, _TEXT | st.just(POST_ID), max_size=4)
_VISIBLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
_HEADER_NAMES = [
    "Authorization", "Idempotency-Key", "Serai-Position", "If-None-Match", "X-Request-Id",
    "X-Forwarded-For", "X-Forwarded-Proto", "Origin", "Cookie", "Accept", "Content-Type", "Range",
    "Access-Control-Request-Method", "User-Agent", "Upgrade", "Connection",
    "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Sec-Fetch-Site",
]  # fmt: skip
# Pieces of a handshake, so that some requests to the WebSocket's path are nearly one.
_HANDSHAKE = st.sampled_from(["websocket", "upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ=="])
_HEADERS = st.dictionaries(st.sampled_from(_HEADER_NAMES), _VISIBLE | _HANDSHAKE, max_size=6)


# What the gateway itself reads, for a file or for the head of a page, is not any JSON.
_READ_BY_THE_GATEWAY = (ReadMedia, ReadPost, ReadCommunity, ReadGuide, ReadMember, ListSitemap)


def answer(request: object) -> Reply:
    if isinstance(request, _READ_BY_THE_GATEWAY):
        raise AppError("not_found")
    return Reply(body=tokens())


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> tuple[GatewayUnderTest, aiohttp.ClientSession]:
            return await stack.enter_async_context(
                running_gateway(trusted_proxies=("127.0.0.1",), cors_origins=("https://a.example",))
            )

        gateway, session = runner.run(start())
        gateway.backends.answer = answer
        yield runner, gateway, session
        runner.run(stack.aclose())


@settings(max_examples=300)
@given(
    route=st.sampled_from(ROUTES),
    method=st.sampled_from([None, None, None, "OPTIONS", "PATCH", "BREW"]),
    segment=_SEGMENT,
    query=_QUERY,
    body=_BODY,
    headers=_HEADERS,
    member=st.booleans(),
)
def test_no_request_is_a_server_error(
    running: Running,
    route: Any,
    method: str | None,
    segment: str,
    query: dict[str, str],
    body: bytes,
    headers: dict[str, str],
    member: bool,
) -> None:
    runner, _, session = running
    path = route.path
    for name in re.findall(r"\{(\w+)\}", path):
        path = path.replace("{" + name + "}", str(yarl.URL.build(path="/" + segment))[1:] or "x")
    sent = {"Content-Type": "application/json", **(AS_MEMBER if member else {}), **headers}

    async def ask() -> tuple[int, str, bytes]:
        async with asyncio.timeout(20):
            async with session.request(
                method or route.method,
                yarl.URL(path).with_query(query),
                data=body,
                headers=sent,
                allow_redirects=False,
            ) as response:
                return response.status, response.content_type, await response.read()

    status, content_type, answer = runner.run(ask())
    assert status < 500, answer
    if status >= 400 and status != 416:
        assert content_type == "application/problem+json"
        if answer:
            assert msgspec.json.decode(answer)["status"] == status


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize("segment", [POST_ID, "de"])
def test_no_plain_request_is_a_server_error(running: Running, route: Any, segment: str) -> None:
    runner, _, session = running
    path = re.sub(r"\{\w+\}", segment, route.path)

    async def ask(headers: dict[str, str]) -> int:
        async with session.request(
            route.method, yarl.URL(path), headers=headers, allow_redirects=False
        ) as response:
            await response.read()
            return response.status

    for headers in ({}, AS_MEMBER):
        assert runner.run(ask(headers)) < 500
