"""Checks what Accounts granted once more, after something about the account has changed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from actors.messages import ChannelGrant
from config.errors import AppError
from serve_app.gateway import codes

if TYPE_CHECKING:
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
        await _authorize(session, session.own_channel)
    except AppError as error:
        # Nobody could say: the SDK connects again, and is authorized then.
        session.close(codes.refused_connection(error) or codes.insufficient_state())


async def _check_channel(session: Session, name: str) -> None:
    subscription = session.subscriptions.get(name)
    if subscription is None or subscription.server_side or subscription.row.subscribe != "content":
        return
    try:
        grant = await _authorize(session, name)
    except AppError as error:
        denied = error.code in codes.DENIALS
        # Nobody could say: the SDK subscribes again, and is authorized then.
        why = codes.UNSUBSCRIBE_DENIED if denied else codes.UNSUBSCRIBE_INSUFFICIENT
        session.end_subscription(name, subscription, why)
    else:
        subscription.may_type = grant.may_publish_typing


async def _authorize(session: Session, name: str) -> ChannelGrant:
    """Raises the AppError of a denial, or of the last of several attempts."""
    authorize = session.services.authorize
    for attempt in range(_ATTEMPTS - 1):
        try:
            return await authorize(session.caller, name)
        except AppError as error:
            if error.code in codes.DENIALS:
                raise
        await asyncio.sleep(_BACKOFF_SECONDS * 2**attempt)
    return await authorize(session.caller, name)
