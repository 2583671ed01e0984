"""One transaction for a whole batch of writes, with an outcome for each item.

A batch is what arrived at a gateway while its previous call was in flight, so the transaction is
the group commit. One bad item never fails the others: what SQL can check gets a status of its own,
and what still raises is found by halving the batch. What is committed stays answered so, whatever
happens to the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar
from uuid import UUID

import asyncpg

from actors.messages import CreateComment, CreatePost, Failure, Outcome
from actors.outcomes import failure, settle_all
from actors.shard_messages import Ephemeral, Publication
from storage.postgres import Connection, Pool, in_statement_at

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Row = TypeVar("Row")
Keyed = TypeVar("Keyed", CreatePost, CreateComment)

_REASONS: Final = {
    "not_found": "There is no such post or comment.",
    "locked": "This thread is locked, or its community is archived.",
    "suspended": "Your account is suspended.",
    "not_permitted": "You may not write here.",
    "unauthenticated": "Your account is gone. Log in again.",
    "conflict": "This Idempotency-Key was used with another body.",
}


class Publisher(Protocol):
    """Hands committed events to the shards. Neither call waits or raises."""

    def publish(self, publications: Sequence[Publication]) -> None: ...

    def publish_ephemeral(self, events: Sequence[Ephemeral]) -> None: ...


async def commit(
    pool: Pool,
    items: Sequence[Item],
    write: Callable[[Connection, Sequence[Item]], Awaitable[list[Row]]],
) -> tuple[list[Row | Failure], int]:
    """(one row or failure an item, the WAL position behind the commit). Raises nothing but
    CancelledError: a part that can't be committed fails by itself."""
    if not items:
        return [], 0
    try:
        rows, position = await in_statement_at(pool, lambda connection: write(connection, items))
        return list(rows), position
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        if len(items) == 1:
            _log.error("refused by the database: %s", error)
            return [Failure("internal", "The database refused this write.")], 0
    except Exception as error:
        return [failure(error)] * len(items), 0
    half = len(items) // 2
    first, before = await commit(pool, items[:half], write)
    second, after = await commit(pool, items[half:], write)
    return first + second, max(before, after)


async def without_doubles(
    requests: Sequence[Keyed],
    create: Callable[[Sequence[Keyed]], Awaitable[list[Outcome]]],
) -> list[Outcome]:
    """SQL wants each (author, key) once a batch: a second one goes in a batch of its own, where it
    finds the first one's record."""
    seen: set[tuple[UUID | None, str]] = set()
    first: list[int] = []
    again: list[int] = []
    for place, request in enumerate(requests):
        mark = (request.caller.account_id, request.key or "")
        (again if request.key and mark in seen else first).append(place)
        seen.add(mark)
    outcomes: dict[int, Outcome] = {}
    for places, work in ((first, create), (again, partial(without_doubles, create=create))):
        if places:
            made = await settle_all(work([requests[p] for p in places]), len(places))
            outcomes.update(zip(places, made, strict=True))
    return [outcomes[place] for place in range(len(requests))]


def refused(status: str) -> Failure:
    """The failure that a status of the write functions stands for."""
    if status == "gone":
        return Failure("unavailable", "Send it once more.", retry_after_seconds=1.0)
    return Failure(status, _REASONS.get(status, ""))


def invalid(path: str, reason: str) -> Failure:
    return Failure("invalid", f"{path}: {reason}.", ((path, reason),))
