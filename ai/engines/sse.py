"""Server-sent events as they arrive, in pieces cut anywhere (WHATWG HTML, "Event stream"). Pure.

Of the fields only `data` is kept: OpenAI-compatible servers use no other.
"""

from __future__ import annotations

import re
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class TooLong(ValueError):
    """An event is longer than allowed: no more can be read from this stream."""


class EventReader:
    """`feed` returns the data of the events that its bytes complete; an event that the end of the
    stream cuts off is none."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._at_start = True

    def feed(self, received: bytes) -> list[bytes]:
        self._rest += received
        if self._at_start:
            if len(self._rest) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(self._rest):
                return []
            self._at_start = False
            self._rest = self._rest.removeprefix(_BYTE_ORDER_MARK)
        # Perhaps half of a line end: its line is complete only when the next byte is known.
        half = b"\r" if self._rest.endswith(b"\r") else b""
        lines = _LINE_END.split(self._rest.removesuffix(b"\r"))
        self._rest = lines.pop() + half
        events = []
        for line in lines:
            if line == b"":
                if self._data:
                    events.append(b"\n".join(self._data))
                self._data, self._data_bytes = [], 0
            else:
                self._take(line)
        if self._data_bytes + len(self._rest) > self._max_event_bytes:
            raise TooLong
        return events

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name != b"data":
            return
        self._data.append(value.removeprefix(b" "))
        self._data_bytes += len(value)
        if self._data_bytes > self._max_event_bytes:
            raise TooLong
