"""The server API by its Python client, over real HTTP, with the real shard: channels."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import pytest
from cent import (
    AsyncClient,
    BatchRequest,
    BroadcastRequest,
    CentApiResponseError,
    CentUnauthorizedError,
    ChannelsRequest,
    HistoryRemoveRequest,
    HistoryRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    StreamPosition,
)

from serve_app.gateway.server_api import ServerApi
from tests.conditions import wait_until
from tests.gateway_app import problem_of
from tests.gateways import API_KEY, Gateways, running_gateways

pytestmark = pytest.mark.integration

THREAD = "thread:0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2c"


@pytest.fixture
async def gateways(database_url: str) -> AsyncIterator[Gateways]:
    async with running_gateways(database_url) as gateways:
        yield gateways


@pytest.fixture
async def api(gateways: Gateways) -> AsyncIterator[AsyncClient]:
    async with gateways.api() as api:
        yield api


async def refused(work: Any) -> int:
    with pytest.raises(CentApiResponseError) as caught:
        await work
    return int(caught.value.code)


async def post(gateways: Gateways, method: str, body: bytes | str) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{gateways.urls[0]}/api/{method}", data=body, headers={"X-API-Key": API_KEY}
        ) as response,
    ):
        assert response.status == 200, await response.text()
        assert response.content_type == "application/json"
        return await response.json()


# ---------------------------------------------------------------- the key


async def test_only_who_has_the_key_gets_in(gateways: Gateways) -> None:
    async with gateways.api(key="another key of at least 32 characters") as stranger:
        with pytest.raises(CentUnauthorizedError):
            await stranger.publish(PublishRequest(channel="chat:a", data=1))
    url = f"{gateways.urls[0]}/api/info"
    async with aiohttp.ClientSession() as session:
        for headers, status in (
            ({}, 401),
            ({"X-API-Key": ""}, 401),
            ({"X-API-Key": API_KEY[:-1]}, 401),
            ({"X-API-Key": "schlüssel"}, 401),
            ({"Authorization": f"Bearer {API_KEY}"}, 401),
            ({"Authorization": f"apikey {API_KEY}"}, 200),
            ({"X-API-Key": API_KEY}, 200),
        ):
            async with session.post(url, json={}, headers=headers) as response:
                assert response.status == status, headers
                if status == 401:
                    assert (await problem_of(response))["code"] == "unauthenticated"
        async with session.get(url, headers={"X-API-Key": API_KEY}) as response:
            assert response.status == 405


async def test_without_a_key_in_the_settings_there_is_no_such_path(database_url: str) -> None:
    async with (
        running_gateways(database_url, api_key="") as gateways,
        aiohttp.ClientSession() as session,
    ):
        for method in ServerApi.METHODS:
            for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": API_KEY}):
                url = f"{gateways.urls[0]}/api/{method}"
                async with session.post(url, json={}, headers=headers) as response:
                    assert (await problem_of(response))["code"] == "not_found"


# ---------------------------------------------------------------- publishing


async def test_a_publication_reaches_subscribers_and_the_history(
    gateways: Gateways, api: AsyncClient
) -> None:
    async with gateways.connected("42") as client:
        await client.ask("subscribe", channel="chat:a")
        data = {"text": "größer", "n": [1.10, None]}
        done = await api.publish(PublishRequest(channel="chat:a", data=data, tags={"k": "v"}))
        assert done.offset == 1 and done.epoch
        publication = (await client.next())["push"]["pub"]
        assert publication["data"] == data and publication["tags"] == {"k": "v"}
        assert publication["offset"] == 1 and "info" not in publication
        again = await api.publish(PublishRequest(channel="chat:a", data=2))
        assert (again.offset, again.epoch) == (2, done.epoch)
    history = await api.history(HistoryRequest(channel="chat:a", limit=10))
    assert [(p.offset, p.data, p.tags) for p in history.publications] == [
        (1, data, {"k": "v"}),
        (2, 2, None),
    ]
    assert (history.offset, history.epoch) == (2, done.epoch)


async def test_a_key_publishes_once_and_gets_the_first_answer(api: AsyncClient) -> None:
    for channel in ("chat:a", "kept:a"):
        request = PublishRequest(channel=channel, data=1, idempotency_key="order-1")
        first = await api.publish(request)
        assert await api.publish(request) == first
        assert (await api.publish(PublishRequest(channel=channel, data=2))).offset == 2


async def test_what_skips_history_has_no_offset(gateways: Gateways, api: AsyncClient) -> None:
    async with gateways.connected("42") as client:
        await client.ask("subscribe", channel="chat:a")
        done = await api.publish(PublishRequest(channel="chat:a", data="x", skip_history=True))
        assert (done.offset, done.epoch) == (0, "")
        assert (await client.next())["push"]["pub"]["data"] == "x"
    assert (await api.history(HistoryRequest(channel="chat:a", limit=10))).publications == []


async def test_base64_holds_json_and_frames_stay_whole(
    gateways: Gateways, api: AsyncClient
) -> None:
    async with gateways.connected("42") as client:
        await client.ask("subscribe", channel="chat:a")
        lines = base64.b64encode(b'{"a":\n1e400,\r\n"b": 123456789012345678901234567890}').decode()
        await api.publish(PublishRequest(channel="chat:a", data="", b64data=lines))
        frame = (await client.socket.receive(timeout=10)).data
        assert '"data":{"a":1e400,"b":123456789012345678901234567890}' in frame
    for wrong in ("%%%", base64.b64encode(b"\xff\x00").decode(), base64.b64encode(b"{").decode()):
        request = PublishRequest(channel="chat:a", data=1, b64data=wrong)
        assert await refused(api.publish(request)) == 107


async def test_a_broadcast_answers_for_each_channel(gateways: Gateways, api: AsyncClient) -> None:
    names = ["chat:a", "nowhere:a", THREAD, "kept:b", "", "free"]
    async with gateways.connected("42") as client:
        await client.ask("subscribe", channel="free")
        done = await api.broadcast(BroadcastRequest(channels=names, data={"n": 1}))
        codes = [r.error.code if r.error else 0 for r in done.responses]
        assert codes == [0, 102, 103, 0, 107, 0]
        offsets = [r.result.offset for r in done.responses if r.result is not None]
        assert offsets == [1, 1, 0]
        push = await client.next()
        assert push["push"]["channel"] == "free" and push["push"]["pub"]["data"] == {"n": 1}
    assert await refused(api.broadcast(BroadcastRequest(channels=[], data=1))) == 107


async def test_channels_that_can_not_be_published_to(api: AsyncClient) -> None:
    id = THREAD.partition(":")[2]
    for channel, code in (
        ("", 107),
        ("a\nb", 107),
        ("x" * 256, 107),
        ("nowhere:a", 102),
        ("serai-control:all", 102),
        ("$serai-control:all", 102),
        ("serai-control:all#42", 102),
        (f"thread:{id}", 103),
        (f"community:{id}", 103),
        (f"user:{id}", 103),
    ):
        assert await refused(api.publish(PublishRequest(channel=channel, data=1))) == code, channel


# ---------------------------------------------------------------- presence and history


async def test_who_is_there(gateways: Gateways, api: AsyncClient) -> None:
    async with gateways.connected("42") as ada, gateways.connected("7") as ben:
        for client in (ada, ben):
            await client.ask("subscribe", channel="chat:a")
        users: list[str] = []

        async def look() -> bool:
            result = await api.presence(PresenceRequest(channel="chat:a"))
            for client, info in result.presence.items():
                assert info.client == client
            users[:] = sorted(info.user for info in result.presence.values())
            return len(users) == 2

        async with asyncio.timeout(20):
            while not await look():  # noqa: ASYNC110 - what another process would see
                await asyncio.sleep(0.02)
        assert users == ["42", "7"]
        stats = await api.presence_stats(PresenceStatsRequest(channel="chat:a"))
        assert (stats.num_clients, stats.num_users) == (2, 2)
        found = await api.channels(ChannelsRequest())
        assert {name: info.num_clients for name, info in found.channels.items()} == {"chat:a": 2}
        assert (await api.channels(ChannelsRequest(pattern="x*"))).channels == {}
    assert (await api.presence(PresenceRequest(channel="chat:b"))).presence == {}
    assert await refused(api.presence(PresenceRequest(channel="kept:a"))) == 108
    assert await refused(api.presence(PresenceRequest(channel=THREAD))) == 108, "counts alone"
    stats = await api.presence_stats(PresenceStatsRequest(channel=THREAD))
    assert (stats.num_clients, stats.num_users) == (0, 0)


async def test_pages_of_a_history(api: AsyncClient) -> None:
    for n in range(1, 6):
        await api.publish(PublishRequest(channel="chat:a", data=n))

    async def read(**fields: Any) -> list[int]:
        page = await api.history(HistoryRequest(channel="chat:a", **fields))
        assert page.offset == 5
        return [publication.offset for publication in page.publications]

    top = await api.history(HistoryRequest(channel="chat:a"))
    assert (top.offset, top.publications) == (5, []) and top.epoch
    here = {"epoch": top.epoch}
    assert await read(limit=-1) == [1, 2, 3, 4, 5]
    assert await read(limit=2) == [1, 2]
    assert await read(limit=2, reverse=True) == [5, 4]
    assert await read(limit=2, since=StreamPosition(offset=3, **here)) == [4, 5]
    assert await read(limit=9, since=StreamPosition(offset=3, **here), reverse=True) == [2, 1]
    assert await read(limit=9, since=StreamPosition(offset=1, **here), reverse=True) == []
    for since in (StreamPosition(offset=3, epoch="other"), StreamPosition(offset=9, **here)):
        request = HistoryRequest(channel="chat:a", limit=1, since=since)
        assert await refused(api.history(request)) == 112
    await api.history_remove(HistoryRemoveRequest(channel="chat:a"))
    assert await read(limit=-1) == []
    since = StreamPosition(offset=3, **here)
    assert await refused(api.history(HistoryRequest(channel="chat:a", limit=1, since=since))) == 112
    for channel, code in (("free", 108), ("nowhere:a", 102), (THREAD, 102)):
        assert await refused(api.history(HistoryRequest(channel=channel, limit=1))) == code
    for channel in ("kept:a", "free", THREAD):
        assert await refused(api.history_remove(HistoryRemoveRequest(channel=channel))) == 108


async def test_a_history_is_answered_up_to_its_size(api: AsyncClient) -> None:
    """Also where Postgres keeps more."""
    for n in range(1, 5):
        await api.publish(PublishRequest(channel="brief:a", data=n))
    page = await api.history(HistoryRequest(channel="brief:a", limit=-1))
    assert (page.offset, [p.offset for p in page.publications]) == (4, [1, 2])
    page = await api.history(HistoryRequest(channel="brief:a", limit=3, reverse=True))
    assert [p.offset for p in page.publications] == [4, 3]


async def test_what_was_removed_is_recovered_by_nobody(
    gateways: Gateways, api: AsyncClient
) -> None:
    async with gateways.connected("42") as there, gateways.connected("43") as back:
        await there.ask("subscribe", channel="chat:a")
        for n in range(3):
            await api.publish(PublishRequest(channel="chat:a", data=n))
        epoch = (await api.history(HistoryRequest(channel="chat:a"))).epoch
        await api.history_remove(HistoryRemoveRequest(channel="chat:a"))
        reply = await back.ask("subscribe", channel="chat:a", recover=True, epoch=epoch, offset=1)
        result = reply["subscribe"]
        assert result["was_recovering"] and "recovered" not in result
        assert "publications" not in result and result["offset"] == 3


# ---------------------------------------------------------------- batches and bad requests


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_batch_answers_in_order(api: AsyncClient, parallel: bool) -> None:
    done = await api.batch(
        BatchRequest(
            requests=[
                PublishRequest(channel="chat:a", data=1),
                PublishRequest(channel="kept:a", data=2),
                PresenceStatsRequest(channel="chat:a"),
                HistoryRemoveRequest(channel="chat:b"),
            ],
            parallel=parallel,
        )
    )
    published, kept, stats, _ = (cast(Any, reply) for reply in done.replies)
    assert (published.offset, kept.offset, stats.num_clients) == (1, 1, 0)


async def test_a_batch_answers_for_each_command(gateways: Gateways) -> None:
    commands: list[dict[str, Any]] = [
        {"publish": {"channel": "nowhere:a", "data": 1}},
        {"publish": {"channel": 7, "data": 1}},
        {"fly": {}},
        {},
        {"batch": {"commands": []}},
        {"publish": {"channel": "chat:a", "data": None, "tags": None, "unknown": 1}},
    ]
    for parallel in (False, True):
        body = json.dumps({"commands": commands, "parallel": parallel})
        replies = (await post(gateways, "batch", body))["replies"]
        codes = [reply.get("error", {}).get("code", 0) for reply in replies]
        assert codes == [102, 107, 104, 104, 104, 0]
        assert replies[-1]["publish"]["offset"] == 1 + parallel
    too_many = json.dumps({"commands": [{}] * 1_001})
    assert (await post(gateways, "batch", too_many))["error"]["code"] == 106


async def test_what_is_no_request_is_a_bad_request(gateways: Gateways) -> None:
    for body in (
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"channel":1}',
        b'{"channel":"chat:a"}',
        b'{"channel":"chat:a","data":1,"tags":{"a":1}}',
        b"[" * 9_000,
    ):
        answer = await post(gateways, "publish", body)
        assert answer == {"error": {"code": 107, "message": "bad request"}}, body


async def test_large_bodies_are_refused(gateways: Gateways) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{gateways.urls[0]}/api/publish",
            data=b" " * 300_000,
            headers={"X-API-Key": API_KEY},
        ) as response,
    ):
        assert (await problem_of(response))["code"] == "too_large"


async def test_while_the_shard_is_away_the_answer_is_an_internal_error(
    gateways: Gateways, api: AsyncClient
) -> None:
    await gateways.shard.stop()
    assert await refused(api.publish(PublishRequest(channel="chat:a", data=1))) == 100
    await gateways.shard.start()
    assert (await api.publish(PublishRequest(channel="chat:a", data=1))).offset == 1
    await wait_until(lambda: gateways.gateways[0]._realtime.is_connected)
