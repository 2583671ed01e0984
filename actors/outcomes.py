"""Turning what happens inside an actor into outcomes: one item's failure never fails its batch."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from actors.messages import FROM_PRIMARY, Failure, Outcome, Read, Reply
from config.errors import AppError
from storage.replicas import AskPrimary

Asked = TypeVar("Asked", bound=Read)

_log = logging.getLogger(__name__)


async def answer(request: Asked, work: Callable[[Asked], Awaitable[Reply]]) -> Reply:
    """`work`, a second time at the primary where a replica failed or was not sure."""
    try:
        return await work(request)
    except AskPrimary:
        return await work(msgspec.structs.replace(request, position=FROM_PRIMARY))


async def settle(work: Awaitable[Reply]) -> Outcome:
    """The reply, or the failure as a value. An unexpected exception is logged and answered as
    'internal' without its text, which may hold what a member must not see."""
    try:
        return await work
    except Exception as error:
        return failure(error)


async def settle_all(work: Awaitable[list[Outcome]], count: int) -> list[Outcome]:
    """The same for a group of `count` items that share one transaction: they fail together."""
    try:
        return await work
    except Exception as error:
        return [failure(error)] * count


def failure(error: Exception) -> Failure:
    """What a member is told of it; what is no AppError is logged."""
    if isinstance(error, AppError):
        return Failure.of(error)
    _log.error("unexpected failure", exc_info=error)
    return Failure("internal", "Something went wrong on our side.")
