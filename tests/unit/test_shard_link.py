"""The conversation with one shard, call by call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from actors import shard_messages as m
from actors.messages import Message
from config.errors import AppError
from serve_app.gateway import shard_link
from serve_app.gateway.shard_link import ShardLink, ShardLinks
from tests.conditions import wait_until


class Shard:
    """Answers when the test lets it; `asked` holds every request in order."""

    def __init__(self) -> None:
        self.asked: list[m.ShardRequest] = []
        self.attach_gate = asyncio.Event()
        self.attach_gate.set()
        self.hello_gate = asyncio.Event()
        self.hello_gate.set()
        self.presence_gate = asyncio.Event()
        self.presence_gate.set()
        self.polls: asyncio.Queue[m.PollReply | AppError] = asyncio.Queue()
        self.top = 0
        self.forgotten: set[str] = set()
        self.late: set[str] = set()
        self.refuses_attach = False

    async def __call__(self, shard: int, request: m.ShardRequest) -> m.ShardReply:
        self.asked.append(request)
        if isinstance(request, m.Poll):
            answer = await self.polls.get()
            if isinstance(answer, AppError):
                raise answer
            return answer
        if isinstance(request, m.TellPresence):
            await self.presence_gate.wait()
            return m.PresenceTaken(request.incarnation not in self.forgotten)
        self.top += 1
        if isinstance(request, m.Hello):
            top = m.StreamPosition("e", self.top)
            await self.hello_gate.wait()
            late = [name for name in request.channels if name in self.late]
            return m.HelloReply(f"i{self.top}", [top for _ in request.channels], late)
        if isinstance(request, m.Attach):
            if self.refuses_attach:
                raise AppError("unavailable")
            top = m.StreamPosition("e", self.top)
            await self.attach_gate.wait()
            late = [name for name in request.channels if name in self.late]
            return m.AttachReply(True, [top for _ in request.channels], late)
        return None

    def of(self, kind: type[Message]) -> list[m.ShardRequest]:
        return [request for request in self.asked if isinstance(request, kind)]

    def told(self, incarnation: str = "i1") -> list[m.TellPresence]:
        """Without the first one of the conversation, where it was empty."""
        asked = [r for r in self.asked if isinstance(r, m.TellPresence)]
        return [r for r in asked if r.incarnation == incarnation and (r.presence or r.clients)]


class Follower:
    def __init__(self) -> None:
        self.positions: list[tuple[str, int]] = []
        self.publications: list[m.Publication] = []
        self.users: dict[str, dict[str, int]] = {}
        self.clients: dict[str, dict[str, bytes]] = {}
        self.waits: list[int] = []

    def on_position(self, name: str, top: m.StreamPosition | None) -> None:
        assert top is not None
        self.positions.append((name, top.offset))

    def on_publication(self, publication: m.Publication) -> None:
        self.publications.append(publication)

    def users_of(self, name: str) -> dict[str, int]:
        return self.users.get(name, {})

    def clients_of(self, name: str) -> dict[str, bytes]:
        return self.clients.get(name, {})

    async def wait_flushed(self) -> None:
        self.waits.append(len(self.publications))
        await asyncio.sleep(0)


class Conversation:
    def __init__(self) -> None:
        self.shard = Shard()
        self.follower = Follower()
        self.link = ShardLink(0, self.shard, "gateway")


@pytest.fixture
async def talk() -> AsyncIterator[Conversation]:
    talk = Conversation()
    task = asyncio.create_task(talk.link.run(talk.follower))
    await wait_until(lambda: bool(talk.shard.of(m.Poll)))
    yield talk
    task.cancel()
    await asyncio.wait([task])


async def test_what_is_followed_before_the_hello_comes_with_it() -> None:
    talk = Conversation()
    talk.link.attach("a")
    talk.link.attach("b")
    talk.link.detach("b")
    task = asyncio.create_task(talk.link.run(talk.follower))
    await wait_until(lambda: bool(talk.shard.of(m.Poll)))
    (hello,) = talk.shard.of(m.Hello)
    assert isinstance(hello, m.Hello) and hello.channels == ["a"]
    assert talk.follower.positions == [("a", 1)]
    assert not talk.shard.of(m.Attach) and not talk.shard.of(m.Detach)
    task.cancel()
    await asyncio.wait([task])


async def test_changes_of_one_tick_are_one_call(talk: Conversation) -> None:
    for n in range(50):
        talk.link.attach(f"c{n}")
    talk.link.detach("c7")
    await wait_until(lambda: len(talk.follower.positions) == 49)
    (attach,) = talk.shard.of(m.Attach)
    assert isinstance(attach, m.Attach) and "c7" not in attach.channels


async def test_a_position_from_before_a_detach_is_not_used(talk: Conversation) -> None:
    """Dropped and followed anew while the attach is under way: what came between was not kept."""
    talk.shard.attach_gate.clear()
    talk.link.attach("a")
    await wait_until(lambda: len(talk.shard.of(m.Attach)) == 1)
    talk.link.detach("a")
    talk.link.attach("a")
    talk.shard.attach_gate.set()
    await wait_until(lambda: len(talk.shard.of(m.Attach)) == 2)
    await wait_until(lambda: bool(talk.follower.positions))
    assert talk.follower.positions == [("a", 3)]


async def test_many_channels_come_in_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_link, "_CHANNELS_AT_ONCE", 3)
    talk = Conversation()
    names = [f"c{n}" for n in range(8)]
    for name in names:
        talk.link.attach(name)
        talk.follower.users[name] = {"ada": 1}
    task = asyncio.create_task(talk.link.run(talk.follower))
    await wait_until(lambda: len(talk.follower.positions) == 8)
    asked = [r.channels for r in talk.shard.asked if isinstance(r, m.Hello | m.Attach)]
    assert asked == [names[:3], names[3:6], names[6:]]
    await wait_until(lambda: sum(len(told.presence) for told in talk.shard.told()) == 8)
    task.cancel()
    await asyncio.wait([task])


async def test_channels_that_are_late_hold_up_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_link, "_ATTACH_RETRY_SECONDS", 0.001)
    talk = Conversation()
    talk.shard.late = {"stored", "stored too"}
    talk.link.attach("memory")
    talk.link.attach("stored")
    task = asyncio.create_task(talk.link.run(talk.follower))
    await wait_until(lambda: bool(talk.follower.positions))
    assert talk.link.connected
    talk.link.attach("stored too")
    await wait_until(lambda: len(talk.shard.of(m.Attach)) > 3)
    talk.link.detach("stored too")
    talk.link.attach("other")
    await wait_until(lambda: bool(talk.shard.of(m.Detach)))
    await wait_until(lambda: len(talk.follower.positions) == 2)
    assert [name for name, _ in talk.follower.positions] == ["memory", "other"]
    talk.shard.late.clear()
    await wait_until(lambda: len(talk.follower.positions) == 3)
    assert talk.follower.positions[-1][0] == "stored"
    task.cancel()
    await asyncio.wait([task])


async def test_a_detach_goes_on_while_attaching_fails(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_link, "_ATTACH_RETRY_SECONDS", 0.001)
    talk.link.attach("a")
    await wait_until(lambda: bool(talk.follower.positions))
    talk.shard.refuses_attach = True
    talk.link.attach("b")
    await wait_until(lambda: len(talk.shard.of(m.Attach)) > 2)
    talk.link.detach("a")
    await wait_until(lambda: bool(talk.shard.of(m.Detach)))
    talk.shard.refuses_attach = False
    await wait_until(lambda: len(talk.follower.positions) == 2)


async def test_polls_acknowledge_what_was_taken_in(talk: Conversation) -> None:
    talk.shard.polls.put_nowait(m.PollReply(7, [m.Publication("a", 1, b"{}")]))
    await wait_until(lambda: len(talk.shard.of(m.Poll)) == 2)
    acks = [poll.ack for poll in talk.shard.of(m.Poll) if isinstance(poll, m.Poll)]
    assert acks == [0, 7]
    assert [p.offset for p in talk.follower.publications] == [1]


@pytest.mark.parametrize("end", [m.PollReply(-1, []), AppError("unavailable")])
async def test_hello_again_with_everything(talk: Conversation, end: m.PollReply | AppError) -> None:
    talk.link.attach("a")
    talk.follower.users["a"] = {"": 2, "ada": 1}
    await wait_until(lambda: bool(talk.follower.positions))
    talk.shard.polls.put_nowait(end)
    await wait_until(lambda: len(talk.shard.of(m.Hello)) == 2)
    hello = talk.shard.of(m.Hello)[1]
    assert isinstance(hello, m.Hello) and hello.channels == ["a"]
    await wait_until(lambda: len(talk.follower.positions) == 2)
    await wait_until(lambda: len(talk.shard.of(m.Poll)) == 2 and bool(talk.shard.told("i3")))
    poll = talk.shard.of(m.Poll)[-1]
    assert isinstance(poll, m.Poll) and poll.ack == 0 and poll.incarnation == "i3"
    (told,) = talk.shard.told("i3")
    assert {(c.channel, c.user, c.clients) for c in told.presence} == {
        ("a", "", 2),
        ("a", "ada", 1),
    }


async def test_presence_does_not_wait_for_a_held_poll(talk: Conversation) -> None:
    talk.link.presence("a", "ada", 1)
    talk.link.presence("a", "ada", 2)
    await wait_until(lambda: bool(talk.shard.told()))
    (told,) = talk.shard.told()
    assert told.presence == [m.PresenceChange("a", "ada", 2)]
    assert len(talk.shard.of(m.Poll)) == 1


async def test_a_change_waits_until_the_one_before_is_taken(talk: Conversation) -> None:
    """Calls overtake each other: the newest word on a client must not."""
    await wait_until(lambda: len(talk.shard.of(m.TellPresence)) == 1)
    talk.shard.presence_gate.clear()
    talk.link.client("a", "c1", b"info")
    await wait_until(lambda: len(talk.shard.told()) == 1)
    talk.link.client("a", "c1", b"")
    talk.shard.polls.put_nowait(m.PollReply(0, []))  # a poll goes out meanwhile
    talk.link.attach("b")  # and another call
    await wait_until(lambda: len(talk.shard.of(m.Poll)) == 2 and bool(talk.shard.of(m.Attach)))
    assert len(talk.shard.told()) == 1
    talk.shard.presence_gate.set()
    await wait_until(lambda: len(talk.shard.told()) == 2)
    assert [told.clients for told in talk.shard.told()] == [
        [m.ClientChange("a", "c1", b"info")],
        [m.ClientChange("a", "c1", b"")],
    ]


async def test_changes_of_a_while_travel_together(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_link, "_PRESENCE_SECONDS", 0.01)
    talk.shard.presence_gate.clear()
    talk.link.presence("a", "ada", 1)
    await wait_until(lambda: len(talk.shard.told()) == 1)
    for clients in range(2, 22):
        talk.link.presence("a", "ada", clients)
        await asyncio.sleep(0)
    talk.shard.presence_gate.set()
    await wait_until(lambda: len(talk.shard.told()) == 2)
    assert talk.shard.told()[1].presence == [m.PresenceChange("a", "ada", 21)]


async def test_an_introduction_ends_also_where_nobody_is_there(talk: Conversation) -> None:
    await wait_until(lambda: bool(talk.shard.of(m.TellPresence)))
    assert talk.shard.of(m.TellPresence) == [m.TellPresence("gateway", "i1", [])]


async def test_hello_again_where_presence_is_not_taken(talk: Conversation) -> None:
    talk.shard.forgotten.add("i1")
    talk.link.presence("a", "ada", 1)
    await wait_until(lambda: len(talk.shard.of(m.Hello)) == 2)


async def test_connected_from_hello_to_the_first_failure(talk: Conversation) -> None:
    assert talk.link.connected
    talk.shard.hello_gate.clear()
    talk.shard.polls.put_nowait(AppError("unavailable"))
    await wait_until(lambda: not talk.link.connected)
    talk.shard.hello_gate.set()
    await wait_until(lambda: talk.link.connected)


async def test_clients_travel_beside_the_counts(talk: Conversation) -> None:
    talk.link.presence("a", "ada", 1)
    talk.link.client("a", "c1", b'{"client":"c1"}')
    talk.link.client("a", "c2", b'{"client":"c2"}')
    talk.link.client("a", "c2", b"")
    await wait_until(lambda: bool(talk.shard.told()))
    (short,) = talk.shard.told()
    assert not short.more
    assert short.presence == [m.PresenceChange("a", "ada", 1)]
    assert short.clients == [
        m.ClientChange("a", "c1", b'{"client":"c1"}'),
        m.ClientChange("a", "c2", b""),
    ]


async def test_after_a_hello_all_clients_come_over_several_messages(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_link, "_CHANGES_AT_ONCE", 3)
    talk.link.attach("a")
    talk.follower.users["a"] = {"ada": 4, "bob": 3}
    held = {f"c{n}": b"info %d" % n for n in range(7)}
    talk.follower.clients["a"] = held
    await wait_until(lambda: bool(talk.follower.positions))
    talk.shard.polls.put_nowait(m.PollReply(-1, []))

    def told() -> list[m.TellPresence]:
        return talk.shard.told("i3")

    await wait_until(lambda: bool(told()) and not told()[-1].more)
    assert [len(p.presence) + len(p.clients) for p in told()] == [3, 3, 3]
    assert [p.more for p in told()] == [True, True, False]
    assert {c.client: c.info for p in told() for c in p.clients} == held
    assert sum(len(p.presence) for p in told()) == 2


async def test_a_large_reply_is_handed_over_in_slices(talk: Conversation) -> None:
    large = [m.Publication("a", n, b"x" * 8_000) for n in range(1, 101)]
    talk.shard.polls.put_nowait(m.PollReply(100, large))
    await wait_until(lambda: len(talk.shard.of(m.Poll)) == 2)
    assert talk.follower.publications == large
    gaps = [b - a for a, b in pairwise([0, *talk.follower.waits])]
    assert len(gaps) >= 10 and max(gaps) <= 9


async def test_what_is_being_published_to_a_shard_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_link, "PUBLISHING_BYTES", 1_000)
    gate = asyncio.Event()
    answer = m.PublishReply("e", 1)

    async def call(shard: int, request: m.ShardRequest) -> m.ShardReply:
        await gate.wait()
        return answer

    links = ShardLinks(call, 2, "g", lambda channel, count: int(channel))
    one, other = (m.PublishToChannel(channel, b"x" * 300) for channel in "01")
    under_way = [asyncio.create_task(links.publish(request)) for request in (one, one, other)]
    await asyncio.sleep(0)
    with pytest.raises(AppError, match="overloaded"):
        await links.publish(one)
    gate.set()
    assert await asyncio.gather(*under_way) == [answer] * 3
    assert await links.publish(one) == answer, "there is room again"
