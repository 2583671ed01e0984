"""The server API about a user's connections, on whichever gateway they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cent import (
    AsyncClient,
    CentApiResponseError,
    Disconnect,
    DisconnectRequest,
    InfoRequest,
    PublishRequest,
    RefreshRequest,
    StreamPosition,
    SubscribeRequest,
    UnsubscribeRequest,
)

from actors.shard_messages import HistoryReply, PublishToChannel
from serve_app.gateway import control_channel
from serve_app.gateway.control_channel import CHANNEL, ControlChannel
from tests.conditions import wait_until
from tests.gateways import Gateways, running_gateways
from tests.realtime_server import RawClient

pytestmark = pytest.mark.integration

THREAD = "thread:0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2c"


@pytest.fixture
async def gateways(database_url: str) -> AsyncIterator[Gateways]:
    async with running_gateways(database_url, 2) as gateways:
        await wait_until(lambda: all(is_live(gateways, n) for n in (0, 1)))
        yield gateways


@pytest.fixture
async def api(gateways: Gateways) -> AsyncIterator[AsyncClient]:
    async with gateways.api() as api:
        yield api


def control_of(gateways: Gateways, number: int) -> ControlChannel:
    control = gateways.gateways[number]._realtime._control
    assert control is not None
    return control


def is_live(gateways: Gateways, number: int) -> bool:
    """The gateway follows the control channel."""
    watched = control_of(gateways, number)._watched
    return watched is not None and watched.live.done()


async def refused(work: Any) -> int:
    with pytest.raises(CentApiResponseError) as caught:
        await work
    return int(caught.value.code)


async def push_of(client: RawClient, member: str) -> Any:
    """The next push of the kind; others are skipped."""
    while True:
        push = (await client.next()).get("push", {})
        if member in push:
            return push


# ---------------------------------------------------------------- subscriptions


async def test_a_user_is_subscribed_on_every_gateway(gateways: Gateways, api: AsyncClient) -> None:
    async with (
        gateways.connected("42", 0) as here,
        gateways.connected("42", 1) as there,
        gateways.connected("7", 1) as other,
    ):
        await api.publish(PublishRequest(channel="chat:a", data="before"))
        await api.subscribe(
            SubscribeRequest(user="42", channel="chat:a", data={"hello": 1}, info={"role": "host"})
        )
        for client in (here, there):
            push = await push_of(client, "subscribe")
            assert push["channel"] == "chat:a"
            assert push["subscribe"]["data"] == {"hello": 1}
            assert push["subscribe"]["offset"] == 1 and push["subscribe"]["epoch"]
        await api.publish(PublishRequest(channel="chat:a", data="after"))
        for client in (here, there):
            publication = (await push_of(client, "pub"))["pub"]
            assert (publication["data"], publication["offset"]) == ("after", 2)
        await api.unsubscribe(UnsubscribeRequest(user="42", channel="chat:a"))
        for client in (here, there):
            push = await push_of(client, "unsubscribe")
            assert (push["channel"], push["unsubscribe"]["code"]) == ("chat:a", 2000)
        reply = await other.ask("presence_stats", channel="chat:a")
        assert "presence_stats" in reply
        await other.ask("ping")
        assert not other._messages, "nobody else heard anything"


async def test_what_was_missed_comes_with_the_subscription(
    gateways: Gateways, api: AsyncClient
) -> None:
    for n in (1, 2, 3):
        done = await api.publish(PublishRequest(channel="chat:a", data=n))
    async with gateways.connected("42", 1) as client:
        since = StreamPosition(offset=1, epoch=done.epoch)
        await api.subscribe(SubscribeRequest(user="42", channel="chat:a", recover_since=since))
        await push_of(client, "subscribe")
        offsets = [(await push_of(client, "pub"))["pub"]["offset"] for _ in (2, 3)]
        assert offsets == [2, 3]


async def test_what_follows_the_answer_is_heard(
    gateways: Gateways, api: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the gateway of the user takes its time."""
    published = asyncio.Event()
    apply = control_channel._subscribe

    async def apply_late(*given: Any) -> None:
        await published.wait()
        await apply(*given)

    monkeypatch.setattr(control_channel, "_subscribe", apply_late)
    channels = ["chat:new", "chat:known"]
    await api.publish(PublishRequest(channel="chat:known", data="before"))
    async with gateways.connected("42", 1) as client:
        for channel in channels:
            await api.subscribe(SubscribeRequest(user="42", channel=channel))
            await api.publish(PublishRequest(channel=channel, data="after"))
        published.set()
        heard = [await push_of(client, "pub") for _ in channels]
        assert [(p["channel"], p["pub"]["data"]) for p in heard] == [
            ("chat:new", "after"),
            ("chat:known", "after"),
        ]


