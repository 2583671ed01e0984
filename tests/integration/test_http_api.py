"""Every route: what it asks of the backends, and how answers look on the wire."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest

from actors import account_messages as am
from actors import feed_messages as fm
from actors import messages as m
from actors.messages import GUEST, Reply
from config.errors import AppError
from serve_app.api import health
from serve_app.api.routing import ROUTES
from tests.gateway_app import (
    AS_MEMBER,
    MEMBER,
    PAGE,
    POST_ID,
    GatewayUnderTest,
    problem_of,
    running_gateway,
    tokens,
)

Running = tuple[GatewayUnderTest, aiohttp.ClientSession]
ID = UUID(POST_ID)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with running_gateway() as made:
        yield made


def _ignoring_time(request: Any) -> Any:
    if "received_ns" in request.__struct_fields__:
        assert request.received_ns > 1_600_000_000 * 10**9
        return msgspec.structs.replace(request, received_ns=0)
    return request


READS = [
    ("/api/v1/me", am.ReadMe(MEMBER)),
    (f"/api/v1/me/marks?ids={POST_ID},{POST_ID}", m.ReadMarks(MEMBER, (ID,))),
    ("/api/v1/countries", fm.ListCountries()),
    ("/api/v1/visa-types?country=de", fm.ListVisaTypes("DE")),
    (
        "/api/v1/communities?country=DE&visa_type=student&q=&joined=",
        fm.ListCommunities(GUEST, "DE", "student", None, False, 30, None),
    ),
    (
        "/api/v1/communities?joined=true&limit=5",
        fm.ListCommunities(MEMBER, None, None, None, True, 5, None),
    ),
    ("/api/v1/communities/DE-student", fm.ReadCommunity(GUEST, "de-student")),
    (
        "/api/v1/communities/de/feed?sort=top&window=month&limit=100&cursor=c",
        fm.ReadFeed(GUEST, "de", "top", "month", 100, "c"),
    ),
    (
        "/api/v1/communities/de/feed?languages=de,pt-BR&personal=true&limit=5",
        fm.ReadFeed(MEMBER, "de", "hot", "week", 5, None, ("de", "pt-BR"), True),
    ),
    ("/api/v1/feeds/home", fm.ReadHome(MEMBER, "hot", "week", 30, None)),
    (
        "/api/v1/feeds/home?languages=sw",
        fm.ReadHome(MEMBER, "hot", "week", 30, None, ("sw",)),
    ),
    (f"/api/v1/posts/{POST_ID}", m.ReadPost(GUEST, ID)),
    (f"/api/v1/posts/{POST_ID}/history", m.ReadPostHistory(MEMBER, ID)),
    (
        f"/api/v1/posts/{POST_ID}/comments?sort=old&limit=500&parent_id={POST_ID}",
        m.ReadComments(GUEST, ID, "old", ID, 500, None),
    ),
    (
        f"/api/v1/comments/{POST_ID}/history?limit=100&cursor=c",
        m.ReadCommentHistory(MEMBER, ID, 100, "c"),
    ),
    ("/api/v1/notifications?limit=2", am.ListNotifications(MEMBER, 2, None)),
]


@pytest.mark.parametrize(("path", "expected"), READS, ids=[path for path, _ in READS])
async def test_read_asks_once_for_what_the_url_names(
    running: Running, path: str, expected: Any
) -> None:
    gateway, session = running
    gateway.backends.answer = lambda request: Reply(body=PAGE, public=True)
    async with session.get(path, headers=AS_MEMBER) as response:
        assert (response.status, await response.read()) == (200, PAGE)
        assert response.content_type == "application/json"
        etag = response.headers["ETag"]
    assert gateway.backends.requests == [expected]
    conditional = {**AS_MEMBER, "If-None-Match": f'W/"x", {etag}'}
    async with session.get(path, headers=conditional) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == etag
    async with session.head(path, headers=AS_MEMBER) as response:
        assert (response.status, response.headers["ETag"]) == (200, etag)


AT_POSITION = [(path, expected) for path, expected in READS if isinstance(expected, m.Read)]


@pytest.mark.parametrize(("path", "expected"), AT_POSITION, ids=[path for path, _ in AT_POSITION])
async def test_read_names_the_position_of_the_session(
    running: Running, path: str, expected: Any
) -> None:
    gateway, session = running
    gateway.backends.answer = lambda request: Reply(body=PAGE, public=True)
    for sent, position in (("abc", 0xABC), ("f" * 16, m.FROM_PRIMARY), ("mine", m.FROM_PRIMARY)):
        async with session.get(path, headers={**AS_MEMBER, "Serai-Position": sent}) as response:
            assert response.status == 200
        asked = gateway.backends.requests.pop()
        assert asked == msgspec.structs.replace(expected, position=position)


WRITES = [
    (
        "POST",
        "/api/v1/posts",
        {"community_id": "de", "title": "  A   title ", "body_markdown": "b", "tags": ["a ", "a"]},
        m.CreatePost(MEMBER, "de", "A title", "b", None, ("a",), "k 1", 0),
    ),
    (
        "PATCH",
        f"/api/v1/posts/{POST_ID}",
        {"title": "New", "locked": True},
        m.EditPost(MEMBER, ID, "New", None, None, None, True, None, 0),
    ),
    ("DELETE", f"/api/v1/posts/{POST_ID}", None, m.DeletePost(MEMBER, ID, 0)),
    (
        "POST",
        f"/api/v1/posts/{POST_ID}/comments",
        {"body_markdown": "hi", "parent_id": POST_ID},
        m.CreateComment(MEMBER, ID, ID, "hi", "k 1", 0),
    ),
    (
        "PATCH",
        f"/api/v1/comments/{POST_ID}",
        {"body_markdown": "x"},
        m.EditComment(MEMBER, ID, "x", 0),
    ),
    ("DELETE", f"/api/v1/comments/{POST_ID}", None, m.DeleteComment(MEMBER, ID, 0)),
    ("PUT", f"/api/v1/posts/{POST_ID}/vote", {"value": -1}, m.CastVote(MEMBER, "post", ID, -1)),
    (
        "PUT",
        f"/api/v1/comments/{POST_ID}/vote",
        {"value": 0},
        m.CastVote(MEMBER, "comment", ID, 0),
    ),
    (
        "PUT",
        "/api/v1/communities/de/membership",
        None,
        am.JoinCommunity(MEMBER, "de"),
    ),
    (
        "DELETE",
        "/api/v1/communities/de/membership",
        None,
        am.LeaveCommunity(MEMBER, "de"),
    ),
    (
        "PUT",
        "/api/v1/notifications/read",
        {"up_to": POST_ID},
        am.MarkNotificationsRead(MEMBER, ID),
    ),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"), WRITES, ids=[f"{w[0]} {w[1]}" for w in WRITES]
)
async def test_write_passes_the_reply_through_with_its_position(
    running: Running, method: str, path: str, body: Any, expected: Any
) -> None:
    gateway, session = running
    gateway.backends.answer = lambda request: Reply(201, b'{"mine":1}', 0xABC)
    headers = {**AS_MEMBER, "Idempotency-Key": "k 1"}
    async with session.request(method, path, json=body, headers=headers) as response:
        assert (response.status, await response.read()) == (201, b'{"mine":1}')
        assert response.headers["Serai-Position"] == "abc"
        assert response.headers["Cache-Control"] == "no-store"
    assert [_ignoring_time(request) for request in gateway.backends.requests] == [expected]


async def test_empty_reply_has_no_body(running: Running) -> None:
    gateway, session = running
    gateway.backends.answer = lambda request: Reply(204)
    async with session.delete(f"/api/v1/posts/{POST_ID}", headers=AS_MEMBER) as response:
        assert (response.status, await response.read()) == (204, b"")
        assert "Content-Type" not in response.headers


async def test_every_member_route_refuses_guests_and_bad_tokens(running: Running) -> None:
    gateway, session = running
    for route in ROUTES:
        if route.access != "member":
            continue
        path = re.sub(r"\{\w+\}", POST_ID, route.path.replace("{community}", "de"))
        for headers, code in (
            ({}, "unauthenticated"),
            ({"Authorization": "Bearer bad"}, "unauthenticated"),
            ({"Authorization": "Basic good"}, "unauthenticated"),
            ({"Authorization": "Bearer expired"}, "token_expired"),
        ):
            async with session.request(route.method, path, headers=headers) as response:
                assert (await problem_of(response))["code"] == code, (route.path, headers)
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert gateway.backends.requests == []


async def test_register_moves_the_refresh_token_into_a_cookie(running: Running) -> None:
    gateway, session = running
    gateway.backends.answer = lambda request: Reply(201, tokens())
    body = {"handle": "amina", "email": "a@mail.org", "password": "long enough"}
    # An expired token in the header must not stand in the way.
    headers = {"Authorization": "Bearer expired", "User-Agent": "Probe\u00a0é"}
    async with session.post("/api/v1/auth/register", json=body, headers=headers) as response:
        assert response.status == 201
        answer = await response.json()
        cookie = response.headers["Set-Cookie"]
    assert answer == {
        "account": {"id": "1", "handle": "amina"},
        "access_token": "access",
        "expires_in": 900,
    }
    port = gateway.settings.gateway.port
    assert cookie == (
        f"serai_refresh_{port}=secret-refresh-token; Path=/api/v1/auth; Max-Age=2592000; HttpOnly;"
        " SameSite=Strict"
    )
    assert gateway.backends.requests[0].user_agent.isprintable()
    async with session.post("/api/v1/auth/refresh?transport=body") as response:
        assert (await response.json())["refresh_token"] == "secret-refresh-token"
    assert gateway.backends.requests[-1].refresh_token == "secret-refresh-token"


async def test_refresh_token_in_the_body_is_answered_in_the_body(running: Running) -> None:
    gateway, session = running
    gateway.backends.answer = lambda request: Reply(200, tokens("next"))
    async with session.post("/api/v1/auth/refresh", json={"refresh_token": "old"}) as response:
        assert (await response.json())["refresh_token"] == "next"
    assert gateway.backends.requests[0].refresh_token == "old"


async def test_failed_refresh_takes_the_cookie_away(running: Running) -> None:
    gateway, session = running
    gateway.backends.fail("unauthenticated")
    name = f"serai_refresh_{gateway.settings.gateway.port}"
    async with session.post("/api/v1/auth/refresh", headers={"Cookie": f"{name}=x"}) as response:
        await problem_of(response)
        assert f"{name}=; Path=/api/v1/auth; Max-Age=0" in response.headers["Set-Cookie"]
    async with session.post("/api/v1/auth/refresh") as response:
        assert (await problem_of(response))["code"] == "unauthenticated"


async def test_cookie_is_secure_behind_a_trusted_https_proxy() -> None:
    async with running_gateway(trusted_proxies=("127.0.0.0/8",)) as (gateway, session):
        gateway.backends.answer = lambda request: Reply(200, tokens())
        body = {"login": "Amina ", "password": "x"}
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "6.6.6.6, 203.0.113.9"}
        async with session.post("/api/v1/auth/login", json=body, headers=headers) as response:
            assert response.headers["Set-Cookie"].endswith("; Secure")
        # Counted against the name that is tried, and the address that tries it.
        assert gateway.limiter.charged == [("login", "amina", "203.0.113.9")]


async def test_logout_needs_some_session(running: Running) -> None:
    gateway, session = running
    gateway.backends.answer = lambda request: Reply(204)
    async with session.post("/api/v1/auth/logout") as response:
        assert (await problem_of(response))["code"] == "unauthenticated"
    async with session.post("/api/v1/auth/logout", headers=AS_MEMBER) as response:
        assert response.status == 204
    body = {"refresh_token": "r"}
    expired = {"Authorization": "Bearer expired"}
    async with session.post("/api/v1/auth/logout", json=body, headers=expired) as response:
        assert response.status == 204
    assert gateway.backends.requests == [
        am.Logout(MEMBER, None),
        am.Logout(GUEST, "r"),
    ]


async def test_a_strangers_cookie_does_not_keep_the_session_alive(running: Running) -> None:
    gateway, session = running
    gateway.backends.answer = lambda request: Reply(204)
    headers = {**AS_MEMBER, "Cookie": f"serai_refresh_{gateway.settings.gateway.port}=stale"}
    async with session.post("/api/v1/auth/logout", headers=headers) as response:
        assert response.status == 204
    assert gateway.backends.requests == [am.Logout(MEMBER, "stale")]


OTHER_SITE = "https://forum.example.org"


@pytest.mark.parametrize("path", ["refresh", "logout"])
@pytest.mark.parametrize(
    ("headers", "trusted"),
    [
        ({}, True),
        ({"Origin": "http://{host}"}, True),
        ({"Origin": "https://{host}"}, True),
        ({"Origin": OTHER_SITE}, True),
        ({"Origin": "https://proxied.example", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://127.0.0.1:1"}, False),
        ({"Origin": "http://evil.{host}"}, False),
        ({"Origin": "http://127.0.0.1"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-site"}, False),
    ],
)
async def test_the_cookie_is_refused_from_pages_of_other_origins(
    path: str, headers: dict[str, str], trusted: bool
) -> None:
    async with running_gateway(cors_origins=(OTHER_SITE,)) as (gateway, session):
        gateway.backends.answer = lambda request: (
            Reply(204) if isinstance(request, am.Logout) else Reply(200, tokens())
        )
        port = gateway.settings.gateway.port
        sent = {name: value.format(host=f"127.0.0.1:{port}") for name, value in headers.items()}
        cookie = {"Cookie": f"serai_refresh_{port}=x"}
        url = f"/api/v1/auth/{path}"
        async with session.post(url, headers={**sent, **cookie}) as response:
            if trusted:
                assert response.status in (200, 204)
            else:
                assert (await problem_of(response))["code"] == "not_permitted"
                assert "Set-Cookie" not in response.headers
        assert len(gateway.backends.requests) == trusted
        # A token in the body was not sent by a browser of its own accord.
        async with session.post(url, headers=sent, json={"refresh_token": "r"}) as response:
            assert response.status in (200, 204)


async def test_documents_and_the_page_load_from_here_alone(running: Running) -> None:
    _, session = running
    async with session.get("/api/docs") as response:
        page = await response.text()
        assert "script-src 'self';" in response.headers["Content-Security-Policy"]
    assert "http://" not in page and "https://" not in page
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
        assert f"/api/docs/{name}" in page
        async with session.get(f"/api/docs/{name}") as response:
            assert response.status == 200 and len(await response.read()) > 50
            assert response.headers["X-Content-Type-Options"] == "nosniff"
    async with session.get("/api/docs/..%2f__init__.py") as response:
        assert response.status == 404
    async with session.get("/api/v1/openapi.json") as response:
        assert (await response.json())["openapi"] == "3.1.0"
        etag = response.headers["ETag"]
    async with session.get("/api/v1/openapi.json", headers={"If-None-Match": etag}) as response:
        assert response.status == 304


async def test_ready_as_long_as_every_backend_answers(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "VERDICT_SECONDS", 0.0)
    gateway, session = running
    async with session.get("/healthz") as response:
        assert await response.json() == {"status": "alive"}

    def answer(request: Any) -> Reply:
        if isinstance(request, m.ReadPost):
            raise AppError("not_found")
        return Reply()

    gateway.backends.answer = answer
    async with session.get("/readyz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ready"})
    gateway.backends.fail("unavailable")
    async with session.get("/readyz") as response:
        problem = await problem_of(response)
        assert {error["path"] for error in problem["errors"]} == {"feed", "thread", "accounts"}
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
    gateway.backends.answer = answer
    gateway.realtime.is_connected = False
    async with session.get("/readyz") as response:
        problem = await problem_of(response)
        assert [error["path"] for error in problem["errors"]] == ["realtime"]
    gateway.realtime.is_connected = True
    async with session.get("/readyz") as response:
        assert response.status == 200


async def test_asking_again_and_again_whether_it_is_ready_costs_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "VERDICT_SECONDS", 3600.0)
    gateway, session = running
    gateway.backends.fail("unavailable")

    async def ask() -> int:
        async with session.get("/readyz") as response:
            return response.status

    assert await asyncio.gather(*(ask() for _ in range(20))) == [503] * 20
    assert await ask() == 503
    assert len(gateway.backends.requests) == 3


async def test_websocket_goes_to_the_realtime_edge(running: Running) -> None:
    _, session = running
    async with session.ws_connect("/connection/websocket") as socket:
        assert await socket.receive_str() == "hello"
