"""Two SDKs on two gateways: what one member does, the others see live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conditions import wait_until
from tests.e2e.api_client import ApiClient
from tests.e2e.js_client import JsClient, JsClientError
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer, websocket_url

pytestmark = pytest.mark.e2e


@pytest.fixture
def gateways(server: RunningServer) -> list[str]:
    """The WebSocket addresses of two different gateways."""
    urls = server.gateway_urls()
    assert len(urls) == 2
    return [websocket_url(url) for url in urls]


@pytest.fixture
async def python(gateways: list[str], ada: ApiClient) -> AsyncIterator[PythonClient]:
    """Ada's SDK client, on the first gateway."""
    async with PythonClient(gateways[0], ada.token) as client:
        yield client


@pytest.fixture
async def js(gateways: list[str], ben: ApiClient) -> AsyncIterator[JsClient]:
    """Ben's SDK client, on the second gateway."""
    async with JsClient(gateways[1], ben.token) as client:
        yield client


def _shown(publication: dict[str, Any]) -> tuple[int, str]:
    return publication["offset"], publication["data"]["comment"]["id"]


async def test_two_sdks_on_two_gateways_see_each_other(
    ada: ApiClient, ben: ApiClient, python: PythonClient, js: JsClient
) -> None:
    post = await ada.post()
    channel = f"thread:{post['id']}"
    page = await ada.comments(post["id"])
    stream = page["stream"]
    following = await python.follow(channel)
    subscribed = await js.subscribe(channel, since=stream)
    assert subscribed["recoverable"] and subscribed["recovered"]
    assert following.subscribed[0].stream_position.epoch == stream["epoch"]
    made: list[dict[str, Any]] = []
    for n in range(10):
        author = (ada, ben)[n % 2]
        parent = made[-1]["id"] if n % 3 == 2 else None
        made.append(await author.comment(post["id"], f"number {n}", parent))
    await following.wait_offset(10)
    await js.wait_for_event("publication", 60, channel=channel, offset=10)
    expected = [(n + 1, comment["id"]) for n, comment in enumerate(made)]
    assert [(o, data["comment"]["id"]) for o, data in following.publications if o] == expected
    assert [_shown(p) for p in js.publications(channel) if p["offset"]] == expected
    event = following.of_type("comment.created")[0]
    assert event["type"] == "comment.created" and event["comment"] == made[0]
    assert event["sent_ns"] <= event["committed_ns"] and event["at"].endswith("Z")


async def test_every_kind_of_event(
    ada: ApiClient, ben: ApiClient, python: PythonClient, js: JsClient
) -> None:
    """Community streams carry posts, thread streams comments and their post; counters come without
    an offset."""
    community = (await ada.get("/communities/pt")).expect(200)
    place = f"community:{community['id']}"
    in_place = await python.follow(place)
    start = in_place.subscribed[0].stream_position.offset
    post = await ada.post("pt", "Live")
    await in_place.wait_offset(start + 1)
    created = in_place.of_type("post.created")
    assert [event["post"]["id"] for event in created] == [post["id"]]
    thread = await python.follow(f"thread:{post['id']}")
    await js.subscribe(place)

    comment = await ben.comment(post["id"])
    (await ben.call("PATCH", f"/comments/{comment['id']}", {"body_markdown": "edited"})).expect(200)
    await ada.vote("comment", comment["id"], 1)
    (await ben.call("DELETE", f"/comments/{comment['id']}")).expect(204)
    (await ada.call("PATCH", f"/posts/{post['id']}", {"title": "Live again"})).expect(200)
    (await ada.call("DELETE", f"/posts/{post['id']}")).expect(204)

    await thread.wait_offset(5)
    await in_place.wait_offset(start + 3)
    durable = [(offset, data["type"]) for offset, data in thread.publications if offset]
    assert durable == [
        (1, "comment.created"),
        (2, "comment.updated"),
        (3, "comment.deleted"),
        (4, "post.updated"),
        (5, "post.deleted"),
    ]
    await wait_until(lambda: bool(thread.of_type("vote.changed")), 60)
    vote = thread.of_type("vote.changed")[-1]
    assert (vote["kind"], vote["id"]) == ("comment", comment["id"])
    assert {"up", "down", "score"} <= set(vote)
    updated = in_place.of_type("post.updated")
    assert [event["post"]["title"] for event in updated] == ["Live again"]
    assert [event["post"]["id"] for event in in_place.of_type("post.deleted")] == [post["id"]]
    await js.wait_for(
        lambda event: (
            event["event"] == "publication" and event["data"]["type"] == "thread.activity"
        ),
        60,
    )
    activity = [p for p in js.publications(place) if p["data"]["type"] == "thread.activity"]
    assert activity[0]["offset"] in (None, 0) and activity[0]["data"]["post_id"] == post["id"]
    assert {"comment_count", "last_comment_at"} <= set(activity[0]["data"])