async def test_one_connection_of_several(gateways: Gateways, api: AsyncClient) -> None:
    async with gateways.socket(0) as first, gateways.connected("42", 1) as second:
        from tests.gateways import connection_token

        connected = (await first.connect(connection_token("42")))["connect"]
        client = connected["client"]
        await api.subscribe(SubscribeRequest(user="42", channel="chat:a", client=client))
        assert (await push_of(first, "subscribe"))["channel"] == "chat:a"
        await api.subscribe(SubscribeRequest(user="42", channel="chat:b"))
        assert (await push_of(second, "subscribe"))["channel"] == "chat:b"
        await api.disconnect(DisconnectRequest(user="42", whitelist=[client]))
        assert await second.close_code() == 3503
        assert "ping" in await first.ask("ping")


async def test_commands_about_one_user_are_applied_in_order(
    gateways: Gateways, api: AsyncClient
) -> None:
    async with gateways.connected("42", 1) as client:
        for _ in range(10):
            await api.subscribe(SubscribeRequest(user="42", channel="chat:a"))
            await api.unsubscribe(UnsubscribeRequest(user="42", channel="chat:a"))
        heard: list[str] = []
        while len(heard) < 20:
            push = (await client.next())["push"]
            heard += [member for member in ("subscribe", "unsubscribe") if member in push]
        assert heard == ["subscribe", "unsubscribe"] * 10


async def test_unsubscribing_of_everything(gateways: Gateways, api: AsyncClient) -> None:
    async with gateways.connected("42", 1) as client:
        for channel in ("chat:a", "chat:b"):
            await client.ask("subscribe", channel=channel)
        await api.unsubscribe(UnsubscribeRequest(user="42", channel=""))
        ended = {(await push_of(client, "unsubscribe"))["channel"] for _ in "ab"}
        assert ended == {"chat:a", "chat:b"}


async def test_channels_that_nobody_can_be_subscribed_to(api: AsyncClient) -> None:
    for channel, code in (
        (THREAD, 103),
        (CHANNEL, 102),
        ("nowhere:a", 102),
        ("", 107),
    ):
        assert await refused(api.subscribe(SubscribeRequest(user="42", channel=channel))) == code
    assert await refused(api.subscribe(SubscribeRequest(user="", channel="chat:a"))) == 107
    assert await refused(api.unsubscribe(UnsubscribeRequest(user="42", channel=CHANNEL))) == 102


# ---------------------------------------------------------------- connections


async def test_disconnecting_with_a_code(gateways: Gateways, api: AsyncClient) -> None:
    async with gateways.connected("42", 0) as here, gateways.connected("42", 1) as there:
        end = Disconnect(code=4321, reason="see you")
        await api.disconnect(DisconnectRequest(user="42", disconnect=end))
        assert await here.close_code() == 4321
        assert await there.close_code() == 4321
    async with gateways.connected("42", 1) as client:
        assert "ping" in await client.ask("ping"), "who comes later is not concerned"
        for wrong in (Disconnect(code=1000), Disconnect(code=5000), Disconnect(code=0)):
            assert (
                await refused(api.disconnect(DisconnectRequest(user="42", disconnect=wrong))) == 107
            )
        long = Disconnect(code=4000, reason="ö" * 62)
        assert await refused(api.disconnect(DisconnectRequest(user="42", disconnect=long))) == 107
    assert await refused(api.disconnect(DisconnectRequest(user=""))) == 107


