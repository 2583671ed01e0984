"""Whatever gateways say in whatever order: joins and leaves are the differences of the list, and
the list is who is there."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import shard_messages as m
from actors.community import CommunityShard
from actors.shard_presence import RESTORE_SECONDS, SILENCE_SECONDS
from config.channels import Namespace
from config.settings import Settings
from tests.shard_model import StreamLog
from tests.unit.shard_conversation import hello, poll, running

CHANNELS = ("room:a", "room:b")
SETTINGS = Settings(channels={"room": Namespace(presence="clients", join_leave=True)})

gateway_ = st.integers(0, 1)
client_ = st.integers(0, 3)
channel_ = st.sampled_from(CHANNELS)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("come"), gateway_, channel_, client_),
        st.tuples(st.just("come"), gateway_, channel_, client_),
        st.tuples(st.just("leave"), gateway_, channel_, client_),
        st.tuples(st.just("poll"), gateway_, st.sampled_from([1, 2, 100])),
        st.tuples(st.just("poll"), gateway_, st.sampled_from([1, 2, 100])),
        st.tuples(st.just("hello"), gateway_),
        st.tuples(st.just("die"), gateway_),
        st.tuples(st.just("pass"), st.sampled_from([1.0, 9.0, SILENCE_SECONDS + 1])),
    ),
    max_size=50,
)


def info_of(client: str) -> bytes:
    return msgspec.json.encode({"client": client, "user": client[-1]})


class SayingGateway:
    """Says what it holds as documented: after a Hello all there is, later what changed."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.life = 0
        self.incarnation = ""
        self.held: set[tuple[str, str]] = set()
        self.changed: dict[tuple[str, str], None] = {}

    @property
    def id(self) -> str:
        return f"g{self.number}.{self.life}"

    def client(self, number: int) -> str:
        return f"{self.id}.{number}"

    def turn(self, channel: str, client: str, *, there: bool) -> None:
        if ((channel, client) in self.held) == there:
            return
        (self.held.add if there else self.held.discard)((channel, client))
        self.changed[channel, client] = None

    async def say_hello(self, shard: CommunityShard) -> None:
        channels = sorted({channel for channel, _ in self.held})
        self.changed = dict.fromkeys(self.held)
        self.incarnation = (await hello(shard, *channels, gateway=self.id)).incarnation

    async def poll(self, shard: CommunityShard, at_once: int = 100) -> None:
        """Says at most `at_once` clients: the rest goes with a later one."""
        if not self.incarnation:
            await self.say_hello(shard)
        said = list(self.changed)[:at_once]
        for key in said:
            del self.changed[key]
        users = Counter((channel, client[-1]) for channel, client in self.held)
        clients = [
            m.ClientChange(*key, info_of(key[1]) if key in self.held else b"") for key in said
        ]
        presence = [
            m.PresenceChange(*key, users[key])
            for key in {(channel, client[-1]) for channel, client in said}
        ]
        more = bool(self.changed)
        reply = await shard.handle(
            m.TellPresence(self.id, self.incarnation, presence, clients, more)
        )
        assert isinstance(reply, m.PresenceTaken)
        if reply.known:
            await poll(shard, self.incarnation, gateway=self.id)
        else:
            self.incarnation = ""
            await self.poll(shard)

    def die(self) -> None:
        """Its clients are gone, its successor knows nothing."""
        self.life += 1
        self.incarnation = ""
        self.held.clear()
        self.changed.clear()


class Watcher:
    """Follows all channels and keeps its own list from joins and leaves alone."""

    def __init__(self) -> None:
        self.incarnation = ""
        self.ack = 0
        self.there: set[tuple[str, bytes]] = set()

    async def look(self, shard: CommunityShard) -> None:
        if not self.incarnation:
            self.incarnation = (await hello(shard, *CHANNELS, gateway="w")).incarnation
        answer = await poll(shard, self.incarnation, self.ack, gateway="w")
        assert answer.sequence >= 0
        self.ack = answer.sequence
        for publication in answer.publications:
            entry = (publication.channel, publication.data)
            assert publication.offset == 0
            if publication.kind == m.KIND_JOIN:
                assert entry not in self.there, "joins once"
                self.there.add(entry)
            else:
                assert publication.kind == m.KIND_LEAVE
                self.there.remove(entry)


async def listed(shard: CommunityShard) -> set[tuple[str, bytes]]:
    found = set()
    for channel in CHANNELS:
        reply = await shard.handle(m.ReadClients(channel))
        assert isinstance(reply, m.ClientsReply)
        for client, info in reply.clients.items():
            assert info == info_of(client)
            found.add((channel, info))
    return found


async def play(steps: list[tuple[Any, ...]]) -> None:
    now = 0.0
    async with running(StreamLog(), settings=SETTINGS, clock=lambda: now) as shard:
        now += RESTORE_SECONDS
        watcher = Watcher()
        gateways = [SayingGateway(0), SayingGateway(1)]
        await watcher.look(shard)
        for name, *arguments in steps:
            match name, arguments:
                case "come", [number, channel, client]:
                    gateways[number].turn(channel, gateways[number].client(client), there=True)
                case "leave", [number, channel, client]:
                    gateways[number].turn(channel, gateways[number].client(client), there=False)
                case "poll", [number, at_once]:
                    await gateways[number].poll(shard, at_once)
                case "hello", [number]:
                    await gateways[number].say_hello(shard)
                case "die", [number]:
                    gateways[number].die()
                case "pass", [seconds]:
                    await watcher.look(shard)
                    now += seconds
                    # It stays in touch, whoever else does not.
                    watcher.ack = (
                        await poll(shard, watcher.incarnation, watcher.ack, gateway="w")
                    ).sequence
                    shard.forget_silent()
            await watcher.look(shard)
            assert await listed(shard) == watcher.there
        for _ in range(2):  # the second time those of the dead are past their grace
            for gateway in gateways:
                await gateway.poll(shard)
            await watcher.look(shard)
            now += SILENCE_SECONDS
            for gateway in gateways:
                await gateway.poll(shard)
            await watcher.look(shard)
            now += 1.0
            shard.forget_silent()
            await watcher.look(shard)
        there = {(c, info_of(client)) for g in gateways for c, client in g.held}
        assert await listed(shard) == there == watcher.there
        for channel in CHANNELS:
            counted = await shard.handle(m.ReadPresence(channel))
            present = [client for g in gateways for c, client in g.held if c == channel]
            users = {client[-1] for client in present}
            assert counted == m.PresenceReply(len(present), len(users))


@settings(max_examples=150)
@given(operations)
def test_joins_and_leaves_are_the_differences_of_the_list(steps: list[tuple[Any, ...]]) -> None:
    asyncio.run(play(steps))
