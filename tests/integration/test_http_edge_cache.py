"""Cached pages over HTTP: who gets them, and when a request goes the long way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from actors.messages import FROM_PRIMARY, GUEST, Reply
from config.channels import ACCESS_CHANNEL
from config.errors import AppError
from tests.gateway_app import (
    AS_MEMBER,
    MEMBER,
    REFUSED,
    GatewayUnderTest,
    problem_of,
    running_gateway,
)

Running = tuple[GatewayUnderTest, aiohttp.ClientSession]
FEED = "/api/v1/communities/de/feed?sort=new"
CHANNEL = "community:1"


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with running_gateway() as (gateway, session):
        version = 0

        def answer(request: Any) -> Reply:
            nonlocal version
            version += 1
            return Reply(
                body=b'{"v":%d}' % version, position=100, public=True, channel=CHANNEL, offset=9
            )

        gateway.backends.answer = answer
        yield gateway, session


async def _get(session: aiohttp.ClientSession, path: str, **headers: str) -> bytes:
    async with session.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()}) as r:
        assert r.status == 200, await r.text()
        return await r.read()


async def test_page_is_read_again_only_after_an_event(running: Running) -> None:
    gateway, session = running
    assert [await _get(session, FEED) for _ in range(4)] == [b'{"v":1}'] + [b'{"v":2}'] * 3
    # Another spelling of the same query is the same page.
    assert await _get(session, f"{FEED}&window=week&limit=30&x=1") == b'{"v":2}'
    assert await _get(session, f"{FEED}&limit=31") == b'{"v":3}'
    gateway.realtime.event(CHANNEL, 1)
    assert await _get(session, FEED) == b'{"v":4}'
    assert await _get(session, FEED) == b'{"v":4}'


async def test_headers_of_a_cached_page(running: Running) -> None:
    gateway, session = running
    await _get(session, FEED)
    answers = []
    for _ in range(2):
        async with session.get(FEED) as response:
            answers.append(response.headers.copy())
    fresh, cached = answers
    assert fresh.pop("X-Request-Id") != cached.pop("X-Request-Id")
    del fresh["Date"], cached["Date"]
    assert fresh == cached
    assert cached["Cache-Control"] == "public, max-age=1"
    assert "Serai-Position" in cached["Vary"]
    assert cached["X-Content-Type-Options"] == "nosniff"
    async with session.get(FEED, headers={"If-None-Match": cached["ETag"]}) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with session.head(FEED) as response:
        assert response.status == 200
    assert len(gateway.backends.requests) == 2


async def test_members_share_the_page_of_guests(running: Running) -> None:
    gateway, session = running
    for headers in ({}, AS_MEMBER, {"Authorization": "Bearer expired"}, AS_MEMBER):
        await _get(session, FEED, **headers)
    assert [request.caller for request in gateway.backends.requests] == [GUEST, GUEST]


async def test_a_personal_page_is_read_for_each_member_each_time(running: Running) -> None:
    gateway, session = running
    for _ in range(2):
        async with session.get(f"{FEED}&personal=true", headers=AS_MEMBER) as response:
            assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
    assert [request.caller for request in gateway.backends.requests] == [MEMBER, MEMBER]


async def test_what_guests_may_not_see_is_asked_for_as_the_member(running: Running) -> None:
    gateway, session = running

    def answer(request: Any) -> Reply:
        if request.caller == GUEST:
            raise AppError("not_found")
        return Reply(body=b"{}", channel=CHANNEL, position=1, offset=9)

    gateway.backends.answer = answer
    for _ in range(2):
        async with session.get(FEED, headers=AS_MEMBER) as response:
            assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
    async with session.get(FEED) as response:
        assert (await problem_of(response))["code"] == "not_found"
    async with session.get(FEED, headers={"Authorization": "Bearer expired"}) as response:
        assert (await problem_of(response))["code"] == "token_expired"
    callers = [request.caller for request in gateway.backends.requests]
    assert callers == [GUEST, MEMBER, MEMBER]


async def test_home_is_shared_by_guests_alone(running: Running) -> None:
    gateway, session = running
    for _ in range(3):
        await _get(session, "/api/v1/feeds/home")
        async with session.get("/api/v1/feeds/home", headers=AS_MEMBER) as response:
            assert response.headers["Cache-Control"] == "no-store"
    callers = [request.caller for request in gateway.backends.requests]
    assert (callers.count(GUEST), callers.count(MEMBER)) == (2, 3)
    async with session.get("/api/v1/feeds/home") as response:
        assert "Authorization" in response.headers["Vary"]


async def test_page_that_is_not_public_is_shared_by_guests_alone(running: Running) -> None:
    gateway, session = running
    gateway.backends.answer = lambda request: Reply(body=b"{}", public=False)
    for headers in ({}, AS_MEMBER, {}):
        await _get(session, FEED, **headers)
    assert [request.caller for request in gateway.backends.requests] == [GUEST, MEMBER]


async def test_own_write_is_never_missed(running: Running) -> None:
    _, session = running
    await _get(session, FEED)
    assert await _get(session, FEED) == b'{"v":2}'
    assert await _get(session, FEED, Serai_Position="63") == b'{"v":2}'
    assert await _get(session, FEED, Serai_Position="64") == b'{"v":3}'
    assert await _get(session, FEED, Serai_Position="not one of ours") == b'{"v":4}'
    assert await _get(session, FEED) == b'{"v":4}'


async def test_cached_pages_are_limited_too(running: Running) -> None:
    gateway, session = running
    await _get(session, FEED)
    await _get(session, FEED)
    gateway.limiter.verdict = REFUSED
    async with session.get(FEED) as response:
        assert (await problem_of(response))["code"] == "rate_limited"
    assert {charge[1:] for charge in gateway.limiter.charged} == {(None, "127.0.0.1")}


async def test_reads_after_a_change_of_access_show_it(running: Running) -> None:
    """A replica that lags would answer as if a private community were public: each read asks the
    primary until one has brought a position behind the change, then for that position."""
    gateway, session = running
    for _ in range(3):
        await _get(session, FEED)
    gateway.realtime.event(ACCESS_CHANNEL, 1)
    assert await _get(session, FEED) == b'{"v":3}'
    await _get(session, f"{FEED}&limit=31")
    await _get(session, f"{FEED}&limit=32", Serai_Position="c8")
    positions = [request.position for request in gateway.backends.requests]
    assert positions == [0, 0, FROM_PRIMARY, 100, 200]
