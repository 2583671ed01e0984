"""Where one followed channel stands, pure: what may be delivered, what is missing, what is lost.

    publication ─▶ take ──▶ next in order: deliver · older: drop · later: hold, history fills
    position ────▶ place ─▶ same epoch: maybe a gap · another: lost, subscribers resubscribe

Offsets of a stream are contiguous, so `last + 1` is all there is to know about order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from actors.shard_messages import Publication, StreamPosition

MAX_HELD: Final = 10_000
MAX_HELD_BYTES: Final = 8 * 1024 * 1024
"""Held behind a gap before it is given up: bounds memory while history is away."""
_PUBLICATION_BYTES: Final = 256
"""About what one costs besides its data and info."""


class Placement:
    """The outcome of `place`: what to deliver, and whether continuity was lost."""

    __slots__ = ("deliver", "lost")

    def __init__(self, deliver: list[Publication], lost: bool) -> None:
        self.deliver = deliver
        self.lost = lost


class ChannelPosition:
    """`last` is the newest offset delivered in order, `target` the newest that is known to exist.

    Until the first `place` the position is unknown, and publications are held.
    """

    __slots__ = ("_held", "_held_bytes", "epoch", "known", "last", "target")

    def __init__(self) -> None:
        self.epoch = ""
        self.known = False
        self.last = 0
        self.target = 0
        self._held: dict[int, Publication] = {}
        self._held_bytes = 0

    @property
    def missing(self) -> bool:
        """Whether there is a gap after `last` that history must fill."""
        return self.known and self.target > self.last

    @property
    def overflowed(self) -> bool:
        return len(self._held) > MAX_HELD or self._held_bytes > MAX_HELD_BYTES

    def take(self, publication: Publication) -> list[Publication]:
        """What can be delivered now, in order; empty for a duplicate or behind a gap."""
        offset = publication.offset
        if self.known:
            if offset <= self.last:
                return []
            if offset == self.last + 1 and not self._held:
                self.last = offset
                self.target = max(self.target, offset)
                return [publication]
        self._release(offset)
        self._held[offset] = publication
        self._held_bytes += _size(publication)
        self.target = max(self.target, offset)
        return self._drain() if self.known else []

    def take_all(self, publications: Iterable[Publication]) -> list[Publication]:
        return [ready for publication in publications for ready in self.take(publication)]

    def expect(self, offset: int) -> None:
        """Somebody trustworthy has seen `offset`: all up to it exist."""
        self.target = max(self.target, offset)

    def place(self, top: StreamPosition) -> Placement:
        """The source says where the stream ends."""
        if not self.known:
            self.known = True
            self.epoch = top.epoch
            self._jump(top.offset)
            return Placement(self._drain(), lost=False)
        if self.epoch != top.epoch:
            # Held publications may be of the old stream: what is missing comes from history.
            self._forget_held()
            self.epoch = top.epoch
            self.last = self.target = top.offset
            return Placement([], lost=True)
        self.expect(top.offset)
        return Placement([], lost=False)

    def give_up(self) -> None:
        """The gap can't be filled: go on after everything known. Subscribers must resubscribe."""
        self._forget_held()
        self.last = self.target

    def _jump(self, offset: int) -> None:
        self.last = offset
        # Also what was given up while the position was unknown.
        self.target = max(offset, self.target)
        for held in [held for held in self._held if held <= offset]:
            self._release(held)

    def _drain(self) -> list[Publication]:
        ready = []
        while (publication := self._release(self.last + 1)) is not None:
            ready.append(publication)
            self.last = publication.offset
        return ready

    def _release(self, offset: int) -> Publication | None:
        publication = self._held.pop(offset, None)
        if publication is not None:
            self._held_bytes -= _size(publication)
        return publication

    def _forget_held(self) -> None:
        self._held.clear()
        self._held_bytes = 0


def _size(publication: Publication) -> int:
    return _PUBLICATION_BYTES + len(publication.data) + len(publication.info)
