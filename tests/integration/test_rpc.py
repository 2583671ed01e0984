"""Pages of the API by the protocol's rpc: the same routes, access, limits and cache as by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.account_messages import ReadMe
from actors.feed_messages import ListCommunities, ReadFeed
from actors.messages import GUEST, ReadMarks, Reply
from config.edge import Gateway
from config.errors import AppError
from config.settings import Settings
from serve_app.api.routing import ROUTES, SERVICES
from serve_app.gateway.codes import ReplyError
from serve_app.gateway.rpc import Rpc, is_callable
from tests.gateway_app import MEMBER, PAGE, POST_ID, REFUSED, GatewayUnderTest, running_gateway
from tests.gateways import running_gateways

FEED = "GET /api/v1/communities/de/feed"


class Calls:
    def __init__(self) -> None:
        self.gateway = GatewayUnderTest(Settings(gateway=Gateway()))
        self.backends = self.gateway.backends
        self.rpc = Rpc(ROUTES, self.gateway.app[SERVICES])

    async def __call__(self, method: str, params: Any = None, caller: Any = MEMBER) -> Any:
        raw = b"" if params is None else msgspec.json.encode(params)
        return msgspec.json.decode(await self.rpc.call(caller, "192.0.2.1", method, raw))

    async def error(self, method: str, params: Any = None, caller: Any = MEMBER) -> str | int:
        try:
            await self(method, params, caller)
        except AppError as error:
            return error.code
        except ReplyError as error:
            return error.code
        raise AssertionError("it answered")


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    calls = Calls()
    yield calls
    await calls.gateway.app[SERVICES].edge_cache.close()


async def test_a_page_as_http_gives_it(calls: Calls) -> None:
    calls.backends.answer = lambda request: Reply(body=PAGE, public=True)
    assert await calls(FEED, {"sort": "new", "limit": 5}) == msgspec.json.decode(PAGE)
    (request,) = calls.backends.requests
    assert isinstance(request, ReadFeed)
    assert (request.community, request.sort, request.limit) == ("de", "new", 5)
    assert request.caller == GUEST, "one read for all who ask"
    assert calls.gateway.limiter.charged == [("read", str(MEMBER.account_id), "192.0.2.1")]


async def test_the_verb_may_be_left_out_and_null_params_are_none(calls: Calls) -> None:
    assert await calls("/api/v1/me", None) == msgspec.json.decode(PAGE)
    assert msgspec.json.decode(await calls.rpc.call(MEMBER, "", "/api/v1/me", b"null"))
    assert all(isinstance(r, ReadMe) and r.caller == MEMBER for r in calls.backends.requests)


async def test_params_are_the_query(calls: Calls) -> None:
    await calls("GET /api/v1/me/marks", {"ids": POST_ID, "unknown": 1})
    await calls("GET /api/v1/communities", {"joined": True, "q": None, "limit": "7"})
    marks, communities = calls.backends.requests
    assert isinstance(marks, ReadMarks) and [str(id) for id in marks.ids] == [POST_ID]
    assert isinstance(communities, ListCommunities) and communities.joined
    assert communities.caller == MEMBER, "what is personal is nobody else's"
    assert await calls.error("GET /api/v1/communities", {"limit": 1_000}) == "invalid"
    wrong: tuple[Any, ...] = ([], "x", {"ids": [POST_ID]}, {"limit": {}})
    for params in wrong:
        assert await calls.error("GET /api/v1/me/marks", params) == "invalid"
    with pytest.raises(AppError, match="invalid"):
        await calls.rpc.call(MEMBER, "", FEED, b"{")


@pytest.mark.parametrize(
    "method",
    [
        "",
        "feed",
        "POST /api/v1/posts",
        "GET  /api/v1/me",
        "get /api/v1/me",
        "GET /api/v1/me?x=1",
        "GET /api/v1/me/",
        "GET /healthz",
        "GET /metrics",
        "GET /api/v1/openapi.json",
        "GET /api/docs",
        "GET /api/publish",
        "GET /api/v1/communities/de/fe\ned",
        "GET /api/v1/communities/../me",
        "GET /api/v1/communities/" + "x" * 600,
    ],
)
async def test_everything_else_is_no_method(calls: Calls, method: str) -> None:
    with pytest.raises(AppError) as caught:
        await calls(method)
    assert caught.value.code == "not_found"
    assert not calls.backends.requests


async def test_what_is_not_there_is_told_apart_from_an_unknown_method(calls: Calls) -> None:
    assert await calls.error("GET /api/v1/posts/no-id") == 404
    calls.backends.fail("not_found")
    assert await calls.error(f"GET /api/v1/posts/{POST_ID}") == 404


async def test_access_and_limits_are_those_of_http(calls: Calls) -> None:
    assert await calls.error("GET /api/v1/me", caller=GUEST) == "unauthenticated"
    calls.gateway.limiter.verdict = REFUSED
    assert await calls.error(FEED) == "rate_limited"
    assert not calls.backends.requests


async def test_a_private_page_is_read_as_the_member(calls: Calls) -> None:
    def answer(request: Any) -> Reply:
        if request.caller == GUEST:
            raise AppError("not_permitted")
        return Reply(body=b'{"mine":true}')

    calls.backends.answer = answer
    assert await calls(FEED) == {"mine": True}
    assert await calls.error(FEED, caller=GUEST) == "not_permitted"


async def test_a_public_page_is_shared_with_http() -> None:
    async with running_gateway() as (gateway, session):
        gateway.backends.answer = lambda request: Reply(
            body=PAGE, public=True, channel="community:1", position=1, offset=1
        )
        rpc = Rpc(ROUTES, gateway.app[SERVICES])
        for _ in range(2):  # the first read makes the cache follow the channel
            assert await rpc.call(MEMBER, "", FEED, b"") == PAGE
        gateway.realtime.event("community:1", 1)
        assert await rpc.call(MEMBER, "", FEED, b"") == PAGE
        reads = len(gateway.backends.requests)
        assert await rpc.call(GUEST, "", FEED, b"") == PAGE
        async with session.get("/api/v1/communities/de/feed") as response:
            assert response.headers["ETag"] and await response.read() == PAGE
        assert len(gateway.backends.requests) == reads


async def test_answers_are_one_line(calls: Calls) -> None:
    calls.backends.answer = lambda request: Reply(body=b'{"a":\n 1}')
    assert await calls.rpc.call(MEMBER, "", "/api/v1/me", b"") == b'{"a":1}'


def test_only_reads_are_callable() -> None:
    callable_routes = {route.path for route in ROUTES if is_callable(route)}
    assert "/api/v1/feeds/home" in callable_routes
    # A question writes nothing that anybody else sees.
    others = {(r.method, r.path) for r in ROUTES if is_callable(r) and r.method != "GET"}
    assert others == {("POST", "/api/v1/ask")}
    assert not callable_routes & {"/healthz", "/metrics", "/api/v1/openapi.json", "/api/docs"}


@pytest.mark.integration
async def test_a_client_calls(database_url: str) -> None:
    async with running_gateways(database_url) as gateways, gateways.connected("42") as client:
        reply = await client.ask("rpc", method="GET /api/v1/me")
        assert reply["error"]["code"] == 103, "an application's user has no account here"
        reply = await client.ask("rpc", method="GET /api/v1/nothing", data={})
        assert reply["error"]["code"] == 104
        reply = await client.ask("rpc", method="GET /api/v1/posts/no-id", data={})
        assert reply["error"]["code"] == 404
