"""How many posts a community got lately, told as `feed.activity` to readers who take no events of
their own. Pure.

The shard sees each delivered event of a channel once and in order, so here is where they are
counted; whoever writes posts knows its own alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from actors.shard_messages import Publication

_COMMUNITY: Final = "community:"
# Writers put an event's type first.
_CREATED: Final = b'{"type":"post.created"'


class NewPostCount(NamedTuple):
    community_id: str
    new_posts: int
    newest_id: str


class _Post(msgspec.Struct, frozen=True, gc=False):
    id: str
    deleted: bool = False


class _Created(msgspec.Struct, frozen=True, gc=False):
    post: _Post


_decode: Final = msgspec.json.Decoder(_Created).decode


class NewPosts:
    """Bounded by the channels that somebody follows."""

    def __init__(self) -> None:
        self._counts: dict[str, NewPostCount] = {}

    def see(self, publication: Publication) -> None:
        """A delivered publication; those of other kinds and removed posts count for nothing."""
        channel, data = publication.channel, publication.data
        if not channel.startswith(_COMMUNITY) or not data.startswith(_CREATED):
            return
        try:
            post = _decode(data).post
        except msgspec.MsgspecError:
            return  # a count is not worth the stream
        if not post.deleted:
            before = self._counts.get(channel)
            count = 1 if before is None else before.new_posts + 1
            self._counts[channel] = NewPostCount(channel.removeprefix(_COMMUNITY), count, post.id)

    def take(self) -> dict[str, NewPostCount]:
        """By channel, what was seen since the last call."""
        counts, self._counts = self._counts, {}
        return counts
