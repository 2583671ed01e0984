"""Sign-in over HTTP: rotation, reuse, logging out, and what it does to open sockets."""

from __future__ import annotations

import time
from uuid import UUID, uuid4

import aiohttp
import pytest

from actors.access_token import sign, verify
from actors.messages import Caller
from tests.conditions import wait_until
from tests.e2e.api_client import PASSWORD, ApiClient
from tests.e2e.js_client import JsClient
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer

pytestmark = pytest.mark.e2e
SESSION_ENDED = 3503


async def test_cookie_rotates_and_logs_out(ada: ApiClient, server: RunningServer) -> None:
    login = {"login": ada.account["handle"].upper(), "password": PASSWORD}
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(f"{server.url}/api/v1/", cookie_jar=jar) as browser:
        async with browser.post("auth/login", json=login) as response:
            assert response.status == 200
            session = await response.json()
            cookie = response.headers["Set-Cookie"]
        assert set(session) == {"account", "access_token", "expires_in"}
        assert session["expires_in"] > 0
        name = f"serai_refresh_{server.port}"
        assert cookie.startswith(f"{name}=")
        for attribute in ("HttpOnly", "SameSite=Strict", "Path=/api/v1/auth"):
            assert attribute in cookie
        assert "Secure" not in cookie  # plain HTTP
        kept = {response.cookies[name].value}
        for _ in range(3):
            async with browser.post("auth/refresh") as response:
                assert response.status == 200
                assert (await response.json())["account"] == session["account"]
                kept.add(response.cookies[name].value)
        assert len(kept) == 4
        async with browser.post("auth/logout") as response:
            assert response.status == 204
            assert "Max-Age=0" in response.headers["Set-Cookie"]
        async with browser.post("auth/refresh") as response:
            assert response.status == 401
            assert (await response.json())["code"] == "unauthenticated"


async def test_reuse_ends_the_family_and_its_sockets(ada: ApiClient, server: RunningServer) -> None:
    """An old token used again: every token of that log-in is void, its sockets are closed for good
    on all gateways; another log-in of the same account goes on."""
    stolen = ada.refresh_token
    lost_reply = (await ada.refresh()).expect(200)
    # The predecessor within the grace time: the same successor, for a lost reply.
    repeated = (await ada.refresh(stolen)).expect(200)
    assert repeated["refresh_token"] == lost_reply["refresh_token"]
    second = (await ada.refresh(lost_reply["refresh_token"])).expect(200)
    async with ApiClient(server.url) as elsewhere:
        await elsewhere.login(ada.account["handle"])
        urls = server.gateway_urls()
        websockets = [f"ws{url[4:]}/connection/websocket" for url in urls]
        async with (
            PythonClient(websockets[0], second["access_token"]) as thief,
            JsClient(websockets[1], second["access_token"]) as owner,
            PythonClient(websockets[1], elsewhere.token) as other,
        ):
            # Two generations old: no lost reply, a copy.
            (await ada.refresh(stolen)).problem(401, "unauthenticated")
            await wait_until(lambda: bool(thief.events.disconnected), 60)
            assert thief.events.disconnected == [SESSION_ENDED]
            gone = await owner.wait_for_event("disconnected", 60)
            assert gone["code"] == SESSION_ENDED
            ended = [data for _, _, data in thief.events.publications]
            assert [event["type"] for event in ended] == ["session.ended"]
            for token in (second["refresh_token"], lost_reply["refresh_token"], stolen):
                (await ada.refresh(token)).problem(401, "unauthenticated")
            (await elsewhere.get("/me")).expect(200)
            (await elsewhere.refresh()).expect(200)
            assert other.events.disconnected == []


async def test_logout_closes_the_socket_of_that_session(
    ada: ApiClient, server: RunningServer
) -> None:
    async with PythonClient(server.ws_url, ada.token) as client:
        (await ada.call("POST", "/auth/logout")).expect(204)
        await wait_until(lambda: bool(client.events.disconnected), 60)
        assert client.events.disconnected == [SESSION_ENDED]
    (await ada.refresh()).problem(401, "unauthenticated")
    # Idempotent, and nothing that is no token is an error of the server.
    for token in (ada.refresh_token, "x", "a.b", "é"):
        answer = await ada.call("POST", "/auth/logout", {"refresh_token": token})
        assert answer.status in (204, 401), answer
    for token in ("x", "a.b.c", "é", ada.refresh_token[::-1], ada.token or ""):
        (await ada.refresh(token)).problem(401, "unauthenticated")


async def test_expired_token_is_fetched_anew_by_both_sdks(
    ada: ApiClient, server: RunningServer
) -> None:
    caller = Caller(UUID(ada.id), ada.account["handle"], "x", "member", uuid4())
    expired = sign(caller, server.secret, time.time() - 1000, 900)
    good = ada.token
    assert good is not None
    asked = 0

    async def get_token() -> str:
        nonlocal asked
        asked += 1
        return good

    async with PythonClient(server.ws_url, expired, get_token=get_token) as client:
        await wait_until(lambda: client.events.connected == 1, 60)
        assert asked == 1
    async with JsClient(server.ws_url, expired, refresh=True, connect=False) as js:
        await js.command("connect", url=server.ws_url, token=expired, refresh=True, options={})
        await js.wait_for_event("token_needed", 60)
        await js.give_token(good)
        await js.wait_for_event("connected", 60)


async def test_a_token_renewed_before_it_ends(ada: ApiClient, server: RunningServer) -> None:
    """The SDK refreshes the connection in place when the server's ttl elapses: same connection."""
    assert ada.token is not None
    good, now = ada.token, time.time()
    me, _ = verify(good, server.secret, now)
    nearly_over = sign(me, server.secret, now, 2)
    asked = 0

    async def get_token() -> str:
        nonlocal asked
        asked += 1
        return good

    async with PythonClient(server.ws_url, nearly_over, get_token=get_token) as client:
        await wait_until(lambda: asked == 1, 60)
        post = await ada.post()
        following = await client.follow(f"thread:{post['id']}")
        made = await ada.comment(post["id"])
        await following.wait_offset(1)
        assert following.of_type("comment.created")[0]["comment"]["id"] == made["id"]
        assert client.events.connected == 1 and client.events.disconnected == []


async def test_invalid_token_is_terminal_for_both_sdks(server: RunningServer) -> None:
    async with PythonClient(server.ws_url, "no.token.really") as client:
        assert client.events.disconnected == [3500]
    async with JsClient(server.ws_url, "no.token.really", connect=False) as js:
        await js.command(
            "connect", url=server.ws_url, token="no.token.really", refresh=False, options={}
        )
        assert (await js.wait_for_event("disconnected", 60))["code"] == 3500
