"""Checks what Accounts granted once more, after something about the account has changed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from actors.account_messages import ChannelGrant
from actors.messages import Caller
from config.errors import AppError
from serve_app.gateway import codes

if TYPE_CHECKING:
    from serve_app.gateway.services import Authorize
    from serve_app.gateway.session import Session

log = logging.getLogger(__name__)

_ATTEMPTS: Final = 6
_BACKOFF_SECONDS: Final = 0.1


async def run(session: Session) -> None:
    """Until nothing has changed meanwhile. Whoever could not be checked connects again."""
    checked = -1
    try:
        while checked != session.version:
            checked = session.version
            await check(session)
    except Exception:
        log.exception("permissions could not be checked again")
        session.close(codes.insufficient_state())
    finally:
        session.reauthorizing = False


async def check(session: Session) -> None:
    """Ends the connection, or the subscriptions, that are no longer permitted. Of channels that
    Accounts knows nothing of, tokens and namespaces say all there is to say."""
    if not session.own_channel:
        return
    await _check_self(session)
    for name in list(session.subscriptions):
        await _check_channel(session, name)


async def _check_self(session: Session) -> None:
    try:
        await authorize(session.services.authorize, session.caller, session.own_channel)
    except AppError as error:
        # Nobody could say: the SDK connects again, and is authorized then.
        session.close(codes.refused_connection(error) or codes.insufficient_state())


async def _check_channel(session: Session, name: str) -> None:
    subscription = session.subscriptions.get(name)
    if subscription is None or subscription.server_side or subscription.row.subscribe != "content":
        return
    try:
        grant = await authorize(session.services.authorize, session.caller, name)
    except AppError as error:
        session.end_subscription(name, subscription, ending(error))
    else:
        subscription.may_type = grant.may_publish_typing


def ending(error: AppError) -> tuple[int, str]:
    """How a subscription ends. Where nobody could say, the SDK subscribes again, and is authorized
    then."""
    denied = error.code in codes.DENIALS
    return codes.UNSUBSCRIBE_DENIED if denied else codes.UNSUBSCRIBE_INSUFFICIENT


async def authorize(ask: Authorize, caller: Caller, name: str) -> ChannelGrant:
    """Raises the AppError of a denial, or of the last of several attempts."""
    for attempt in range(_ATTEMPTS - 1):
        try:
            return await ask(caller, name)
        except AppError as error:
            if error.code in codes.DENIALS:
                raise
        await asyncio.sleep(_BACKOFF_SECONDS * 2**attempt)
    return await ask(caller, name)
