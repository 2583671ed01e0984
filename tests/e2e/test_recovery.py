"""A client that was away gets exactly what it missed, or is told that it can't."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.conditions import wait_until
from tests.e2e.api_client import ApiClient
from tests.e2e.js_client import JsClient
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer, websocket_url
from tests.e2e.wire import Wire

pytestmark = pytest.mark.e2e


async def _comments(author: ApiClient, post_id: str, count: int) -> list[str]:
    made = await asyncio.gather(*(author.comment(post_id, f"number {n}") for n in range(count)))
    return [comment["id"] for comment in made]


async def test_cut_off_both_sdks_get_what_they_missed(
    ada: ApiClient, ben: ApiClient, server: RunningServer
) -> None:
    """Three times cut while comments go on, each time coming back to the other gateway."""
    post = await ada.post()
    channel = f"thread:{post['id']}"
    first, second = (websocket_url(url) for url in server.gateway_urls())
    async with (
        Wire(first) as left,
        Wire(second) as right,
        PythonClient(left.url, ada.token) as python,
        JsClient(right.url) as js,
    ):
        following = await python.follow(channel)
        stream = (await ada.comments(post["id"]))["stream"]
        await js.subscribe(channel, since=stream)
        top = 0
        for round in range(3):
            top += len(await _comments(ben, post["id"], 10))
            await following.wait_offset(top)
            await js.wait_for_event("publication", 60, channel=channel, offset=top)
            await left.cut()
            await right.cut()
            top += len(await _comments(ben, post["id"], 40))
            # Both noticed and are trying in vain while comments go on.
            await wait_until(lambda: left.refused > 0 and right.refused > 0, 60)
            left.refused = right.refused = 0
            top += len(await _comments(ben, post["id"], 5))
            left.mend()
            right.mend()
            context = await following.wait_subscribed(round + 2)
            assert context.was_recovering and context.recovered
            await following.wait_offset(top)
            await js.wait_for_event("publication", 60, channel=channel, offset=top)
        expected = list(range(1, top + 1))
        assert following.offsets == expected
        assert [p["offset"] for p in js.publications(channel) if p["offset"]] == expected
        again = [e for e in js.events if e["event"] == "subscribed"][1:]
        assert len(again) == 3 and all(e["recovered"] for e in again)
    ids = [data["comment"]["id"] for offset, data in following.publications if offset]
    async with ApiClient(server.url) as reader:
        page = await reader.comments(post["id"], headers={"Serai-Position": "f" * 16})
    assert sorted(ids) == sorted(comment["id"] for comment in page["items"])


async def test_a_page_and_what_follows_it(ada: ApiClient, ben: ApiClient) -> None:
    """Page plus stream from its position equals a fresh page, with writers at work throughout."""
    post = await ada.post()
    url = ada.url.replace("http", "ws", 1) + "/connection/websocket"
    writing = asyncio.create_task(_comments(ben, post["id"], 120))
    try:
        for _ in range(4):
            page = await ada.comments(post["id"])
            known = {comment["id"] for comment in page["items"]}
            stream = page["stream"]
            assert len(known) == stream["offset"]
            async with JsClient(url) as js:
                await js.subscribe(stream["channel"], since=stream)
                made = await ada.comment(post["id"])
                await js.wait_for(
                    lambda event, id=made["id"]: (  # type: ignore[misc]
                        event["event"] == "publication"
                        and event["data"].get("comment", {}).get("id") == id
                    ),
                    60,
                )
                followed = [p for p in js.publications(stream["channel"]) if p["offset"]]
                offsets = [p["offset"] for p in followed]
                last = stream["offset"] + len(offsets)
                assert offsets == list(range(stream["offset"] + 1, last + 1))
                ids = {p["data"]["comment"]["id"] for p in followed}
                assert not ids & known and len(ids) == len(followed)
    finally:
        await writing


async def test_positions_that_cannot_be_recovered(ada: ApiClient, server: RunningServer) -> None:
    """Another epoch, a position of the future, a trimmed log, too much: `recovered` is false with
    the present position; those in reach are recovered."""
    post = await ada.post()
    channel = f"thread:{post['id']}"
    await _comments(ada, post["id"], 20)
    stream = (await ada.comments(post["id"], headers={"Serai-Position": "f" * 16}))["stream"]
    assert stream["offset"] == 20

    async def subscribe(**since: Any) -> dict[str, Any]:
        async with JsClient(server.ws_url) as js:
            return await js.subscribe(channel, since={**stream, **since})

    lost = (
        {"epoch": "another"},
        {"epoch": "_"},
        {"offset": 21},
        {"offset": 2**62},
    )
    for since in lost:
        context = await subscribe(**since)
        assert (context["was_recovering"], context["recovered"]) == (True, False), since
        position = context["position"]
        assert (position["offset"], position["epoch"]) == (20, stream["epoch"])
    for offset in (0, 1, 19, 20):
        assert (await subscribe(offset=offset))["recovered"], offset

    connection = await asyncpg.connect(server.database_url)
    try:
        # What the retention does to old days.
        await connection.execute(
            "delete from stream_event e using stream s"
            " where s.id = e.stream_id and s.channel = $1 and e.off <= 10",
            channel,
        )
    finally:
        await connection.close()
    # The shards' rings hold the newest events still; only a position before them needs the log.
    assert (await subscribe(offset=10))["recovered"]

    # More than a catch-up may hold: the page is to be read anew.
    crowded = await ada.post()
    for _ in range(11):  # an account may write 200 at once
        async with ApiClient(server.url) as author:
            await author.register()
            await _comments(author, crowded["id"], 100)
    stream = (await ada.comments(crowded["id"], headers={"Serai-Position": "f" * 16}))["stream"]
    channel = stream["channel"]
    assert stream["offset"] == 1100
    assert not (await subscribe(offset=0))["recovered"]
    assert not (await subscribe(offset=99))["recovered"]
    assert (await subscribe(offset=200))["recovered"]


async def test_removed_text_is_not_recovered(
    ada: ApiClient, ben: ApiClient, server: RunningServer
) -> None:
    post = await ada.post()
    channel = f"thread:{post['id']}"
    stream = (await ada.comments(post["id"]))["stream"]
    secret = "a telephone number"
    async with PythonClient(server.ws_url) as watcher:
        following = await watcher.follow(channel)
        comment = await ben.comment(post["id"], secret)
        await ben.comment(post["id"], "harmless")
        await following.wait_offset(2)
        (await ben.call("DELETE", f"/comments/{comment['id']}")).expect(204)
        await following.wait_offset(3)
        for url in server.gateway_urls():
            async with JsClient(websocket_url(url)) as js:
                await js.subscribe(channel, since=stream)
                await js.wait_for_event("publication", 60, channel=channel, offset=3)
                recovered = js.publications(channel)
                assert [p["offset"] for p in recovered if p["offset"]] == [1, 2, 3]
                assert secret not in str(recovered) and secret not in str(await js.history(channel))
                assert recovered[0]["data"]["comment"]["deleted"]


async def test_own_channel_recovers_after_a_cut(
    ada: ApiClient, ben: ApiClient, server: RunningServer
) -> None:
    """Server-side subscriptions too: notifications of the time away come with the next connect."""
    post = await ada.post()
    async with Wire(server.ws_url) as wire, PythonClient(wire.url, ada.token) as python:
        await wait_until(lambda: bool(python.events.server_subscribed), 60)
        await wire.cut()
        replies = [await ben.comment(post["id"], f"@{ada.account['handle']} {n}") for n in range(3)]
        await wait_until(lambda: wire.refused > 0, 60)
        wire.mend()
        await wait_until(lambda: len(python.events.publications) >= 3, 60)
        offsets = [offset for _, offset, _ in python.events.publications]
        assert offsets == list(range(offsets[0], offsets[0] + 3))
        told = {data["notification"]["comment_id"] for _, _, data in python.events.publications}
        assert told == {reply["id"] for reply in replies}
