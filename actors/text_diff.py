"""What changed between two texts, word by word. Pure; the work is bounded whatever the texts are.

difflib's time grows faster than the product of the lengths where texts repeat themselves, so what
is left between the common beginning and end is compared in words only while that product is small,
else in lines, else as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final, Literal

import msgspec

Op = Literal["equal", "delete", "insert"]

# Two texts that take turns in two signs ("!?!?…" and "?!!?!!…") are the worst case known: 50 ms.
MAX_COMPARED: Final = 20_000
# Chinese and Japanese are written without spaces: there every character is a word.
_CJK: Final = "\u2e80-\u9fff\uf900-\ufaff"
_WORDS: Final = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|\s+|[^\w\s]")
_LINES: Final = re.compile(r"[^\n]*\n|[^\n]+")


class DiffPart(msgspec.Struct, frozen=True):
    """`equal` and `delete` parts together are the old text, `equal` and `insert` the new one."""

    op: Op
    text: str


def diff(old: str, new: str) -> list[DiffPart]:
    """The parts in order, none empty, no two of a kind in a row."""
    was, now = _WORDS.findall(old), _WORDS.findall(new)
    start = _common(was, now)
    end = _common(was[start:][::-1], now[start:][::-1])
    until_was, until_now = len(was) - end, len(now) - end
    parts: list[tuple[Op, str]] = [("equal", "".join(was[:start]))]
    parts += _compared(was[start:until_was], now[start:until_now])
    parts.append(("equal", "".join(was[until_was:])))
    return _joined(parts)


def _compared(was: Sequence[str], now: Sequence[str]) -> list[tuple[Op, str]]:
    if len(was) * len(now) > MAX_COMPARED:
        was, now = _LINES.findall("".join(was)), _LINES.findall("".join(now))
    if len(was) * len(now) > MAX_COMPARED:
        was, now = ["".join(was)], ["".join(now)]
    parts: list[tuple[Op, str]] = []
    matcher = SequenceMatcher(None, was, now, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            parts.append(("equal", "".join(was[i1:i2])))
        else:
            parts += (("delete", "".join(was[i1:i2])), ("insert", "".join(now[j1:j2])))
    return parts


def _common(was: Sequence[str], now: Sequence[str]) -> int:
    length = 0
    for ours, theirs in zip(was, now, strict=False):
        if ours != theirs:
            break
        length += 1
    return length


def _joined(parts: Sequence[tuple[Op, str]]) -> list[DiffPart]:
    joined: list[DiffPart] = []
    for op, text in parts:
        if not text:
            continue
        if joined and joined[-1].op == op:
            joined[-1] = DiffPart(op, joined[-1].text + text)
        else:
            joined.append(DiffPart(op, text))
    return joined
