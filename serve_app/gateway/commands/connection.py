"""connect and refresh: who the client is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.messages import GUEST
from config.channels import personal_channel
from config.errors import AppError
from serve_app.gateway import codes
from serve_app.gateway.client_tokens import ConnectionToken, ServerSubscription
from serve_app.gateway.commands.rights import check_rate, row_of
from serve_app.gateway.commands.server_subscriptions import ServerSubscriptions
from serve_app.gateway.protocol import Command, ConnectResult, RefreshResult, Reply

if TYPE_CHECKING:
    from serve_app.gateway.session import Session

SERVER_VERSION: Final = "serai"
NAME_CHARACTERS: Final = 255
"""Of the client library's name and of its version, which SDKs send."""
_NO_TOKEN: Final = ConnectionToken("", GUEST, 0.0)


async def connect(session: Session, command: Command) -> None:
    """The server's own subscriptions come in the same reply: `user:` of an account, what the token
    names, the personal channel.

    An access token proves who signed in, not that the session still lives: Accounts is asked for
    that. The account's channel is followed before, so that an end after the answer is heard.
    """
    request = command.connect
    assert request is not None
    services = session.services
    if max(len(request.name), len(request.version)) > NAME_CHARACTERS:
        raise codes.bad_request()
    token = await _identity(session, request.token)
    if not session.is_open:
        return
    account = token.caller.account_id
    own = "" if account is None else f"user:{account}"
    subscriptions = ServerSubscriptions(session, _asked(session, token, own))
    try:
        if own:
            services.accounts.add(session, token.caller)
            await _check_own(session, token, own)
        await subscriptions.wait_live()
        results, beginnings = await subscriptions.find_starts(request.subs)
        if not session.is_open:
            return
        ttl = session.identify(token)
        result = ConnectResult(
            client=session.client,
            version=SERVER_VERSION,
            expires=ttl > 0,
            ttl=ttl,
            subs=results,
            ping=int(services.settings.ping_seconds),
            pong=session.answers_pings,
            session=session.session,
            node=services.node(),
            time=int(services.clock() * 1_000),
        )
        message = session.wire.codec.reply(Reply(command.id, connect=result))
        session.admit((message,), beginnings)
    except BaseException:
        services.accounts.discard(session)
        raise
    finally:
        subscriptions.release()


async def _identity(session: Session, token: str) -> ConnectionToken:
    if not token:
        return _NO_TOKEN
    try:
        found = await session.services.tokens.connection(token)
    except AppError as error:
        if error.code == "unauthenticated":
            raise codes.invalid_token() from None
        raise
    if found.expires_at and found.expires_at <= session.services.clock():
        raise codes.token_expired()
    return found


def _asked(session: Session, token: ConnectionToken, own: str) -> dict[str, ServerSubscription]:
    """Raises ReplyError 103: content is never opened by what an application signs."""
    asked = {own: ServerSubscription()} if own else {}
    for name, subscription in token.subs.items():
        if name != own and row_of(session, name).subscribe == "content":
            raise codes.permission_denied()
        asked[name] = subscription
    personal = personal_channel(token.user)
    if personal and session.services.settings.personal_channels:
        asked.setdefault(personal, ServerSubscription())
    return asked


async def _check_own(session: Session, token: ConnectionToken, own: str) -> None:
    services = session.services
    channel = services.hub.find(own)
    assert channel is not None  # pinned
    try:
        await channel.wait_live()
        await services.authorize(token.caller, own)
    except AppError as error:
        raise codes.refused_connection(error) or error from None


async def refresh(session: Session, command: Command) -> None:
    request = command.refresh
    assert request is not None
    services = session.services
    await check_rate(session)
    try:
        token = await services.tokens.connection(request.token)
    except AppError as error:
        if error.retryable:
            raise
        # SDKs give up for good on an error 109 here; after 3005 they reconnect with a new token.
        ended = codes.expired() if error.code == "token_expired" else codes.invalid_token()
        raise ended from None
    if token.expires_at and token.expires_at <= services.clock():
        raise codes.expired()
    if token.user != session.user or token.caller.account_id != session.caller.account_id:
        raise codes.invalid_token()
    if not session.is_open:
        return
    if token.caller.account_id is not None:
        services.accounts.add(session, token.caller)
        if token.caller.session_id != session.caller.session_id:
            session.reauthorize()  # it may have ended before
    ttl = session.identify(token)
    result = RefreshResult(session.client, SERVER_VERSION, expires=ttl > 0, ttl=ttl)
    session.reply(Reply(command.id, refresh=result))
