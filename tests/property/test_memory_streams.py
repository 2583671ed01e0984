"""Streams in memory against the plainest model of them: a list that nobody trims but the rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.memory_streams import EPOCH_SECONDS, PUBLICATION_BYTES, MemoryStreams
from actors.shard_messages import Publication, ReadHistory, StreamPosition
from config.channels import Namespace

FOLLOWED = "room:followed"
CHANNELS = (FOLLOWED, "room:a", "room:b", "room:c")
TTL_SECONDS = 10.0

channel_ = st.sampled_from(CHANNELS)
append_ = st.tuples(st.just("append"), channel_, st.binary(max_size=40))
read_ = st.tuples(st.just("read"), channel_, st.integers(-1, 12), st.integers(-1, 8), st.booleans())
operations = st.lists(
    st.one_of(
        append_,
        append_,
        append_,
        read_,
        read_,
        st.tuples(st.just("position"), channel_),
        st.tuples(st.just("remove"), channel_),
        st.tuples(st.just("pass"), st.sampled_from([0.5, 3.0, 10.0, 50_000.0])),
        st.tuples(st.just("expire")),
    ),
    max_size=60,
)


@dataclass
class Plain:
    epoch: str
    used: float
    top: int = 0
    kept: list[tuple[float, Publication]] = field(default_factory=list)


class Model:
    def __init__(self, size: int) -> None:
        self.size = size
        self.now = 0.0
        self.streams: dict[str, Plain] = {}
        self.epochs = map(str, count(1))

    def use(self, channel: str) -> Plain:
        if channel not in self.streams:
            self.streams[channel] = Plain(next(self.epochs), self.now)
        stream = self.streams[channel]
        stream.used = self.now
        return stream

    def append(self, channel: str, data: bytes) -> Publication:
        stream = self.use(channel)
        stream.top += 1
        publication = Publication(channel, stream.top, data)
        stream.kept = [*stream.kept, (self.now, publication)][-self.size :]
        return publication

    def read(self, channel: str, after: int, limit: int, reverse: bool) -> tuple[Any, ...]:
        stream = self.use(channel)
        alive = [p for came, p in stream.kept if came + TTL_SECONDS > self.now]
        if reverse:
            alive = [p for p in reversed(alive) if after == 0 or p.offset < after]
            asked = range(1, min(after, stream.top + 1) if after else stream.top + 1)
        else:
            alive = [p for p in alive if p.offset > after]
            asked = range(max(0, after) + 1, stream.top + 1)
        found = alive[: max(0, limit)]
        # An offset beyond the top is of another time: never complete.
        wrong = after > stream.top and not reverse
        complete = not wrong and {p.offset for p in found} == set(asked)
        return StreamPosition(stream.epoch, stream.top), found, complete

    def expire(self) -> None:
        for channel, stream in list(self.streams.items()):
            if stream.used + EPOCH_SECONDS <= self.now:
                if channel == FOLLOWED:
                    stream.used = self.now
                else:
                    del self.streams[channel]


@given(operations, st.integers(1, 5))
def test_memory_streams_agree_with_the_model(steps: list[tuple[Any, ...]], size: int) -> None:
    namespace = Namespace(history="memory", history_size=size, history_ttl_seconds=TTL_SECONDS)
    model = Model(size)
    epochs = map(str, count(1))
    streams = MemoryStreams(lambda name: name == FOLLOWED, new_epoch=lambda: next(epochs))
    for name, *arguments in steps:
        match name, arguments:
            case "append", [channel, data]:
                appended = streams.append(Publication(channel, 0, data), namespace, model.now)
                assert appended == model.append(channel, data)
            case "read", [channel, after, limit, reverse]:
                reverse = reverse and after >= 0
                reply = streams.read(ReadHistory(channel, after, limit, reverse), model.now)
                expected = model.read(channel, after, limit, reverse)
                assert (reply.top, reply.publications, reply.complete) == expected
            case "position", [channel]:
                stream = model.use(channel)
                position = streams.position(channel, model.now)
                assert position == StreamPosition(stream.epoch, stream.top)
            case "remove", [channel]:
                streams.remove_history(channel)
                if channel in model.streams:
                    model.streams[channel].kept.clear()
            case "pass", [seconds]:
                model.now += seconds
            case "expire", []:
                streams.expire(model.now)
                model.expire()
        assert len(streams) == len(model.streams)
    model.now += EPOCH_SECONDS
    streams.expire(model.now)
    assert streams.size_bytes == PUBLICATION_BYTES * len(streams), "what ended is freed"


@given(operations, st.integers(1, 6), st.integers(2, 4))
def test_bounds_hold_and_what_is_complete_is_true(
    steps: list[tuple[Any, ...]], room: int, most: int
) -> None:
    """Under pressure histories are dropped; none is ever answered with a hole."""
    namespace = Namespace(history="memory", history_size=5, history_ttl_seconds=1e5)
    max_bytes = PUBLICATION_BYTES * (len(CHANNELS) + room)
    streams = MemoryStreams(lambda name: name == FOLLOWED, max_bytes=max_bytes, max_streams=most)
    now = 0.0
    said: dict[tuple[str, str], list[bytes]] = {}
    followed = {streams.position(FOLLOWED, now).epoch}
    for name, *arguments in steps:
        match name, arguments:
            case "append", [channel, data]:
                new = streams.append(Publication(channel, 0, data), namespace, now)
                epoch = streams.position(channel, now).epoch
                datas = said.setdefault((channel, epoch), [])
                datas.append(data)
                assert new.offset == len(datas)
            case "read", [channel, after, limit, _]:
                reply = streams.read(ReadHistory(channel, after, limit), now)
                assert reply.top is not None
                datas = said.get((channel, reply.top.epoch), [])
                assert reply.top.offset == len(datas)
                offsets = [p.offset for p in reply.publications]
                assert offsets == [offsets[0] + n for n in range(len(offsets))]
                assert [datas[o - 1] for o in offsets] == [p.data for p in reply.publications]
                if reply.complete:
                    assert [p.data for p in reply.publications] == datas[max(0, after) :]
            case "pass", [seconds]:
                now += seconds
            case "expire", []:
                streams.expire(now)
        assert streams.size_bytes <= max_bytes
        assert len(streams) <= most
        followed.add(streams.position(FOLLOWED, now).epoch)
    assert len(followed) == 1, "a followed stream never changes its epoch"
