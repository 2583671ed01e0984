"""Where one followed channel stands, pure: what may be delivered, what is missing, what is lost.

    publication ─▶ take ──▶ next in order: deliver · older: drop · later: hold, history fills
    position ────▶ place ─▶ same epoch: maybe a gap · another: lost, subscribers resubscribe

Offsets of a stream are contiguous, so `last + 1` is all there is to know about order.
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.shard_messages import Publication, StreamPosition

MAX_HELD = 10_000
"""Publications held behind a gap before it is given up: bounds memory while history is away."""


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

    __slots__ = ("_held", "epoch", "known", "last", "target")

    def __init__(self) -> None:
        self.epoch = ""
        self.known = False
        self.last = 0
        self.target = 0
        self._held: dict[int, Publication] = {}

    @property
    def missing(self) -> bool:
        """Whether there is a gap after `last` that history must fill."""
        return self.known and self.target > self.last

    @property
    def overflowed(self) -> bool:
        return len(self._held) > MAX_HELD

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
        self._held[offset] = publication
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
            self._held.clear()
            self.epoch = top.epoch
            self.last = self.target = top.offset
            return Placement([], lost=True)
        self.expect(top.offset)
        return Placement([], lost=False)

    def give_up(self) -> None:
        """The gap can't be filled: go on after everything known. Subscribers must resubscribe."""
        self._held.clear()
        self.last = self.target

    def _jump(self, offset: int) -> None:
        self.last = offset
        self.target = max([offset, *self._held])
        for held in [held for held in self._held if held <= offset]:
            del self._held[held]

    def _drain(self) -> list[Publication]:
        ready = []
        while (publication := self._held.pop(self.last + 1, None)) is not None:
            ready.append(publication)
            self.last = publication.offset
        return ready
