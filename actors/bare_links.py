"""Bare `https://…` and `www.…` in running text, in linear time.

Trimming follows GFM's extended autolinks; beyond that, an address ends where a script without
spaces goes on ("https://example.org/x。谢谢").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

MAX_ADDRESS_CHARACTERS: Final = 2_048

# Ends an address: space, delimiters, curly quotes, invisible and bidirectional controls (they make
# an address read as another), and the scripts that are written without spaces or with particles
# attached: CJK with its punctuation, kana, Hangul, full-width forms.
_END: Final = (
    r"\s<>\"`\x00-\x1f\u200b-\u200f\u2018-\u201f\u202a-\u202e\u2060-\u206f"
    r"\u3000-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
)
_REST: Final = rf"[^\W_][^{_END}]{{0,{MAX_ADDRESS_CHARACTERS}}}"
_ADDRESS: Final = re.compile(
    rf"(?<![A-Za-z0-9])https?://{_REST}|(?<![\w.@/:+-])www\.{_REST}", re.IGNORECASE
)
_TRAILING: Final = frozenset("?!.,:;*_~'|")
_PAIRS: Final = {")": "(", "]": "[", "}": "{"}


def map_addresses(text: str, change: Callable[[str], str]) -> str:
    """`text` with every bare address in it changed."""

    def changed(match: re.Match[str]) -> str:
        whole = match.group()
        address = _trimmed(whole)
        return change(address) + whole[len(address) :]

    return _ADDRESS.sub(changed, text)


def may_hold_address(text: str) -> bool:
    """Quicker than `split` where there is none, which is nearly everywhere."""
    return "://" in text or "www." in text.lower()


def split(text: str) -> Iterator[tuple[str, str | None]]:
    """The pieces of `text` in order, each with its link's target where it is an address."""
    done = 0
    for match in _ADDRESS.finditer(text):
        address = _trimmed(match.group())
        is_www = address[:4].lower() == "www."
        if is_www and "." not in address[4:]:
            continue
        if match.start() > done:
            yield text[done : match.start()], None
        yield address, f"http://{address}" if is_www else address
        done = match.start() + len(address)
    if done < len(text):
        yield text[done:], None


def _trimmed(address: str) -> str:
    """Without the punctuation that belongs to the sentence; closing brackets stay if opened."""
    surplus = {
        close: address.count(close) - address.count(opening) for close, opening in _PAIRS.items()
    }
    end = len(address)
    while end:
        last = address[end - 1]
        if last in _PAIRS and surplus[last] > 0:
            surplus[last] -= 1
        elif last not in _TRAILING:
            break
        end -= 1
    return address[:end]
