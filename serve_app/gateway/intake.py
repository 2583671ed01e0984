"""From a command to its handler: in place, or in the lane of its channel.

Pings are answered at once; connect and refresh hold up what follows them on the connection, other
commands only what follows in their lane. A subscribe for which all is at hand needs no lane.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Final

from config.errors import AppError
from serve_app.gateway import codes, commands
from serve_app.gateway.codes import Disconnect, ReplyError
from serve_app.gateway.lanes import Frame
from serve_app.gateway.protocol import PONG, Command, UnreadableCommand
from serve_app.gateway.time_limit import TimeLimit

if TYPE_CHECKING:
    from serve_app.gateway.session import Session

log = logging.getLogger(__name__)

COMMAND_SECONDS: Final = 4.0
"""Below the 5 s after which SDKs give a command up, so that they hear a temporary error instead."""
TURN_COMMANDS: Final = 64
TURN_SECONDS: Final = 0.001
"""A frame may hold thousands of commands; after so much of them the loop serves the others."""


async def take(session: Session, commands_of_frame: Iterable[Command], size: int) -> None:
    """Waits while too much is in flight; `size` is the frame's in bytes. Raises Disconnect for what
    is not the protocol, or more of it than anybody needs."""
    frame = Frame(size)
    turn_ends, left = perf_counter() + TURN_SECONDS, TURN_COMMANDS
    for command in commands_of_frame:
        await accept(session, command, frame)
        await session.lanes.wait_room()
        left -= 1
        if not left or perf_counter() > turn_ends:
            await asyncio.sleep(0)
            turn_ends, left = perf_counter() + TURN_SECONDS, TURN_COMMANDS
        if not session.listens:
            return


async def accept(session: Session, command: Command, frame: Frame) -> None:
    if command is PONG:
        session.take_pong()
        return
    if command.send is None and command.id == 0:
        raise codes.malformed()
    if (command.connect is None) != session.is_connected:
        raise codes.malformed()  # something before connect, or connect again
    if type(command) is UnreadableCommand:
        _refuse(session, command)
        return
    name = commands.lane_of(command)
    if name is None or command.unsubscribe is not None:
        end = session.faults.count_free(session.services.wheel.now())
        if end is not None:
            raise end
    if command.connect is not None:
        await _execute(session, commands.connect, command)
        session.refuse()  # or it is connected by now
    elif command.refresh is not None:
        await _execute(session, commands.refresh, command)
    elif name is None:
        try:
            commands.answer_at_once(session, command)
        except ReplyError as error:
            session.fail(command.id, error)
    elif session.lanes.busy(name):
        session.lanes.put(name, command, frame)
    elif command.unsubscribe is not None:
        await commands.unsubscribe(session, command)
    elif commands.waits_for_nothing(session, command):
        # No task for each of thousands who come back, and one send for connect and subscribe.
        await _execute(session, commands.subscribe, command)
    else:
        session.lanes.put(name, command, frame)


def _refuse(session: Session, command: Command) -> None:
    if command.id:
        session.fail(command.id, codes.bad_request())
    session.refuse()  # where it was to connect


async def run(session: Session, command: Command) -> None:
    """A command whose turn in its lane has come."""
    await _execute(session, commands.of_lane(command), command)
    session.flush()


async def _execute(session: Session, handler: commands.Handler, command: Command) -> None:
    try:
        with TimeLimit(COMMAND_SECONDS):
            await handler(session, command)
    except (ReplyError, AppError) as error:
        session.fail(command.id, codes.reply_error(error))
    except TimeoutError:
        session.fail(command.id, codes.internal())
    except Disconnect as end:
        session.close(end)
    except Exception:
        log.exception("a realtime command failed")
        session.fail(command.id, codes.internal())
