"""One channel as a shard sees it: the newest publications of a stream, delivered in order. Pure.

Postgres ordered the publications; here they arrive late, twice, out of order or not at all. The
state holds back what is ahead of its top until the gap is filled, and says by its effects what the
shell has to do. Everything between `top - len(ring)` and `top` is in the ring.

Removal: a writer that removed content sends the overwritten publications again under their old
offsets. Bytes that differ from those held replace them and are never delivered again. Two writers
may overtake each other on the way, so neither side is believed for good: from then on the ring is
`suspect` up to that offset and answers nothing below it, until a read that began later confirms it.
So does a `*.deleted` event that Postgres brings: what it removed may never have come again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from actors.shard_messages import Publication

_COMMITTED: Final = b',"committed_ns":'
# Within the first bytes of an event: writers put its type first.
_REMOVAL: Final = b'.deleted"'
_TYPE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Deliver:
    """To everyone who follows the channel, in this order."""

    publications: list[Publication]


@dataclass(frozen=True, slots=True)
class FillGap:
    """Read the offsets between `after` and `before` (both exclusive) and hand them to `filled`."""

    after: int
    before: int


@dataclass(frozen=True, slots=True)
class Recheck:
    """Read everything up to `upto` that the ring holds and hand it to `confirmed`."""

    upto: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Known already."""

    offset: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Offsets that Postgres no longer has; followers see the hole and start anew."""

    count: int


Effect = Deliver | FillGap | Recheck | Drop | Lost


class StreamState:
    """`top` is None until `learn_top` was called: publications are held until then."""

    def __init__(self, max_publications: int = 1_000, max_bytes: int = 524_288) -> None:
        self._max_publications = max_publications
        self._max_bytes = max_bytes
        self.top: int | None = None
        self._ring: deque[Publication] = deque()
        self.ring_bytes = 0
        self._held: dict[int, Publication] = {}
        self._held_bytes = 0
        self._target = 0
        self._suspect = 0
        self._suspicions = 0

    @property
    def known_top(self) -> int:
        """The highest offset that is known to be committed, delivered or not."""
        return max(self.top or 0, self._target)

    @property
    def suspicion(self) -> tuple[int, int] | None:
        """(offset, token for `confirmed`) while the ring is not to be trusted up to an offset."""
        return (self._suspect, self._suspicions) if self._suspect else None

    def apply(self, publication: Publication) -> list[Effect]:
        """A durable publication (offset >= 1) that a writer handed over."""
        top, offset = self.top, publication.offset
        if top is None or offset > top + 1:
            return self._hold(publication)
        if offset <= top:
            return self._repeated(publication)
        delivered = [publication]
        self._keep(publication)
        self._drain(delivered)
        return self._with_duties([Deliver(delivered)])

    def learn_top(self, top: int) -> list[Effect]:
        """A top read from Postgres: where the channel begins, or how far it has come since."""
        if self.top is None:
            self.top = top
            for offset in [offset for offset in self._held if offset <= top]:
                self._take_held(offset)
            delivered: list[Publication] = []
            self._drain(delivered)
            return self._with_duties([Deliver(delivered)] if delivered else [])
        self._target = max(self._target, top)
        return self._with_duties([])

    def gap(self) -> FillGap | None:
        """What is missing next."""
        if self.top is None or self.known_top <= self.top:
            return None
        return FillGap(self.top, min(self._held, default=self._target + 1))

    def filled(self, publications: Iterable[Publication], upto: int) -> list[Effect]:
        """What a read that began after `gap` was asked found between there and `upto`, in order.

        Offsets up to `upto` that are neither there nor held are gone for good (retention).
        """
        if self.top is None:
            return []
        delivered: list[Publication] = []
        lost = 0
        for publication in publications:
            lost += self._advance(publication.offset - 1, delivered)
            if publication.offset <= self.top:
                # Delivered live while the read was under way.
                if self._differs_in_ring(publication):
                    self._suspect_through(publication.offset)
                continue
            live = self._take_held(publication.offset)
            if live is None:
                if _REMOVAL in publication.data[:_TYPE_BYTES]:
                    self._suspect_through(publication.offset)
            elif not _same(live, publication):
                self._suspect_through(publication.offset)
            self._keep(publication)
            delivered.append(publication)
        lost += self._advance(upto, delivered)
        self._drain(delivered)
        effects: list[Effect] = [Lost(lost)] if lost else []
        if delivered:
            effects.append(Deliver(delivered))
        return self._with_duties(effects)

    def confirmed(self, token: int, publications: Iterable[Publication], upto: int) -> None:
        """What Postgres holds from the ring's beginning up to `upto`, read after `suspicion` gave
        `token`. Where the read ended short of the suspect offset, the ring begins after that."""
        for publication in publications:
            offset = publication.offset
            if self._differs_in_ring(publication):
                self._replace(publication)
            elif offset in self._held:
                self._take_held(offset)
                self._put_held(publication)
        if upto < min(self._suspect, self.top or 0):
            self._trim(self._suspect)
        if token == self._suspicions:
            self._suspect = 0

    def ring_after(self, after: int) -> list[Publication] | None:
        """All publications after `after`, ascending; None where the ring can't say."""
        if self.top is None or not self.floor <= after <= self.top or after < self._suspect:
            return None
        return list(islice(self._ring, after - self.floor, None))

    def ring_before(self, before: int, limit: int) -> list[Publication] | None:
        """The `limit` publications before `before`, descending (fewer where the stream begins);
        None where the ring can't say."""
        if self.top is None or before > self.top + 1:
            return None
        lowest = max(1, before - limit)
        if lowest <= max(self.floor, self._suspect):
            return None
        start = lowest - self.floor - 1
        found = list(islice(self._ring, start, before - self.floor - 1))
        found.reverse()
        return found

    @property
    def floor(self) -> int:
        """The ring holds every offset from `floor` + 1 to `top`."""
        return (self.top or 0) - len(self._ring)

    def forget_ring(self) -> None:
        """Under memory pressure: history then comes from Postgres."""
        self._ring.clear()
        self.ring_bytes = 0

    def _with_duties(self, effects: list[Effect]) -> list[Effect]:
        gap = self.gap()
        if gap is not None:
            effects.append(gap)
        if self._suspect:
            effects.append(Recheck(self._suspect))
        return effects

    def _hold(self, publication: Publication) -> list[Effect]:
        offset = publication.offset
        self._target = max(self._target, offset)
        before = self._held.get(offset)
        if before is not None:
            if _same(before, publication):
                return [Drop(offset)]
            self._take_held(offset)
            self._suspect_through(offset)
        if (
            len(self._held) < self._max_publications
            and self._held_bytes + len(publication.data) <= self._max_bytes
        ):
            self._put_held(publication)
        else:
            # Postgres will bring it; but should it have been an overwritten one, then a read that
            # is under way may bring the old text.
            self._suspect_through(offset)
        return self._with_duties([])

    def _repeated(self, publication: Publication) -> list[Effect]:
        if not self._differs_in_ring(publication):
            return [Drop(publication.offset)]
        self._replace(publication)
        self._suspect_through(publication.offset)
        return self._with_duties([])

    def _advance(self, limit: int, delivered: list[Publication]) -> int:
        """Bring the top to `limit` with what is held; answers how many offsets are lost."""
        lost = 0
        assert self.top is not None
        while self.top < limit:
            live = self._take_held(self.top + 1)
            if live is not None:
                self._keep(live)
                delivered.append(live)
                continue
            following = min((o for o in self._held if o <= limit), default=limit + 1)
            lost += following - 1 - self.top
            self.forget_ring()
            self.top = following - 1
        return lost

    def _drain(self, delivered: list[Publication]) -> None:
        assert self.top is not None
        while self._held and (live := self._take_held(self.top + 1)) is not None:
            self._keep(live)
            delivered.append(live)

    def _keep(self, publication: Publication) -> None:
        self.top = publication.offset
        self._ring.append(publication)
        self.ring_bytes += len(publication.data)
        while len(self._ring) > self._max_publications or self.ring_bytes > self._max_bytes:
            self.ring_bytes -= len(self._ring.popleft().data)
        if self._suspect and self._suspect <= self.floor:
            self._suspect = 0

    def _put_held(self, publication: Publication) -> None:
        self._held[publication.offset] = publication
        self._held_bytes += len(publication.data)

    def _take_held(self, offset: int) -> Publication | None:
        publication = self._held.pop(offset, None)
        if publication is not None:
            self._held_bytes -= len(publication.data)
        return publication

    def _differs_in_ring(self, publication: Publication) -> bool:
        index = publication.offset - self.floor - 1
        return 0 <= index < len(self._ring) and not _same(self._ring[index], publication)

    def _replace(self, publication: Publication) -> None:
        index = publication.offset - self.floor - 1
        self.ring_bytes += len(publication.data) - len(self._ring[index].data)
        self._ring[index] = publication

    def _suspect_through(self, offset: int) -> None:
        self._suspect = max(self._suspect, offset)
        self._suspicions += 1

    def _trim(self, floor: int) -> None:
        while self._ring and self.floor < floor:
            self.ring_bytes -= len(self._ring.popleft().data)


def _same(one: Publication, other: Publication) -> bool:
    """Equal but for committed_ns, the last member, which may be given to the microsecond or not."""
    if one.data == other.data:
        return True
    return one.data.rpartition(_COMMITTED)[0] == other.data.rpartition(_COMMITTED)[0] != b""
