"""Bounds of streams in memory over all channels; what a stream answers is a property test."""

from __future__ import annotations

from actors.memory_streams import EPOCH_SECONDS, PUBLICATION_BYTES, MemoryStreams
from actors.shard_messages import Publication, ReadHistory
from config.channels import Namespace

ROOM = Namespace(history="memory", history_size=100, history_ttl_seconds=60)


def append(streams: MemoryStreams, channel: str, size: int = 0, now: float = 0.0) -> int:
    return streams.append(Publication(channel, 0, b"x" * size), ROOM, now).offset


def offsets(streams: MemoryStreams, channel: str, now: float = 0.0) -> list[int]:
    return [p.offset for p in streams.read(ReadHistory(channel, 0, 100), now).publications]


def test_the_history_that_is_silent_for_longest_goes_first_and_keeps_its_top() -> None:
    streams = MemoryStreams(max_bytes=3 * PUBLICATION_BYTES + 5 * (PUBLICATION_BYTES + 1_000))
    for channel in ("a", "a", "b", "b", "c"):
        append(streams, channel, 1_000)
    epoch = streams.position("a", 0.0).epoch
    append(streams, "b", 1_000)
    assert offsets(streams, "a") == []
    assert (streams.position("a", 0.0).epoch, append(streams, "a")) == (epoch, 3)
    assert offsets(streams, "b") == [1, 2, 3]
    assert offsets(streams, "c") == [1]


def test_a_channel_alone_keeps_its_newest() -> None:
    streams = MemoryStreams(max_bytes=PUBLICATION_BYTES + 3 * (PUBLICATION_BYTES + 1_000))
    for _ in range(5):
        append(streams, "a", 1_000)
    assert offsets(streams, "a") == [3, 4, 5]
    append(streams, "a", 100_000)
    assert offsets(streams, "a") == [], "it alone is too much"
    assert streams.position("a", 0.0).offset == 6


def test_info_and_tags_count() -> None:
    streams = MemoryStreams()
    streams.append(Publication("a", 0, b"12", info=b"345", tags={"ab": "cd"}), ROOM, 0.0)
    assert streams.size_bytes == 2 * PUBLICATION_BYTES + 9


def test_of_too_many_streams_the_longest_unused_is_put_away_with_its_history() -> None:
    followed = {"a"}
    streams = MemoryStreams(followed.__contains__, max_streams=2)
    for name in "ab":
        append(streams, name)
    epochs = {name: streams.position(name, 0.0).epoch for name in "ab"}
    append(streams, "c")
    append(streams, "d")
    assert len(streams) == 2
    assert streams.position("a", 0.0).epoch == epochs["a"]
    assert streams.position("b", 0.0).epoch != epochs["b"]
    assert offsets(streams, "b") == []
    assert offsets(streams, "d") == [1]


def test_questions_push_out_nothing_that_was_published() -> None:
    followed = {"followed"}
    streams = MemoryStreams(followed.__contains__, max_streams=10, max_bytes=12 * PUBLICATION_BYTES)
    append(streams, "victim")
    epoch = streams.position("victim", 0.0).epoch
    unborn = streams.position("followed", 0.0).epoch
    for n in range(1_000):
        offsets(streams, f"invented {n}")
        assert len(streams) <= 10
    assert (streams.position("victim", 0.0).epoch, offsets(streams, "victim")) == (epoch, [1])
    assert streams.position("followed", 0.0).epoch == unborn


def test_where_all_streams_are_published_a_question_stores_nothing() -> None:
    streams = MemoryStreams(max_streams=2)
    for name in "ab":
        append(streams, name)
    assert streams.position("c", 0.0).offset == 0
    assert (len(streams), streams.size_bytes) == (2, 4 * PUBLICATION_BYTES)
    assert append(streams, "c") == 1
    assert (offsets(streams, "a"), offsets(streams, "b")) == ([], [1])


def test_a_stream_keeps_its_epoch_when_it_is_born() -> None:
    streams = MemoryStreams()
    epoch = streams.position("a", 0.0).epoch
    append(streams, "a")
    assert streams.position("a", 0.0).epoch == epoch
    assert (len(streams), streams.size_bytes) == (1, 2 * PUBLICATION_BYTES)


def test_streams_that_are_followed_stay_beyond_the_number() -> None:
    streams = MemoryStreams(lambda channel: True, max_streams=2)
    epochs = [streams.position(str(n), 0.0).epoch for n in range(200)]
    assert [streams.position(str(n), 0.0).epoch for n in range(200)] == epochs


def test_what_ends_is_freed_in_turns() -> None:
    streams = MemoryStreams()
    for n in range(10):
        append(streams, str(n), 100)
    for _ in range(5):
        streams.expire(60.0, most=2)
    assert streams.size_bytes == 10 * PUBLICATION_BYTES
    for _ in range(5):
        streams.expire(EPOCH_SECONDS, most=2)
    assert (len(streams), streams.size_bytes) == (0, 0)


def test_history_outlives_the_epochs_time_where_its_own_is_longer() -> None:
    streams = MemoryStreams()
    week = Namespace(history="memory", history_size=1, history_ttl_seconds=604_800)
    streams.append(Publication("a", 0, b"1"), week, 0.0)
    streams.expire(600_000.0)
    assert offsets(streams, "a", 600_000.0) == [1]


def test_an_answer_is_bounded_in_bytes() -> None:
    streams = MemoryStreams(page_publications=3, page_bytes=1_500)
    for _ in range(5):
        append(streams, "a", 1_000)
    assert offsets(streams, "a") == [1]
    for _ in range(5):
        append(streams, "b", 10)
    assert offsets(streams, "b") == [1, 2, 3]
    for _ in range(2):
        large = Publication("c", 0, b"1", info=b"x" * 500, tags={"tag": "x" * 500})
        streams.append(large, ROOM, 0.0)
    assert offsets(streams, "c") == [1]
