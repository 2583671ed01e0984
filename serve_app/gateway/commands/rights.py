"""Which channels there are, and who may follow, read and publish on them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.account_messages import ChannelGrant
from config.channels import Namespace, Read, is_internal, users_of
from config.errors import AppError
from serve_app.gateway import codes
from serve_app.gateway.channel import Channel
from serve_app.gateway.client_tokens import SubscriptionToken

if TYPE_CHECKING:
    from serve_app.gateway.services import Services
    from serve_app.gateway.session import Session

TOKEN_ONLY: Final = "$"
# How long one caller's public grant lets others in without asking, unless access changes meanwhile.
PUBLIC_GRANT_SECONDS: Final = 30.0
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f]")
_CANONICAL_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Permission(NamedTuple):
    """To follow a channel. `grant`: what Accounts said, of content only; None where somebody else's
    public grant was enough. `token`: the subscription token that opened it."""

    grant: ChannelGrant | None = None
    token: SubscriptionToken | None = None


def row_of(session: Session, name: str) -> Namespace:
    """The channel's options. Refuses names that no channel can have, before anything is looked up:
    ReplyError 107 or 102."""
    services = session.services
    if not name or len(name.encode()) > services.settings.max_channel_length:
        raise codes.bad_request()
    row = services.namespaces.of(name)
    namespace, _, id = name.partition(":")
    if row is None or is_internal(name):
        raise codes.unknown_channel()
    if row.subscribe == "content":
        if namespace.startswith(TOKEN_ONLY) or _CANONICAL_ID.fullmatch(id) is None:
            raise codes.unknown_channel()
    elif _CONTROL_CHARACTERS.search(name):
        raise codes.bad_request()
    return row


async def check_rate(session: Session) -> None:
    if session.services.check_rate is not None:
        await session.services.check_rate(session.caller, session.address)


async def permit(session: Session, name: str, row: Namespace, token: str = "") -> Permission:
    """May this connection follow the channel? Raises ReplyError, or AppError when nobody can say.

    Content is decided by Accounts alone. Elsewhere a `#` limits a channel to the users it names,
    token or not, and to nobody where the namespace has no such channels. A token opens what is
    left."""
    if row.subscribe == "content":
        return Permission(grant=await _ask_accounts(session, name))
    users = users_of(name)
    if users is not None and not (row.user_limited and session.user in users):
        raise codes.permission_denied()
    if token:
        return Permission(token=await check_token(session, name, token))
    open_to_all = row.subscribe == "anyone" or (row.subscribe == "members" and session.user)
    if name.startswith(TOKEN_ONLY) or not (users or open_to_all):
        raise codes.permission_denied()
    return Permission()


async def check_token(session: Session, name: str, token: str) -> SubscriptionToken:
    """Raises ReplyError 103 or 109, or AppError 'unavailable'."""
    found = await session.services.tokens.subscription(token, session.user, name)
    if found.expires_at and found.expires_at <= session.services.clock():
        raise codes.token_expired()
    return found


async def _ask_accounts(session: Session, name: str) -> ChannelGrant | None:
    """None: everybody may read the channel, without having asked for this caller."""
    services = session.services
    channel = services.hub.find(name)
    if channel is not None and is_open(services, channel):
        return None
    try:
        return await services.authorize(session.caller, name)
    except AppError as error:
        if error.code == "invalid":  # no channel can have this name
            raise codes.unknown_channel() from None
        raise


def is_open(services: Services, channel: Channel) -> bool:
    """Whether it is known that everybody may read the channel."""
    return (
        channel.public_until > services.wheel.now()
        and channel.public_version == services.access.version
    )


async def permit_read(session: Session, name: str, row: Namespace, readers: Read) -> None:
    """May this connection read what the channel keeps?"""
    if readers == "nobody":
        raise codes.permission_denied()
    await check_rate(session)
    if session.subscriptions.get(name) is not None:
        return
    if readers == "subscribers":
        raise codes.permission_denied()
    await permit(session, name, row)
