"""From a command to its handler: in place, or in the lane of its channel.

Pings are answered at once; connect and refresh hold up what follows them on the connection, other
commands only what follows in their lane.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from config.errors import AppError
from serve_app.gateway import codes, commands
from serve_app.gateway.codes import Disconnect, ReplyError
from serve_app.gateway.protocol import PONG, Command, UnreadableCommand

if TYPE_CHECKING:
    from serve_app.gateway.session import Session

log = logging.getLogger(__name__)

COMMAND_SECONDS: Final = 4.0
"""Below the 5 s after which SDKs give a command up, so that they hear a temporary error instead."""


async def accept(session: Session, command: Command) -> None:
    """Raises Disconnect for what is not the protocol."""
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
    elif command.unsubscribe is not None and not session.lanes.busy(name):
        await commands.unsubscribe(session, command)
    else:
        session.lanes.put(name, command)


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
        async with asyncio.timeout(COMMAND_SECONDS):
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
