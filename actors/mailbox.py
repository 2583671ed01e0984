"""The bounded outbox of one gateway: what it has not acknowledged yet. Pure.

Entries carry rising sequence numbers, not necessarily without holes. A batch is answered again and
again until its last number is acknowledged: at least once.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from prometheus_client import Counter

from actors.shard_messages import Publication

# About what an entry costs beside its data, which all mailboxes share.
ENTRY_BYTES: Final = 128

_DROPPED = Counter(
    "serai_shard_mailbox_dropped_total", "Ephemeral publications that a mailbox had no room for"
)


class Mailbox:
    """`put` refuses when full: the owner then forgets the gateway, which says Hello again and
    catches up by history. Ephemeral publications are refused from half full on, and thrown out
    before anything durable is refused."""

    def __init__(self, max_items: int = 10_000, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._entries: deque[tuple[int, int, Publication]] = deque()
        self._bytes = 0
        self._ephemeral = 0
        self._sequence = 0
        self.dropped = 0
        """Ephemeral publications that were refused or thrown out."""

    def put(self, publication: Publication) -> bool:
        """False: a durable publication has no room. A dropped ephemeral one is no failure."""
        size = ENTRY_BYTES + publication.size_bytes
        if publication.offset == 0:
            if 2 * len(self._entries) >= self._max_items or 2 * self._bytes >= self._max_bytes:
                self._drop(1)
                return True
            self._ephemeral += 1
        elif not self._fits(size):
            self._drop_ephemeral()
            if not self._fits(size):
                return False
        self._sequence += 1
        self._entries.append((self._sequence, size, publication))
        self._bytes += size
        return True

    def acknowledge(self, sequence: int) -> bool:
        """Drop what is taken in. False: that number was never given out."""
        if sequence > self._sequence:
            return False
        entries = self._entries
        while entries and entries[0][0] <= sequence:
            self._forget(entries.popleft())
        return True

    def batch(self, max_items: int, max_bytes: int) -> tuple[int, list[Publication]]:
        """The oldest entries and the number to acknowledge them with; at least one where there is
        one. (0, []) when empty."""
        publications: list[Publication] = []
        sequence = total = 0
        for number, size, publication in self._entries:
            total += size
            if publications and (len(publications) >= max_items or total > max_bytes):
                break
            publications.append(publication)
            sequence = number
        return sequence, publications

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def _fits(self, size: int) -> bool:
        # An empty mailbox takes anything: refusing could never end.
        return not self._entries or (
            len(self._entries) < self._max_items and self._bytes + size <= self._max_bytes
        )

    def _drop_ephemeral(self) -> None:
        if not self._ephemeral:
            return
        kept: deque[tuple[int, int, Publication]] = deque()
        for entry in self._entries:
            if entry[2].offset:
                kept.append(entry)
            else:
                self._bytes -= entry[1]
        self._entries = kept
        self._drop(self._ephemeral)
        self._ephemeral = 0

    def _drop(self, count: int) -> None:
        self.dropped += count
        _DROPPED.inc(count)

    def _forget(self, entry: tuple[int, int, Publication]) -> None:
        self._bytes -= entry[1]
        if entry[2].offset == 0:
            self._ephemeral -= 1
