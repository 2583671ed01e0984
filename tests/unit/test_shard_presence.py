"""Who is on an operator's channels, what others are told of it, and which channels there are."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import msgspec
import pytest

from actors import shard_messages as m
from actors.community import CommunityShard
from actors.shard_presence import RESTORE_SECONDS, SILENCE_SECONDS
from config.channels import Namespace
from config.errors import AppError
from config.settings import Settings
from tests.shard_model import StreamLog
from tests.unit.shard_conversation import A, hello, poll, running

ROOM = "room:1"
SETTINGS = Settings(
    channels={
        "room": Namespace(presence="clients", join_leave=True, presence_clients=2),
        "quiet": Namespace(presence="clients"),
        "counted": Namespace(presence="counts"),
        "bare": Namespace(),
    }
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def info_of(client: str) -> bytes:
    return b'{"client":"%s"}' % client.encode()


def came(*clients: str, channel: str = ROOM) -> list[m.ClientChange]:
    return [m.ClientChange(channel, client, info_of(client)) for client in clients]


def left(*clients: str, channel: str = ROOM) -> list[m.ClientChange]:
    return [m.ClientChange(channel, client, b"") for client in clients]


async def say(
    shard: CommunityShard, gateway: str, incarnation: str, clients: list[m.ClientChange]
) -> None:
    counts = [m.PresenceChange(c.channel, c.client, 1 if c.info else 0) for c in clients]
    told = m.TellPresence(gateway, incarnation, counts, clients)
    assert await shard.handle(told) == m.PresenceTaken(True)


async def listed(shard: CommunityShard, channel: str = ROOM) -> list[str]:
    reply = await shard.handle(m.ReadClients(channel))
    assert isinstance(reply, m.ClientsReply)
    return list(reply.clients)


class Watcher:
    def __init__(self, shard: CommunityShard) -> None:
        self.shard = shard
        self.ack = 0
        self.incarnation = ""

    async def look(self) -> list[tuple[str, str]]:
        """Joins (+) and leaves (-) since the last look."""
        if not self.incarnation:
            self.incarnation = (await hello(self.shard, ROOM, "quiet:1", gateway="w")).incarnation
        answer = await poll(self.shard, self.incarnation, self.ack, gateway="w")
        self.ack = answer.sequence
        signs = {m.KIND_JOIN: "+", m.KIND_LEAVE: "-"}
        return [(signs[p.kind], msgspec.json.decode(p.data)["client"]) for p in answer.publications]


async def test_who_comes_and_goes_is_told_to_those_who_follow() -> None:
    clock = Clock()
    async with running(StreamLog(), settings=SETTINGS, clock=clock) as shard:
        watcher = Watcher(shard)
        await watcher.look()
        incarnation = (await hello(shard, gateway="g")).incarnation
        await say(shard, "g", incarnation, came("ann", "bob"))
        await say(shard, "g", incarnation, [*came("ann"), *left("bob"), *left("cyd")])
        await say(shard, "g", incarnation, came("ann", channel="quiet:1"))
        assert await watcher.look() == [("+", "ann"), ("+", "bob"), ("-", "bob")]
        assert await listed(shard) == await listed(shard, "quiet:1") == ["ann"]


async def test_the_same_clients_after_another_hello_are_no_news() -> None:
    clock = Clock()
    async with running(StreamLog(), settings=SETTINGS, clock=clock) as shard:
        watcher = Watcher(shard)
        await watcher.look()
        first = (await hello(shard, gateway="g")).incarnation
        await say(shard, "g", first, came("ann", "bob"))
        await watcher.look()
        again = (await hello(shard, ROOM, gateway="g")).incarnation
        assert await listed(shard) == ["ann", "bob"], "until it says who is there"
        assert await shard.handle(m.ReadPresence(ROOM)) == m.PresenceReply(2, 2)
        await say(shard, "g", again, came("bob", "cyd"))
        assert await watcher.look() == [("+", "cyd"), ("-", "ann")]
        assert await listed(shard) == ["bob", "cyd"]


async def test_an_introduction_may_take_several_messages() -> None:
    async with running(StreamLog(), settings=SETTINGS) as shard:
        watcher = Watcher(shard)
        await watcher.look()
        first = (await hello(shard, gateway="g")).incarnation
        await say(shard, "g", first, came("ann", "bob"))
        await watcher.look()
        again = (await hello(shard, gateway="g")).incarnation
        counts = [m.PresenceChange(ROOM, "bob", 1)]
        await shard.handle(m.TellPresence("g", again, counts, came("bob"), more=True))
        assert await listed(shard) == ["ann", "bob"]
        assert await shard.handle(m.ReadPresence(ROOM)) == m.PresenceReply(2, 2)
        await say(shard, "g", again, came("cyd"))
        assert await listed(shard) == ["bob", "cyd"]
        assert await shard.handle(m.ReadPresence(ROOM)) == m.PresenceReply(2, 2)
        assert await watcher.look() == [("+", "cyd"), ("-", "ann")]


async def test_clients_of_a_dead_gateway_leave_after_the_silence() -> None:
    clock = Clock()
    async with running(StreamLog(), settings=SETTINGS, clock=clock) as shard:
        watcher = Watcher(shard)
        await watcher.look()
        dead = (await hello(shard, gateway="g")).incarnation
        await say(shard, "g", dead, came("ann"))
        clock.now += 9.0
        await watcher.look()
        other = (await hello(shard, gateway="h")).incarnation
        await say(shard, "h", other, came("ann again"))
        assert await listed(shard) == ["ann", "ann again"], "both until then"
        clock.now += SILENCE_SECONDS - 8.0
        shard.forget_silent()
        assert await listed(shard) == ["ann again"]
        assert await watcher.look() == [("+", "ann again"), ("-", "ann")]


async def test_a_forgotten_gateway_has_a_grace_to_come_back() -> None:
    """Also without a Hello of its own the clients leave in the end."""
    clock = Clock()
    log = StreamLog(A)
    async with running(log, settings=SETTINGS, clock=clock) as shard:
        watcher = Watcher(shard)
        await watcher.look()
        incarnation = (await hello(shard, A, gateway="g")).incarnation
        await say(shard, "g", incarnation, came("ann"))
        log.epoch = "two"
        await shard.sweep()
        assert shard.statistics().gateways == 0
        clock.now += SILENCE_SECONDS - 1.0
        shard.forget_silent()
        assert await listed(shard) == ["ann"]
        again = (await hello(shard, ROOM, gateway="g")).incarnation
        clock.now += 2.0
        shard.forget_silent()
        assert await listed(shard) == ["ann"], "it said Hello"
        await say(shard, "g", again, came("ann"))
        watcher.incarnation, watcher.ack = "", 0
        assert await watcher.look() == []
        log.epoch = "three"
        await shard.sweep()
        clock.now += SILENCE_SECONDS
        shard.forget_silent()
        assert await listed(shard) == []
        assert await shard.handle(m.ReadPresence(ROOM)) == m.PresenceReply(0, 0)


@pytest.mark.parametrize(("age", "told"), [(0.0, []), (RESTORE_SECONDS, [("+", "ann")])])
async def test_a_restarted_shard_does_not_tell_those_who_were_there(
    age: float, told: list[tuple[str, str]]
) -> None:
    clock = Clock()
    async with running(StreamLog(), settings=SETTINGS, clock=clock) as shard:
        watcher = Watcher(shard)
        await watcher.look()
        clock.now += age
        incarnation = (await hello(shard, ROOM, gateway="g")).incarnation
        await say(shard, "g", incarnation, came("ann"))
        assert await watcher.look() == told
        await say(shard, "g", incarnation, came("bob"))
        assert await watcher.look() == [("+", "bob")]


async def test_lists_are_bounded_and_counts_are_exact() -> None:
    async with running(StreamLog(), settings=SETTINGS) as shard:
        incarnation = (await hello(shard, ROOM, gateway="g")).incarnation
        await say(shard, "g", incarnation, came("ann", "bob", "cyd"))
        assert await listed(shard) == ["ann", "bob"]
        assert await shard.handle(m.ReadPresence(ROOM)) == m.PresenceReply(3, 3)
        await say(shard, "g", incarnation, left("ann"))
        assert await listed(shard) == ["bob", "cyd"]


async def test_namespaces_that_list_nobody_keep_no_list() -> None:
    async with running(StreamLog(A), settings=SETTINGS) as shard:
        incarnation = (await hello(shard, gateway="g")).incarnation
        for channel in (A, "counted:1", "bare:1", "no:1"):
            await say(shard, "g", incarnation, came("ann", channel=channel))
            assert await listed(shard, channel) == []


async def test_counts_of_an_operators_channels_are_no_publications() -> None:
    async with running(StreamLog(A), settings=SETTINGS) as shard:
        incarnation = (await hello(shard, A, ROOM, "counted:1", "bare:1", gateway="g")).incarnation
        for channel in (A, ROOM, "counted:1", "bare:1"):
            await say(shard, "g", incarnation, came("ann", channel=channel))
        shard.tell_presence()
        answer = await poll(shard, incarnation)
        events = [p for p in answer.publications if p.kind == m.KIND_PUBLICATION]
        assert [(p.channel, msgspec.json.decode(p.data)["count"]) for p in events] == [(A, 1)]


async def test_channels_are_listed_by_pattern() -> None:
    async with running(StreamLog(A), settings=SETTINGS) as shard:
        incarnation = (
            await hello(shard, A, "room:1", "room:22", "bare:1", gateway="g")
        ).incarnation
        await hello(shard, "bare:1", gateway="h")
        await say(shard, "g", incarnation, came("ann", "bob"))

        async def channels(pattern: str = "") -> m.ChannelsReply:
            reply = await shard.handle(m.ListChannels(pattern))
            assert isinstance(reply, m.ChannelsReply)
            return reply

        everything = {A: 1, "room:1": 2, "room:22": 1, "bare:1": 2}
        assert await channels() == m.ChannelsReply(everything)
        assert await channels("room:?") == m.ChannelsReply({"room:1": 2})
        assert await channels("*:1") == m.ChannelsReply({"room:1": 2, "bare:1": 2})
        assert await channels("ROOM:*") == m.ChannelsReply({})
        with patch("actors.shard_presence.MAX_LISTED_CHANNELS", 2):
            assert await channels("room:*") == m.ChannelsReply({"room:1": 2, "room:22": 1})
            reply = await channels()
            assert (len(reply.clients), reply.cut) == (2, True)
        with pytest.raises(AppError) as refused:
            await channels("x" * 256)
        assert refused.value.code == "invalid"


async def test_a_long_list_lets_others_be_served() -> None:
    async with running(StreamLog(), settings=SETTINGS) as shard:
        names = [f"bare:{n}" for n in range(4_500)]
        incarnation = (await hello(shard, *names, gateway="g")).incarnation
        listing = asyncio.create_task(shard.handle(m.ListChannels()))
        await asyncio.sleep(0)
        await shard.handle(m.Detach("g", incarnation, names[4_000:]))
        reply = await listing
        assert isinstance(reply, m.ChannelsReply)
        assert len(reply.clients) == 4_000


async def test_a_crowd_that_leaves_is_told_of_at_a_pace_and_in_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.shard_presence.VISITS", 3)
    crowd = [f"c{n}" for n in range(8)]
    async with running(StreamLog(), settings=SETTINGS) as shard:
        watcher = Watcher(shard)
        await watcher.look()
        incarnation = (await hello(shard, ROOM, gateway="g")).incarnation
        await say(shard, "g", incarnation, [])
        shard.tell_presence()
        await say(shard, "g", incarnation, came(*crowd))
        told = await watcher.look()
        assert told == [("+", client) for client in crowd[:3]]
        await say(shard, "g", incarnation, left(*crowd))
        assert await watcher.look() == [], "what waits goes first"
        for _ in range(5):
            shard.tell_presence()
            more = await watcher.look()
            assert len(more) <= 3
            told += more
        assert told == [(sign, client) for sign in "+-" for client in crowd]
