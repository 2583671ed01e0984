"""The order of one feed in Redis: a sorted set of post ids by rank, with the place in the stream up
to which it is true.

Everything about an order is one key, so it is replaced, evicted and expires as a whole, and lies on
one node of a cluster. The member of lowest score says what the set is:
`!<epoch>|<offset>|<position>|<floor rank>|<floor id>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from storage.feed_keys import Ranked
from storage.redis import RedisGuard

_PREFIX: Final = "serai:order:"

# KEYS[1] the set; ARGV: a rank and an id to begin below, how many. Equal ranks are ordered by id,
# as SQL orders them: members are ids in hexadecimal.
_READ: Final = """
local said = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
if not said then return false end
local place = redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[1], '+inf')
while true do
    local next = redis.call('ZREVRANGE', KEYS[1], place, place, 'WITHSCORES')
    if not next[1] or tonumber(next[2]) ~= tonumber(ARGV[1]) or next[1] < ARGV[2] then break end
    place = place + 1
end
return {said, redis.call('ZREVRANGE', KEYS[1], place, place + ARGV[3] - 1, 'WITHSCORES')}"""
# ARGV: milliseconds to live, what the set says, then ranks and ids in turn.
_STORE: Final = """
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[1], '-inf', ARGV[2])
for i = 3, #ARGV, 2 do redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])"""
# ARGV: what it said and says now, how many ids go, those ids, then ranks and ids of what comes.
# Nothing where another one was faster. An empty set would lose its time to live.
_CHANGE: Final = """
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return end
redis.call('ZADD', KEYS[1], '-inf', ARGV[2])
redis.call('ZREM', KEYS[1], ARGV[1])
local gone = tonumber(ARGV[3])
for i = 4, gone + 3 do redis.call('ZREM', KEYS[1], ARGV[i]) end
for i = gone + 4, #ARGV, 2 do redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1]) end"""


class OrderTerms(NamedTuple):
    """`epoch` and `offset`: the community's stream when the order was read, `position` that of the
    log. `floor`: below this key it holds nothing; None: it holds all there is."""

    epoch: str
    offset: int
    position: int
    floor: Ranked | None


class OrderPart(NamedTuple):
    """`keys` fewer than were asked for: here the order ends."""

    terms: OrderTerms
    keys: list[Ranked]


class FeedOrders:
    """Every call raises AppError `unavailable` where Redis is away."""

    def __init__(self, redis: RedisGuard) -> None:
        self._redis = redis

    async def read(self, name: str, below: Ranked, count: int) -> OrderPart | None:
        """None: there is no such order."""
        rank, id = below
        found = await self._redis.ask(
            lambda client: client.eval(_READ, 1, _PREFIX + name, repr(rank), id.hex, count)
        )
        if found is None:
            return None
        said, flat = found
        pairs = zip(flat[::2], flat[1::2], strict=True)
        keys = [
            (float(score), UUID(member.decode())) for member, score in pairs if member[:1] != b"!"
        ]
        return OrderPart(_terms(said.decode()), keys)

    async def store(
        self, name: str, terms: OrderTerms, keys: Sequence[Ranked], ttl_ms: int
    ) -> None:
        arguments: list[str | int] = [ttl_ms, _text(terms), *_flat(keys)]
        await self._redis.ask(lambda client: client.eval(_STORE, 1, _PREFIX + name, *arguments))

    async def change(
        self,
        name: str,
        before: OrderTerms,
        after: OrderTerms,
        gone: Sequence[UUID],
        come: Sequence[Ranked],
    ) -> None:
        """The order at `before` becomes that at `after`; one that is not at `before` any more stays
        as it is."""
        arguments: list[str | int] = [
            _text(before), _text(after), len(gone), *(id.hex for id in gone), *_flat(come)
        ]  # fmt: skip
        await self._redis.ask(lambda client: client.eval(_CHANGE, 1, _PREFIX + name, *arguments))


def _flat(keys: Sequence[Ranked]) -> list[str]:
    return [text for rank, id in keys for text in (repr(rank), id.hex)]


def _text(terms: OrderTerms) -> str:
    rank, id = ("", "") if terms.floor is None else (repr(terms.floor[0]), terms.floor[1].hex)
    return f"!{terms.epoch}|{terms.offset}|{terms.position}|{rank}|{id}"


def _terms(text: str) -> OrderTerms:
    epoch, offset, position, rank, id = text[1:].split("|")
    floor = (float(rank), UUID(id)) if id else None
    return OrderTerms(epoch, int(offset), int(position), floor)
