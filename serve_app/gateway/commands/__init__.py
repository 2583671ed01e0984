"""What each command does. Handlers answer through their session, or raise what to answer.

    session ─▶ lane_of / of_lane ─▶ connection · subscribing · publishing · reading · rpc
                                        └ rights: who may · continuity: what was missed

Raised: ReplyError and AppError answer the command, Disconnect ends the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

from serve_app.gateway import codes
from serve_app.gateway.commands.connection import connect, refresh
from serve_app.gateway.commands.publishing import publish
from serve_app.gateway.commands.reading import history, presence, presence_stats
from serve_app.gateway.commands.rpc import rpc
from serve_app.gateway.commands.subscribing import (
    is_at_hand,
    sub_refresh,
    subscribe,
    unsubscribe,
)
from serve_app.gateway.protocol import Command, Empty, Reply

if TYPE_CHECKING:
    from serve_app.gateway.session import Session

__all__ = [
    "Handler",
    "answer_at_once",
    "connect",
    "lane_of",
    "of_lane",
    "refresh",
    "subscribe",
    "unsubscribe",
    "waits_for_nothing",
]

MESSAGES = Counter("serai_realtime_messages_total", "Messages of clients outside of channels")

Handler = Callable[["Session", Command], Awaitable[None]]

_RPC_LANES: Final = 8
"""Calls of one connection that run side by side. No channel has the name of such a lane."""


def lane_of(command: Command) -> str | None:
    """The lane that keeps the command's place, which is its channel's; None for what needs none."""
    if command.rpc is not None:
        return f"\0rpc {command.id % _RPC_LANES}"
    request = (
        command.subscribe
        or command.unsubscribe
        or command.publish
        or command.presence
        or command.presence_stats
        or command.history
        or command.sub_refresh
    )
    return None if request is None else request.channel


def of_lane(command: Command) -> Handler:
    """The handler of a command that has a lane; members in the order of `lane_of`."""
    if command.rpc is not None:
        return rpc
    if command.subscribe is not None:
        return subscribe
    if command.unsubscribe is not None:
        return unsubscribe
    if command.publish is not None:
        return publish
    if command.presence is not None:
        return presence
    if command.presence_stats is not None:
        return presence_stats
    if command.history is not None:
        return history
    return sub_refresh


def waits_for_nothing(session: Session, command: Command) -> bool:
    """Whether a command that has a lane can be carried out in place, as far as can be told."""
    request = command.subscribe
    return request is not None and command.rpc is None and is_at_hand(session, request)


def answer_at_once(session: Session, command: Command) -> None:
    if command.ping is not None:
        session.reply(Reply(command.id, ping=Empty()))
    elif command.send is not None:
        MESSAGES.inc()  # has no answer, and nobody here listens to it
    else:
        raise codes.malformed()
