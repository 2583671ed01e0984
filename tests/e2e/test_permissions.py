"""Who may see and follow what; and what is taken away from open sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from storage.identity import NO_COUNTRY, new_id
from tests.conditions import wait_until
from tests.e2e.api_client import ApiClient
from tests.e2e.js_client import JsClient, JsClientError
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer, websocket_url

pytestmark = pytest.mark.e2e
DENIED = 103
UNKNOWN = 102


@pytest.fixture
async def database(server: RunningServer) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(server.database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def private(database: asyncpg.Connection[asyncpg.Record]) -> str:
    """The slug of a new private community without members."""
    id, slug = new_id(NO_COUNTRY), f"private-{uuid4().hex[:8]}"
    async with database.transaction():
        stream_id = await database.fetchval(
            "insert into stream (channel) values ($1) returning id", f"community:{id}"
        )
        await database.execute(
            "insert into community (id, slug, name, kind, visibility, stream_id)"
            " values ($1, $2, 'Private', 'group', 'private', $3)",
            id,
            slug,
            stream_id,
        )
    return slug


async def _refused(js: JsClient, channel: str) -> int | None:
    with pytest.raises(JsClientError) as refusal:
        await js.subscribe(channel)
    return refusal.value.code


async def test_a_private_community_end_to_end(
    private: str, ada: ApiClient, ben: ApiClient, guest: ApiClient, server: RunningServer
) -> None:
    """Closed to all, open to whom an operator lets in, closed again by a ban: pages at once, open
    subscriptions by themselves, on every gateway."""
    for client in (guest, ada):
        (await client.get(f"/communities/{private}")).problem(404, "not_found")
        (await client.get(f"/communities/{private}/feed")).problem(404, "not_found")
    (await ada.call("PUT", f"/communities/{private}/membership")).problem(404, "not_found")
    for member in (ada, ben):
        done = server.command("grant", member.account["handle"], "member", private)
        assert done.returncode == 0, done.stderr
    community = (await ada.get(f"/communities/{private}")).expect(200)
    assert community["visibility"] == "private" and community["member_count"] == 2
    post = await ada.post(private, "Among us")
    comment = await ada.comment(post["id"])
    place, thread = f"community:{community['id']}", f"thread:{post['id']}"
    for path in (
        f"/posts/{post['id']}",
        f"/posts/{post['id']}/comments",
        f"/posts/{post['id']}/history",
        f"/comments/{comment['id']}/history",
    ):
        answer = await guest.get(path)
        assert answer.status in (403, 404), (path, answer)
        (await ben.get(path)).expect(200)
    home = await guest.get("/feeds/home?sort=new&limit=100")
    assert post["id"] not in str(home.expect(200))

    first, second = (websocket_url(url) for url in server.gateway_urls())
    async with (
        JsClient(first) as stranger,
        PythonClient(first, ada.token) as owner,
        JsClient(second, ben.token) as js,
        PythonClient(second, ben.token) as python,
    ):
        in_thread = await python.follow(thread)
        in_place = await python.follow(place)
        kept = await owner.follow(thread)
        for channel in (thread, place):
            await js.subscribe(channel)
            assert await _refused(stranger, channel) in (DENIED, UNKNOWN)
        with pytest.raises(JsClientError):
            await stranger.history(thread)
        with pytest.raises(JsClientError):
            await stranger.presence_stats(thread)

        done = server.command("ban", ben.account["handle"], private)
        assert done.returncode == 0, done.stderr
        await wait_until(lambda: bool(in_thread.unsubscribed and in_place.unsubscribed), 60)
        assert (in_thread.unsubscribed, in_place.unsubscribed) == ([2000], [2000])
        for channel in (thread, place):
            event = await js.wait_for_event("unsubscribed", 60, channel=channel)
            assert event["code"] == 2000
        await ada.comment(post["id"], "not for Ben")
        await kept.wait_offset(3 if 3 in kept.offsets else 2)
        assert "not for Ben" not in str(in_thread.publications) + str(js.events)
        answer = await ben.get(f"/posts/{post['id']}")
        assert answer.status in (403, 404)
        write = await ben.call("POST", f"/posts/{post['id']}/comments", {"body_markdown": "a"})
        assert write.status in (403, 404)
        assert await _refused(stranger, f"thread:{new_id(276)}") == UNKNOWN


async def test_leaving_takes_a_private_subscription_away(
    private: str, ada: ApiClient, server: RunningServer
) -> None:
    done = server.command("grant", ada.account["handle"], "member", private)
    assert done.returncode == 0, done.stderr
    post = await ada.post(private, "Leaving")
    async with PythonClient(server.ws_url, ada.token) as python:
        following = await python.follow(f"thread:{post['id']}")
        (await ada.call("DELETE", f"/communities/{private}/membership")).expect(204)
        await wait_until(lambda: bool(following.unsubscribed), 60)
        assert following.unsubscribed == [2000]
        changed = [data for _, _, data in python.events.publications]
        assert changed[-1]["type"] == "membership.changed"


async def test_a_ban_from_a_public_community_silences(
    ada: ApiClient, ben: ApiClient, server: RunningServer
) -> None:
    post = await ada.post("es")
    assert server.command("ban", ben.account["handle"], "es").returncode == 0
    body = {"body_markdown": "a"}
    refused = await ben.call("POST", f"/posts/{post['id']}/comments", body)
    refused.problem(403, "not_permitted")
    (await ben.call("PUT", "/communities/es/membership")).problem(403, "not_permitted")
    (await ben.get(f"/posts/{post['id']}")).expect(200)


async def test_suspension_ends_sockets_and_writes(
    ada: ApiClient, ben: ApiClient, server: RunningServer
) -> None:
    post = await ada.post()
    async with PythonClient(server.ws_url, ben.token) as python:
        await python.follow(f"thread:{post['id']}")
        assert server.command("suspend", ben.account["handle"]).returncode == 0
        await wait_until(lambda: bool(python.events.disconnected), 60)
        assert python.events.disconnected == [3503]
    refused = await ben.call("POST", f"/posts/{post['id']}/comments", {"body_markdown": "a"})
    refused.problem(403, "suspended")
    assert (await ben.refresh()).status in (401, 403)
    login = {"login": ben.account["handle"], "password": "correct horse battery staple"}
    (await ben.call("POST", "/auth/login", login)).problem(403, "suspended")
    assert server.command("unsuspend", ben.account["handle"]).returncode == 0
    await ben.login(ben.account["handle"])
    await ben.comment(post["id"])


async def test_a_locked_thread(ada: ApiClient, ben: ApiClient, server: RunningServer) -> None:
    post = await ada.post("se")
    assert server.command("grant", ben.account["handle"], "moderator", "se").returncode == 0
    locked = await ben.call("PATCH", f"/posts/{post['id']}", {"locked": True})
    assert locked.expect(200)["locked"] is True
    body = {"body_markdown": "too late"}
    answer = await ada.call("POST", f"/posts/{post['id']}/comments", body)
    answer.problem(423, "locked")


async def test_other_peoples_channels(
    ada: ApiClient, ben: ApiClient, server: RunningServer
) -> None:
    async with JsClient(server.ws_url, ada.token) as js:
        assert await _refused(js, f"user:{ben.id}") == DENIED
        for channel in (
            "chat:lobby",
            "thread:",
            "thread:1",
            f"thread:{uuid4()}",
            f"community:{ada.id}",
            "x" * 300,
            "thread:" + str(uuid4()).upper(),
        ):
            assert await _refused(js, channel) in (DENIED, UNKNOWN, 107), channel
