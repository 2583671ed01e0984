"""Deltas between publications, in the format of the Fossil version control system.

    <size of target> LF   then   <count>@<offset>,  copies from the source
                                 <count>:<bytes>    inserts
                                 <checksum>;        ends
Numbers are in base 64 of Fossil's own digits. https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki

Finding what to copy: the common beginning and end first, which for JSON of one type is most of it;
then blocks of the source by their content. Strides that grow while nothing is found, and a bound on
the number of copies, keep the time linear and short whatever the bytes are.
"""

from __future__ import annotations

import sys
from array import array
from typing import Final

_DIGITS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
_BLOCK: Final = 16
# A copy costs up to 8 bytes of digits and signs.
_COPY_LEAST: Final = 10
# Misses in a row after which the search strides one byte further (LZ4's acceleration).
_MISSES_PER_STRIDE: Final = 64
# Texts that need more have little in common. Each takes some microseconds of the gateway's loop.
_COPIES_MOST: Final = 512
# Bytes of a character in UTF-8 after its first one.
_CONTINUED_MOST: Final = 3


def create_delta(source: bytes, target: bytes) -> bytes:
    """What turns `source` into `target`; maybe longer than `target`. Between texts in UTF-8 it is
    such a text itself: no copy ends inside a character."""
    delta = _Delta(source, target)
    head = _common_prefix(source, 0, len(source), target, 0, len(target))
    tail = _common_suffix(source, head, len(source), target, head, len(target))
    delta.copy(0, 0, head)
    _copy_blocks(delta, head, len(source) - tail, len(target) - tail)
    delta.copy(len(source) - tail, len(target) - tail, tail)
    return delta.finish()


def _copy_blocks(delta: _Delta, start: int, source_end: int, end: int) -> None:
    """For source[start:source_end] and target[start:end], which neither begin nor end alike."""
    source, target = delta.source, delta.target
    starts = range(start, source_end - _BLOCK + 1, _BLOCK)
    # Of equal blocks the first one is kept, as it has the most behind it.
    blocks = {source[at : at + _BLOCK]: at for at in reversed(starts)}
    if not blocks:
        return
    position, misses, left = start, 0, _COPIES_MOST
    while position <= end - _BLOCK and left:
        at = blocks.get(target[position : position + _BLOCK])
        if at is None:
            misses += 1
            position += 1 + misses // _MISSES_PER_STRIDE
            continue
        misses, left = 0, left - 1
        back = _common_suffix(source, start, at, target, delta.done, position)
        length = back + _common_prefix(source, at, source_end, target, position, end)
        delta.copy(at - back, position - back, length)
        position += length - back


class _Delta:
    """Of a target that is told from its beginning to its end."""

    def __init__(self, source: bytes, target: bytes) -> None:
        self.source = source
        self.target = target
        self.done = 0
        self._parts = [_base64(len(target)), b"\n"]

    def copy(self, at: int, position: int, length: int) -> None:
        """source[at : at + length] is the target from `position` on; what lies before is inserted.
        Copies that don't pay are left for a later insert."""
        begin = _boundary(self.target, position, 1)
        end = _boundary(self.target, position + length, -1)
        if end - begin >= _COPY_LEAST:
            self._insert(begin)
            self._parts += (_base64(end - begin), b"@", _base64(at + begin - position), b",")
            self.done = end

    def _insert(self, end: int) -> None:
        if end > self.done:
            self._parts += (_base64(end - self.done), b":", self.target[self.done : end])
            self.done = end

    def finish(self) -> bytes:
        self._insert(len(self.target))
        self._parts += (_base64(_checksum(self.target)), b";")
        return b"".join(self._parts)


def _boundary(text: bytes, position: int, step: int) -> int:
    """The position, or the next one by steps that is not inside a character of UTF-8."""
    for _ in range(_CONTINUED_MOST):
        if not 0 <= position < len(text) or text[position] & 0xC0 != 0x80:
            break
        position += step
    return position


def _common_prefix(
    source: bytes, at: int, source_end: int, target: bytes, position: int, end: int
) -> int:
    """How long source[at:source_end] and target[position:end] begin alike."""
    most = min(source_end - at, end - position)
    length, step = 0, 32
    # Slices are compared by memcmp; steps double, then halve around the first difference.
    while length < most and step:
        step = min(step, most - length)
        a, b = at + length, position + length
        if source[a : a + step] == target[b : b + step]:
            length += step
            step *= 2
        else:
            most = length + step - 1
            step //= 2
    return length


def _common_suffix(
    source: bytes, start: int, source_end: int, target: bytes, target_start: int, end: int
) -> int:
    """How long source[start:source_end] and target[target_start:end] end alike."""
    most = min(source_end - start, end - target_start)
    length, step = 0, 32
    while length < most and step:
        step = min(step, most - length)
        a, b = source_end - length, end - length
        if source[a - step : a] == target[b - step : b]:
            length += step
            step *= 2
        else:
            most = length + step - 1
            step //= 2
    return length


def _checksum(data: bytes) -> int:
    """Sum of its big-endian words of 32 bits, the last one filled up with zeros."""
    words = array("I", data + bytes(-len(data) % 4))
    if sys.byteorder == "little":
        words.byteswap()
    return sum(words) & 0xFFFF_FFFF


def _base64(number: int) -> bytes:
    digits = bytearray()
    while True:
        number, digit = divmod(number, 64)
        digits.append(_DIGITS[digit])
        if not number:
            digits.reverse()
            return bytes(digits)
