"""Events are the same, wherever the network cuts the stream."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai.engines.sse import EventReader, TooLong

LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
TEXT = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=20)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream as a server might write it, and the data of its events."""
    written = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    expected: list[bytes] = []
    for _ in range(draw(st.integers(0, 5))):
        data: list[bytes] = []
        for _ in range(draw(st.integers(0, 3))):
            kind = draw(st.sampled_from(["data", "comment", "event", "bare"]))
            value = draw(TEXT).encode()
            if kind == "data":
                space = draw(st.booleans()) or value.startswith(b" ")
                written += b"data:" + (b" " if space else b"") + value
                data.append(value)
            elif kind == "bare":
                written += b"data"
                data.append(b"")
            else:
                written += (b":" if kind == "comment" else b"event: ") + value
            written += draw(LINE_ENDS)
        # A lone CR before the empty line's LF would be read as one CRLF.
        written += b"\n" if not written.endswith(b"\r") else b"\r\n" if data else b"\r"
        if data:
            expected.append(b"\n".join(data))
    return written, expected


@given(streams(), st.lists(st.integers(0, 400), max_size=12))
def test_events_do_not_depend_on_where_the_stream_is_cut(
    stream: tuple[bytes, list[bytes]], cuts: list[int]
) -> None:
    written, expected = stream
    reader = EventReader(max_event_bytes=10_000)
    places = sorted({0, len(written), *(cut for cut in cuts if cut < len(written))})
    parts = [written[start:end] for start, end in pairwise(places)]
    # A line end that may be half of one is only told apart by what follows.
    found = [event for part in [*parts, b":end\n"] for event in reader.feed(part)]
    assert found == expected


@given(streams())
def test_byte_by_byte_is_the_same_as_at_once(stream: tuple[bytes, list[bytes]]) -> None:
    written, expected = stream
    reader = EventReader(max_event_bytes=10_000)
    pieces = [written[at : at + 1] for at in range(len(written))]
    assert [event for piece in [*pieces, b":end\n"] for event in reader.feed(piece)] == expected


@given(st.integers(1, 7))
def test_what_has_no_end_is_not_kept(size: int) -> None:
    endless = EventReader(max_event_bytes=100)
    with pytest.raises(TooLong):
        for _ in range(200):
            endless.feed(b"x" * size)
    many_lines = EventReader(max_event_bytes=100)
    with pytest.raises(TooLong):
        for _ in range(200):
            many_lines.feed(b"data: " + b"x" * size + b"\n")


def test_an_event_that_the_end_cuts_off_is_none() -> None:
    reader = EventReader(max_event_bytes=100)
    assert reader.feed(b"data: one\n\ndata: tw") == [b"one"]
