"""What a gateway does with commands, whenever it reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from actors import shard_messages as m
from config.channels import OWN
from serve_app.gateway.channel_hub import ChannelHub
from serve_app.gateway.codes import Disconnect
from serve_app.gateway.control_channel import (
    CHANNEL,
    NODES,
    SKEW_SECONDS,
    Command,
    ControlChannel,
    DisconnectUser,
    Node,
    UnsubscribeUser,
)
from serve_app.gateway.shard_link import ShardLinks
from tests.conditions import wait_until

ISSUED = 1_000_000.0


class Links:
    """A history of each channel; publications are handed on when the test says so."""

    def __init__(self) -> None:
        self.stored: dict[str, list[m.Publication]] = {CHANNEL: [], NODES: []}

    def attach(self, channel: str) -> None: ...

    def detach(self, channel: str) -> None: ...

    async def ask(self, channel: str, request: m.PublishToChannel) -> m.PublishReply:
        offset = len(self.stored[channel]) + 1
        self.stored[channel].append(m.Publication(channel, offset, request.data))
        return m.PublishReply("e", offset)

    async def history(self, channel: str, after: int, limit: int) -> m.HistoryReply:
        stored = self.stored[channel]
        top = m.StreamPosition("e", len(stored))
        return m.HistoryReply(top, stored[after : after + limit], complete=True)


class Session:
    def __init__(self, connected_at: float) -> None:
        self.client = self.session = "c"
        self.connected_at = connected_at
        self.ends: list[int] = []
        self.left: list[str] = []

    async def subscribe_by_server(self, channel: str, **options: Any) -> None: ...

    def unsubscribe_by_server(self, channel: str) -> None:
        self.left.append(channel)

    def refresh_by_server(self, expire_at: float) -> None: ...

    def close(self, end: Disconnect) -> None:
        self.ends.append(end.code)


class World:
    def __init__(self) -> None:
        self.links = Links()
        self.hub = ChannelHub(cast(ShardLinks, self.links), 1_000_000)
        self.sessions: list[Session] = []
        self.now = ISSUED
        self.control = self.gateway()

    def gateway(self) -> ControlChannel:
        def describe() -> Node:
            return Node("g", "g", "1", 0, 0, 0, 0, 0)

        return ControlChannel(
            self.hub,
            cast(ShardLinks, self.links),
            lambda user: self.sessions,
            describe,
            now=lambda: self.now,
        )

    async def lose_continuity(self) -> None:
        self.hub.on_position(CHANNEL, m.StreamPosition("other", 0))
        before = len(self.links.stored[CHANNEL])
        assert before
        await wait_until(lambda: not _recovering(self.control))


def _recovering(control: ControlChannel) -> bool:
    return any("_recover" in str(task.get_coro()) for task in control._tasks)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    world.control.start()
    for name in (CHANNEL, NODES):
        world.hub.on_position(name, m.StreamPosition("e", 0))
    yield world
    await world.control.stop()
    await world.hub.stop()


@pytest.mark.parametrize("command", [DisconnectUser("42"), UnsubscribeUser("42", channel="a")])
async def test_a_command_is_for_those_who_are_there_when_it_is_issued(
    world: World, command: Command
) -> None:
    """Another gateway took it, and this one first hears of it when it reads the history."""
    old, young = Session(ISSUED), Session(ISSUED + SKEW_SECONDS + 0.1)
    world.sessions += [old, young]
    await world.gateway().send(command)
    await world.lose_continuity()
    await wait_until(lambda: bool(old.ends or old.left))
    assert not young.ends and not young.left


async def test_a_user_who_signed_in_again_stays_when_the_history_is_read_again(
    world: World,
) -> None:
    first, again = Session(ISSUED - 60), Session(ISSUED + 60)
    world.sessions.append(first)
    await world.control.send(DisconnectUser("42"))
    world.hub.on_publication(world.links.stored[CHANNEL][0])
    assert first.ends == [3503]
    world.control._applied.clear()  # as after ten thousand others
    world.sessions[:] = [again]
    await world.lose_continuity()
    assert not again.ends


async def test_reports_and_commands_have_a_history_each(world: World) -> None:
    await wait_until(lambda: bool(world.links.stored[NODES]))
    assert not world.links.stored[CHANNEL]
    (report,) = world.links.stored[NODES]
    body = msgspec.json.decode(report.data)["body"]
    other = msgspec.json.encode({"id": "", "at": ISSUED, "body": {**body, "uid": "other"}})
    world.hub.on_publication(m.Publication(NODES, 1, other))
    assert [node.uid for node in world.control.nodes()] == ["g", "other"]


def test_the_history_holds_as_many_commands_as_a_gateway_remembers() -> None:
    assert OWN["serai-control"].history_size == 10_000
