"""What history may say about a channel's stream, and what it may not."""

from __future__ import annotations

import asyncio

import pytest

from actors.shard_messages import HistoryReply, Publication, StreamPosition
from serve_app.gateway import gaps
from serve_app.gateway.channel import Channel
from serve_app.gateway.channel_hub import ChannelHub
from tests.conditions import wait_until

CHANNEL = "room:a"


class HistoryByHand:
    """A source whose history answers when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, asyncio.Future[HistoryReply]]] = []

    def attach(self, channel: str) -> None: ...

    def detach(self, channel: str) -> None: ...

    def presence(self, channel: str, user: str, clients: int) -> None: ...

    def client(self, channel: str, client: str, info: bytes) -> None: ...

    async def history(self, channel: str, after: int, limit: int) -> HistoryReply:
        answer: asyncio.Future[HistoryReply] = asyncio.get_running_loop().create_future()
        self.asked.append((after, answer))
        return await answer

    async def answer(self, epoch: str, *offsets: int) -> None:
        """The next that is asked, with these publications up to the top."""
        await wait_until(lambda: bool(self.asked))
        _, answer = self.asked.pop()
        answer.set_result(
            HistoryReply(StreamPosition(epoch, offsets[-1]), list(map(publication, offsets)), True)
        )


class Heard:
    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.losses = 0

    def on_publication(self, channel: Channel, publication: Publication) -> None:
        self.offsets.append(publication.offset)

    def on_loss(self, channel: Channel) -> None:
        self.losses += 1


def publication(offset: int) -> Publication:
    return Publication(CHANNEL, offset, b"%d" % offset)


async def test_a_late_answer_from_before_brings_no_stream_back() -> None:
    source, heard = HistoryByHand(), Heard()
    hub = ChannelHub(source, 1_000)
    channel = hub.watch(CHANNEL, heard)
    hub.on_position(CHANNEL, StreamPosition("old", 1))
    hub.on_publication(publication(9))
    await wait_until(lambda: bool(source.asked))
    hub.on_position(CHANNEL, StreamPosition("new", 0))
    hub.on_publication(publication(2))
    await source.answer("old", *range(2, 10))
    await wait_until(lambda: bool(source.asked))
    assert (channel.position.epoch, channel.position.last, heard.losses) == ("new", 0, 1)
    assert heard.offsets == []
    await source.answer("new", 1, 2)
    await wait_until(lambda: channel.fill is None)
    hub.on_publication(publication(3))
    assert heard.offsets == [1, 2, 3]
    await hub.stop()


async def test_history_of_a_newer_stream_waits_for_its_position() -> None:
    source, heard = HistoryByHand(), Heard()
    hub = ChannelHub(source, 1_000)
    channel = hub.watch(CHANNEL, heard)
    hub.on_position(CHANNEL, StreamPosition("old", 1))
    hub.on_publication(publication(3))
    await source.answer("new", 2, 3)
    await wait_until(lambda: bool(source.asked))
    assert (channel.position.epoch, heard.offsets, heard.losses) == ("old", [], 0)
    hub.on_position(CHANNEL, StreamPosition("new", 3))
    await source.answer("new", 2, 3)
    await wait_until(lambda: channel.fill is None)
    assert (channel.position.epoch, channel.position.last) == ("new", 3)
    assert (heard.offsets, heard.losses) == ([], 1)
    await hub.stop()


async def test_a_gap_that_only_another_stream_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gaps, "FILL_SECONDS", 0.0)
    source, heard = HistoryByHand(), Heard()
    hub = ChannelHub(source, 1_000)
    channel = hub.watch(CHANNEL, heard)
    hub.on_position(CHANNEL, StreamPosition("old", 1))
    hub.on_publication(publication(3))
    await source.answer("new", 2, 3)
    await wait_until(lambda: channel.fill is None)
    assert (channel.position.epoch, channel.position.last) == ("old", 3)
    assert (heard.offsets, heard.losses) == ([], 1)
    await hub.stop()


async def test_large_publications_behind_a_gap_are_bounded_by_their_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serve_app.gateway.stream_position.MAX_HELD_BYTES", 10_000)
    source, heard = HistoryByHand(), Heard()
    hub = ChannelHub(source, 1_000)
    channel = hub.watch(CHANNEL, heard)
    hub.on_position(CHANNEL, StreamPosition("e", 0))
    for offset in range(2, 9):
        hub.on_publication(Publication(CHANNEL, offset, b"x" * 1_000))
    assert (heard.losses, channel.position.missing) == (0, True)
    hub.on_publication(Publication(CHANNEL, 9, b"x" * 1_000, info=b"x" * 3_000))
    assert (heard.losses, channel.position.last) == (1, 9)
    hub.on_publication(publication(10))
    assert heard.offsets == [10]
    await hub.stop()