async def test_refreshing_a_connection(gateways: Gateways, api: AsyncClient) -> None:
    async with gateways.connected("42", 1) as client:
        await api.refresh(RefreshRequest(user="42", expire_at=int(time.time()) + 1_000))
        push = (await push_of(client, "refresh"))["refresh"]
        assert push["expires"] is True and 900 < push["ttl"] <= 1_000
        await api.refresh(RefreshRequest(user="42", expired=True))
        assert await client.close_code() == 3005


# ---------------------------------------------------------------- info


async def test_every_gateway_is_counted(
    gateways: Gateways, api: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateways.connected("42", 0), gateways.connected("7", 1) as other:
        await other.ask("subscribe", channel="chat:a")
        await wait_until(lambda: len(control_of(gateways, 0).nodes()) == 2)
        async with asyncio.timeout(20):
            while True:
                nodes = {node.uid: node for node in (await api.info(InfoRequest())).nodes}
                assert set(nodes) == {"gateway-0", "gateway-1"}
                # The other one's figures are those of its last report.
                if nodes["gateway-1"].num_clients:
                    break
                await asyncio.sleep(0.05)
        for node in nodes.values():
            assert node.num_clients == node.num_users == 1
            assert node.name and node.uptime >= 0
        assert nodes["gateway-1"].num_subs >= 1
        assert nodes["gateway-1"].num_channels >= 1
    await gateways.gateways[1].stop()
    control = control_of(gateways, 0)
    later = time.monotonic() + control_channel.NODE_SECONDS
    monkeypatch.setattr(control, "_clock", lambda: later + 1_000)
    assert [node.uid for node in control.nodes()] == ["gateway-0"]


# ---------------------------------------------------------------- faults


async def test_a_command_survives_the_loss_of_the_shard(
    gateways: Gateways, api: AsyncClient
) -> None:
    """Answered, and lost with the shard before the second gateway could hear of it."""
    async with gateways.connected("42", 1) as client:
        other = gateways.gateways[1]._realtime
        gateways.shard.deaf.add("gateway-1")
        await api.disconnect(DisconnectRequest(user="42"))
        assert other._services.sessions_of("42"), "it has not heard"
        await gateways.shard.restart()
        gateways.shard.deaf.clear()
        assert await client.close_code() == 3503


async def test_a_command_is_applied_once(gateways: Gateways, api: AsyncClient) -> None:
    """Also when the shard restarts and it is sent again."""
    async with gateways.connected("42", 1) as client:
        await api.disconnect(DisconnectRequest(user="42"))
        assert await client.close_code() == 3503
    async with gateways.connected("42", 1) as client:
        await gateways.shard.restart()

        async def resent() -> list[bytes]:
            from actors.shard_messages import ReadHistory

            reply = await gateways.shard.call(0, ReadHistory(CHANNEL, 0, 100))
            assert isinstance(reply, HistoryReply)
            return [p.data for p in reply.publications if b'"disconnect"' in p.data]

        async with asyncio.timeout(20):
            while not await resent():  # noqa: ASYNC110 - what the shard holds
                await asyncio.sleep(0.02)
        await api.subscribe(SubscribeRequest(user="42", channel="chat:a"))
        assert (await push_of(client, "subscribe"))["channel"] == "chat:a"


async def test_what_can_not_be_read_is_passed_over(gateways: Gateways, api: AsyncClient) -> None:
    async with gateways.connected("42", 1) as client:
        for data in (b"1", b'{"id":"x","body":{"type":"fly"}}', b"{}"):
            await gateways.shard.call(0, PublishToChannel(CHANNEL, data))
        await api.disconnect(DisconnectRequest(user="42"))
        assert await client.close_code() == 3503


async def test_clients_can_not_reach_the_control_channel(gateways: Gateways) -> None:
    async with gateways.connected("42", 0) as client:
        for member, more in (
            ("subscribe", {}),
            ("publish", {"data": {}}),
            ("history", {"limit": 10}),
            ("presence", {}),
            ("presence_stats", {}),
        ):
            reply = await client.ask(member, channel=CHANNEL, **more)
            assert reply["error"]["code"] in (102, 103), reply
