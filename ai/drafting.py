"""The sentences of a text that is still being written, each as soon as it is whole."""

from __future__ import annotations

import re
from typing import Final

from ai.sentences import split

_MARKER: Final = re.compile(r"^\s*(?:[-*•]\s+|\d{1,2}[.)]\s+)?")
# A citation may follow its sentence's full stop, so a sentence is whole once another has begun.
_BEGUN: Final = re.compile(r"^[\w\"'«“„‘(]")


class Draft:
    """Feed it pieces; `add` and `finish` give the sentences that they complete, in order."""

    def __init__(self) -> None:
        self._open = ""

    def add(self, piece: str) -> list[str]:
        self._open += piece
        *lines, self._open = self._open.split("\n")
        whole = [sentence for line in lines for sentence in _of_line(line)]
        pieces = split(self._open)
        if len(pieces) > 1 and _BEGUN.match(pieces[-1]):
            whole.extend(_of_line(" ".join(pieces[:-1])))
            self._open = pieces[-1]
        return whole

    def finish(self) -> list[str]:
        rest, self._open = self._open, ""
        return _of_line(rest)


def _of_line(line: str) -> list[str]:
    return split(_MARKER.sub("", line))