async def test_own_channel_comes_by_itself(
    ada: ApiClient, ben: ApiClient, python: PythonClient, js: JsClient
) -> None:
    """A reply reaches its parent's author as a notification, on whichever gateway."""
    own = f"user:{ada.id}"
    await wait_until(lambda: bool(python.events.server_subscribed), 60)
    assert [context.channel for context in python.events.server_subscribed] == [own]
    assert python.events.server_subscribed[0].recoverable
    await js.wait_for_event("server_subscribed", 60, channel=f"user:{ben.id}")

    post = await ada.post()
    question = await ada.comment(post["id"])
    reply = await ben.comment(post["id"], f"to @{ada.account['handle']}", question["id"])

    def told() -> list[Any]:
        return [
            data["notification"]
            for channel, offset, data in python.events.publications
            if channel == own and offset and data["type"] == "notification.created"
        ]

    await wait_until(lambda: bool(told()), 60)
    assert told()[0]["comment_id"] == reply["id"] and told()[0]["actor"]["id"] == ben.id
    assert told()[0]["kind"] in ("reply", "mention")
    page = (await ada.get("/notifications", headers={"Serai-Position": "f" * 16})).expect(200)
    assert [item["comment_id"] for item in page["items"]] == [reply["id"]] and page["unread"] == 1
    read = await ada.call("PUT", "/notifications/read", {"up_to": page["items"][0]["id"]})
    assert read.expect(200) == {"unread": 0}
    answer = await ada.comment(post["id"], f"thanks @{ben.account['handle']}")
    told_js = await js.wait_for_event("server_publication", 60, channel=f"user:{ben.id}")
    assert told_js["data"]["notification"]["comment_id"] == answer["id"]
    # Nobody is told of what they did themselves, and nobody twice.
    assert len(told()) == 1


async def test_typing_presence_and_history(
    ada: ApiClient, ben: ApiClient, python: PythonClient, js: JsClient, gateways: list[str]
) -> None:
    post = await ada.post()
    channel = f"thread:{post['id']}"
    following = await python.follow(channel)
    await js.subscribe(channel)
    await js.publish(channel, {"type": "typing"})
    await wait_until(lambda: bool(following.of_type("typing")), 60)
    typing = following.of_type("typing")[0]
    assert (typing["account_id"], typing["handle"]) == (ben.id, ben.account["handle"])
    assert following.offsets == []
    for words in ({"type": "typing", "handle": "other"}, {"type": "comment.created"}, "typing", 7):
        with pytest.raises(JsClientError) as refusal:
            await js.publish(channel, words)
        assert refusal.value.code == 103

    async with PythonClient(gateways[1]) as guest:
        await guest.follow(channel)
        with pytest.raises(Exception, match="permission denied"):
            await guest.publish(channel, {"type": "typing"})
        # Counted over both gateways, within a poll or two.
        expected = {"numClients": 3, "numUsers": 3}
        async with asyncio.timeout(60):
            while True:
                stats = await js.presence_stats(channel)
                if stats["numClients"] == 3:
                    break
        assert stats == expected or stats["numUsers"] in (2, 3)

        for n in range(5):
            await ada.comment(post["id"], f"number {n}")
        await following.wait_offset(5)
        whole = await js.history(channel)
        assert [p["offset"] for p in whole["publications"]] == [1, 2, 3, 4, 5]
        assert whole["offset"] == 5 and whole["epoch"]
        assert (await js.history(channel, limit=0))["publications"] == []
        newest = await js.history(channel, limit=2, reverse=True)
        assert [p["offset"] for p in newest["publications"]] == [5, 4]
        since = {"offset": 3, "epoch": whole["epoch"]}
        rest = await guest.sdk.history(channel, limit=10, since=_position(since))
        assert [p.offset for p in rest.publications] == [4, 5]
        with pytest.raises(JsClientError) as refusal:
            await js.history(channel, since={"offset": 3, "epoch": "another"})
        assert refusal.value.code == 112


def _position(since: dict[str, Any]) -> Any:
    from centrifuge.types import StreamPosition

    return StreamPosition(offset=since["offset"], epoch=since["epoch"])
