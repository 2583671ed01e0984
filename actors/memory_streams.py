"""Streams that live in their shard's memory alone: `history = "memory"`. Pure: times are seconds of
any monotonic clock, handed in; they never run backwards.

A stream is an epoch, a top and the newest publications. Three things end before the process does:

- a publication, `history_ttl_seconds` after it came, or when `history_size` newer ones are there;
- the whole history of the channel that is silent for longest, when all together exceed `max_bytes`;
- epoch and top, `EPOCH_SECONDS` after the last publication or question, once the history is empty
  and nobody follows the channel; or before, where there are more than `max_streams` streams.

A question begins a stream too, but costs no other channel anything: streams that nobody has ever
published on make room for each other and for those that somebody has; where that is not enough, a
question that comes from no follower is answered with an epoch of that moment.

The first two leave epoch and top alone: whoever missed nothing still recovers. After the last the
channel begins anew under another epoch, which a returning client sees.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final
from uuid import uuid4

import msgspec

from actors import history_page
from actors.shard_messages import HistoryReply, Publication, ReadHistory, StreamPosition
from config.channels import Namespace

EPOCH_SECONDS: Final = 86_400.0
# About what a publication costs beside its bytes, and what a stream costs without any.
PUBLICATION_BYTES: Final = 256
# Streams looked at for one to put away: those that are followed stay, and must not cost a walk.
_LOOKED_AT: Final = 64


class _Stream:
    __slots__ = ("epoch", "kept", "top", "used")

    def __init__(self, epoch: str, now: float) -> None:
        self.epoch = epoch
        self.top = 0
        self.kept: deque[tuple[float, int, Publication]] = deque()
        """(when it ends, bytes, publication), offsets without holes up to `top`."""
        self.used = now


class MemoryStreams:
    """`followed(channel)`: somebody is there, its stream stays. All bounds hold over all channels;
    `max_streams` may be exceeded by streams that are followed."""

    def __init__(
        self,
        followed: Callable[[str], bool] = lambda channel: False,
        *,
        max_bytes: int = 256 * 1024 * 1024,
        max_streams: int = 100_000,
        page_publications: int = 1_000,
        page_bytes: int = 524_288,
        new_epoch: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._followed = followed
        self._max_bytes = max_bytes
        self._max_streams = max_streams
        self._page_publications = page_publications
        self._page_bytes = page_bytes
        self._new_epoch = new_epoch
        # The longest unused first, in both; those that nobody has ever published on apart.
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._unborn: OrderedDict[str, _Stream] = OrderedDict()
        self._holding: OrderedDict[str, _Stream] = OrderedDict()  # the longest silent first
        self._round: list[str] = []  # what `expire` has still to look at
        self.size_bytes = 0

    def append(self, publication: Publication, namespace: Namespace, now: float) -> Publication:
        """Takes the next offset, whatever the publication came with, and answers it with that."""
        name = publication.channel
        stream = self._born(name, now)
        stream.top += 1
        publication = msgspec.structs.replace(publication, offset=stream.top)
        size = PUBLICATION_BYTES + publication.size_bytes
        stream.kept.append((now + namespace.history_ttl_seconds, size, publication))
        self.size_bytes += size
        self._holding[name] = stream
        self._holding.move_to_end(name)
        while len(stream.kept) > namespace.history_size:
            self._shorten(stream)
        self._make_room(name)
        return publication

    def position(self, channel: str, now: float) -> StreamPosition:
        """Begins the stream where there is none."""
        stream = self._use(channel, now)
        return StreamPosition(stream.epoch, stream.top)

    def read(self, request: ReadHistory, now: float) -> HistoryReply:
        """As from Postgres; begins the stream where there is none."""
        stream = self._use(request.channel, now)
        self._end(request.channel, stream, now)
        found = history_page.page(
            self._before(stream, request.after)
            if request.reverse
            else self._after(stream, request.after),
            min(request.limit, self._page_publications),
            self._page_bytes,
        )
        return history_page.reply(request, StreamPosition(stream.epoch, stream.top), found)

    def remove_history(self, channel: str) -> None:
        """Epoch and top stay."""
        stream = self._streams.get(channel)
        if stream is not None:  # others have no history
            self._empty(channel, stream)

    def expire(self, now: float, most: int = 2_000) -> None:
        """Frees what has ended. Looks at `most` streams, in turn, so that it never takes long."""
        if not self._round:
            self._round = list(self._holding)
        for _ in range(min(most, len(self._round))):
            name = self._round.pop()
            stream = self._holding.get(name)
            if stream is not None:
                self._end(name, stream, now)
        for streams in (self._unborn, self._streams):
            for _ in range(most):
                name = next(iter(streams), "")
                if not name or streams[name].used + EPOCH_SECONDS > now:
                    break
                self._put_away(streams, name, now)

    def __len__(self) -> int:
        return len(self._streams) + len(self._unborn)

    # ------------------------------------------------------------ streams

    def _use(self, name: str, now: float) -> _Stream:
        """For a question."""
        stream = self._touch(name, now)
        if stream is not None:
            return stream
        stream = self._unborn[name] = _Stream(self._new_epoch(), now)
        self.size_bytes += PUBLICATION_BYTES
        self._thin_out(self._unborn, name, now)
        if not self._fits:
            if self._followed(name):
                self._make_room(name)
            else:
                del self._unborn[name]
                self.size_bytes -= PUBLICATION_BYTES
        return stream

    def _born(self, name: str, now: float) -> _Stream:
        """For a publication."""
        stream = self._touch(name, now)
        if stream is not None and stream.top:
            return stream
        if stream is None:
            stream = _Stream(self._new_epoch(), now)
            self.size_bytes += PUBLICATION_BYTES
        else:
            del self._unborn[name]
        self._streams[name] = stream
        self._thin_out(self._unborn, name, now)
        if len(self) > self._max_streams:
            self._make_room(name)  # bytes are no reason to put a stream away
            self._thin_out(self._streams, name, now)
        return stream

    def _touch(self, name: str, now: float) -> _Stream | None:
        for streams in (self._streams, self._unborn):
            stream = streams.get(name)
            if stream is not None:
                stream.used = now
                streams.move_to_end(name)
                return stream
        return None

    @property
    def _fits(self) -> bool:
        return len(self) <= self._max_streams and self.size_bytes <= self._max_bytes

    def _thin_out(self, streams: OrderedDict[str, _Stream], newest: str, now: float) -> None:
        for _ in range(_LOOKED_AT):
            oldest = next(iter(streams), newest)
            if self._fits or oldest == newest:
                break
            self._put_away(streams, oldest, now, full=True)

    def _put_away(
        self, streams: OrderedDict[str, _Stream], name: str, now: float, *, full: bool = False
    ) -> None:
        """The longest unused stream; or it takes its turn again. `full`: also with its history."""
        stream = streams[name]
        self._end(name, stream, now)
        if self._followed(name) or (stream.kept and not full):
            stream.used = now
            streams.move_to_end(name)
            return
        self._empty(name, stream)
        del streams[name]
        self.size_bytes -= PUBLICATION_BYTES

    # ------------------------------------------------------------ what they hold

    @staticmethod
    def _after(stream: _Stream, after: int) -> Iterator[Publication]:
        floor = stream.top - len(stream.kept)
        start = max(0, after - floor)
        return (entry[2] for entry in islice(stream.kept, start, None))

    @staticmethod
    def _before(stream: _Stream, before: int) -> Iterator[Publication]:
        above = 0 if before == 0 else max(0, stream.top + 1 - before)
        return (entry[2] for entry in islice(reversed(stream.kept), above, None))

    def _end(self, name: str, stream: _Stream, now: float) -> None:
        """What came too long ago. The namespace is the same for all, so the oldest ends first."""
        while stream.kept and stream.kept[0][0] <= now:
            self._shorten(stream)
        if not stream.kept:
            self._holding.pop(name, None)

    def _empty(self, name: str, stream: _Stream) -> None:
        while stream.kept:
            self._shorten(stream)
        self._holding.pop(name, None)

    def _make_room(self, newest: str) -> None:
        while self.size_bytes > self._max_bytes and self._holding:
            name, stream = next(iter(self._holding.items()))
            if name != newest:
                self._empty(name, stream)
            else:
                self._shorten(stream)
                if not stream.kept:
                    del self._holding[name]

    def _shorten(self, stream: _Stream) -> None:
        _, size, _ = stream.kept.popleft()
        self.size_bytes -= size
