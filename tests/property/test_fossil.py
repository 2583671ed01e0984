"""Deltas are applied by the SDK's own code, and are worth their time."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from centrifuge.fossil import apply_delta
from hypothesis import example, given
from hypothesis import strategies as st

from serve_app.gateway.fossil import create_delta

SIZE = 65_536

# Few distinct bytes make repetitions, and bytes from 0x80 on look like torn characters.
blobs = st.binary(max_size=300) | st.lists(
    st.sampled_from([b"a", b"\x80", b"\xc3\xa4", b"0123456789abcdef", b'{"score":', b"\n"]),
    max_size=60,
).map(b"".join)


def apply(source: bytes, delta: bytes) -> bytes:
    return bytes(apply_delta(source, delta))


@given(blobs, blobs)
@example(b"", b"")
@example(b"", b"\x80")
@example(b"\x80" * 40, b"\x80" * 41)
@example(b"", b"x" * 100)
@example(b"x" * 100, b"")
@example(b"ab" * 50, b"ab" * 60)
def test_whatever_the_bytes(source: bytes, target: bytes) -> None:
    assert apply(source, create_delta(source, target)) == target


@given(
    st.binary(min_size=100, max_size=2_000),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 40), st.binary(max_size=20))),
)
def test_edited(source: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    target = source
    for at, removed, inserted in edits:
        target = target[:at] + inserted + target[at + removed :]
    delta = create_delta(source, target)
    assert apply(source, delta) == target
    # Never much longer than what is told: an insert of everything.
    assert len(delta) <= len(target) + 32 + 16 * (len(target) // 16)


texts = st.text(st.sampled_from('aä€😀"\\\u0080'), max_size=200)


@given(texts, texts, texts, texts)
def test_between_texts_it_is_text(head: str, old: str, new: str, tail: str) -> None:
    """JSON sends it as a string, so it must be one."""
    source, target = (head + old + tail).encode(), (head + new + tail).encode()
    delta = create_delta(source, target)
    assert apply(source, delta.decode().encode()) == target


def test_no_copy_ends_inside_a_character() -> None:
    # The characters differ in their last byte, or in their first one, amid much that is the same.
    for old, new in (("ä", "ö"), ("€", "₭"), ("😀", "😁"), ("ä", "Ĥ")):
        source, target = ("x" * 40 + old + "y" * 40).encode(), ("x" * 40 + new + "y" * 40).encode()
        delta = create_delta(source, target)
        assert new in delta.decode() and len(delta) < 40
        assert apply(source, delta) == target


def test_what_has_changed_little_is_short() -> None:
    source = b"".join(b'{"id":%d,"score":%d},' % (n, n * 7919 % 1000) for n in range(2_000))
    target = b'{"id":"new"},' + source.replace(b'"id":999,', b'"id":999,"x":1,')
    assert len(create_delta(source, target)) < 100
    assert len(create_delta(source, source)) < 20


def _flipped(data: bytes, every: int) -> bytes:
    out = bytearray(data)
    for at in range(0, len(out), every):
        out[at] ^= 1
    return bytes(out)


def _shuffled(data: bytes, size: int, seed: random.Random) -> bytes:
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    seed.shuffle(blocks)
    return b"".join(blocks)


HARD: dict[str, Callable[[bytes, random.Random], tuple[bytes, bytes]]] = {
    "nothing alike": lambda noise, seed: (noise, seed.randbytes(SIZE)),
    "a bit in 17 bytes": lambda noise, seed: (noise, _flipped(noise, 17)),
    "a bit in 40 bytes": lambda noise, seed: (noise, _flipped(noise, 40)),
    "blocks shuffled": lambda noise, seed: (noise, _shuffled(noise, 16, seed)),
    "periods": lambda noise, seed: (b"abcdefghijklmnop" * 4_096, b"abcdefghijklmno" * 4_369),
    "torn characters": lambda noise, seed: (b"\x80" * SIZE, b"a" + b"\x80" * SIZE),
    "half torn": lambda noise, seed: (
        (b"\x80" * 20 + b"a") * 3_000,
        (b"\x80" * 21 + b"a") * 3_000,
    ),
    "a late tail": lambda noise, seed: (b"a" * SIZE, b"b" + b"a" * (SIZE // 2) + b"b"),
}


@pytest.mark.parametrize("name", HARD)
def test_work_is_bounded(name: str) -> None:
    """Counted in calls, not seconds: at most a look for each byte, and 512 copies."""
    source, target = HARD[name](random.Random(1).randbytes(SIZE), random.Random(2))
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        delta = create_delta(source, target)
    finally:
        sys.setprofile(None)
    assert calls < 40_000
    assert apply(source, delta) == target
