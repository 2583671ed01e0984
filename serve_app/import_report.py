"""What an import says: while it runs, about bad lines, and in the end."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TextIO

MAX_REFUSALS_KEPT: Final = 1_000
_DRAWN_EACH_SECONDS: Final = 0.2
_WIDTH: Final = 30
_KINDS: Final = ("accounts", "posts", "comments", "guides", "checklists", "timelines")


class Refusal(NamedTuple):
    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


@dataclass
class Tally:
    """`read` is the sum of the others."""

    read: int = 0
    written: int = 0
    there: int = 0
    refused: int = 0


@dataclass
class Summary:
    """`problems` counts all reports, `refusals` holds the first thousand. A report may also be
    about a part that was left out of a thread which was written otherwise."""

    accounts: Tally = field(default_factory=Tally)
    posts: Tally = field(default_factory=Tally)
    comments: Tally = field(default_factory=Tally)
    guides: Tally = field(default_factory=Tally)
    checklists: Tally = field(default_factory=Tally)
    timelines: Tally = field(default_factory=Tally)
    problems: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def __str__(self) -> str:
        columns = ("read", "written", "there", "refused")
        lines = [" " * 10 + "".join(f"{column:>12}" for column in columns)]
        for name in _KINDS:
            tally = getattr(self, name)
            lines.append(f"{name:10}" + "".join(f"{getattr(tally, c):>12,}" for c in columns))
        return "\n".join(lines)


class Progress(Protocol):
    def advance(self, done_bytes: int, total_bytes: int, summary: Summary) -> None: ...

    def refused(self, refusal: Refusal) -> None: ...


class ProgressLine:
    """One line that is drawn again and again on a terminal; elsewhere only the refusals."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._began = time.monotonic()
        self._drawn = float("-inf")

    def advance(self, done_bytes: int, total_bytes: int, summary: Summary) -> None:
        now = time.monotonic()
        ended = done_bytes >= total_bytes
        if not self._live or (now - self._drawn < _DRAWN_EACH_SECONDS and not ended):
            return
        self._drawn = now
        part = done_bytes / total_bytes if total_bytes else 1.0
        filled = round(part * _WIDTH)
        read = sum(getattr(summary, name).read for name in _KINDS)
        rate = read / max(now - self._began, 1e-9)
        bar = "#" * filled + "." * (_WIDTH - filled)
        end = "\n" if ended else ""
        self._stream.write(f"\r[{bar}] {part:4.0%}  {read:,} read, {rate:,.0f}/s\x1b[K{end}")
        self._stream.flush()

    def refused(self, refusal: Refusal) -> None:
        self._stream.write(f"\r{refusal}\x1b[K\n" if self._live else f"{refusal}\n")
