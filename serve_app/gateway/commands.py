"""What each command does. Handlers answer through their session, or raise what to answer.

Raised: ReplyError and AppError answer the command, Disconnect ends the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from actors.messages import GUEST, Caller, ChannelGrant
from actors.shard_messages import Ephemeral, PresenceReply, Publication, ReadPresence
from config.errors import AppError
from serve_app.gateway import codes
from serve_app.gateway.channel import Channel
from serve_app.gateway.codec_json import single_line
from serve_app.gateway.protocol import (
    REJECT_UNRECOVERED,
    Command,
    ConnectResult,
    Empty,
    HistoryResult,
    PresenceStatsResult,
    PublicationResult,
    RefreshResult,
    Reply,
    SubscribeRequest,
    SubscribeResult,
)
from serve_app.gateway.services import Subscription

if TYPE_CHECKING:
    from serve_app.gateway.session import Session

Handler = Callable[["Session", Command], Awaitable[None]]

SERVER_VERSION: Final = "serai"
NAMESPACES: Final = frozenset({"community", "thread", "user"})
TYPING: Final = {"type": "typing"}
TYPING_SECONDS: Final = 1.0
# How long one caller's public grant lets others in without asking: a community may become private.
PUBLIC_GRANT_SECONDS: Final = 30.0


# ---------------------------------------------------------------- which command it is


def channel_of(command: Command) -> str | None:
    """The channel whose lane the command belongs to, None for those without a channel."""
    request = (
        command.subscribe
        or command.unsubscribe
        or command.publish
        or command.presence_stats
        or command.history
    )
    return None if request is None else request.channel


def of_channel(command: Command) -> Handler:
    """The handler of a command that `channel_of` names a channel for."""
    if command.subscribe is not None:
        return subscribe
    if command.unsubscribe is not None:
        return unsubscribe
    if command.publish is not None:
        return publish
    if command.presence_stats is not None:
        return presence_stats
    return history


def answer_at_once(session: Session, command: Command) -> None:
    if command.ping is not None:
        session.reply(Reply(command.id, ping=Empty()))
    elif command.refresh is not None:
        refresh(session, command)
    elif command.send is not None:
        pass  # has no answer, and nobody here listens to it
    elif command.presence is not None or command.rpc is not None or command.sub_refresh is not None:
        raise codes.not_available()
    else:
        raise codes.malformed()


def namespace_of(session: Session, channel: str) -> str:
    """Refuses names that no channel can have, before anything is looked up."""
    if not channel or len(channel.encode()) > session.services.settings.max_channel_length:
        raise codes.bad_request()
    namespace, _, id = channel.partition(":")
    if namespace not in NAMESPACES:
        raise codes.unknown_channel()
    try:
        canonical = str(UUID(id)) == id
    except ValueError:
        canonical = False
    if not canonical:
        raise codes.unknown_channel()
    return namespace


async def _check_rate(session: Session) -> None:
    if session.services.check_rate is not None:
        await session.services.check_rate(session.caller, session.address)


# ---------------------------------------------------------------- connect, refresh


async def connect(session: Session, command: Command) -> None:
    """With a token the own `user:` channel is subscribed by the server, in the same reply.

    A token proves who signed in, not that the session still lives: Accounts is asked for that. The
    channel is followed before, so that an end after the answer is heard.
    """
    request = command.connect
    assert request is not None
    services = session.services
    caller, expires_at = GUEST, 0.0
    if request.token:
        try:
            caller, expires_at = services.verify_token(request.token)
        except AppError as error:
            if error.code == "token_expired":
                raise codes.token_expired() from None
            raise codes.invalid_token() from None
    if caller.account_id is None:
        _admit_connection(session, command.id, caller, expires_at, {}, {})
        return
    name = f"user:{caller.account_id}"
    channel = services.hub.pin(name)
    services.accounts.add(session, caller)
    try:
        try:
            await channel.wait_live()
            await services.authorize(caller, name)
        except AppError as error:
            raise codes.refused_connection(error) or error from None
        asked = request.subs.get(name, SubscribeRequest())
        result = await _position(session, channel, asked)
        subscription = Subscription(channel, None, server_side=True)
        _admit_connection(
            session, command.id, caller, expires_at, {name: result}, {name: subscription}
        )
    except BaseException:
        services.accounts.discard(session)
        raise
    finally:
        services.hub.unpin(channel)


def _admit_connection(
    session: Session,
    command_id: int,
    caller: Caller,
    expires_at: float,
    results: dict[str, SubscribeResult],
    subscriptions: dict[str, Subscription],
) -> None:
    ttl = session.identify(caller, expires_at)
    result = ConnectResult(
        client=session.client,
        version=SERVER_VERSION,
        expires=ttl > 0,
        ttl=ttl,
        subs=results,
        ping=int(session.services.settings.ping_seconds),
        pong=session.answers_pings,
        session=session.session,
        node=session.services.node(),
    )
    session.admit(Reply(command_id, connect=result), subscriptions)


def refresh(session: Session, command: Command) -> None:
    request = command.refresh
    assert request is not None
    try:
        caller, expires_at = session.services.verify_token(request.token)
    except AppError as error:
        # SDKs give up for good on an error 109 here; after 3005 they reconnect with a new token.
        ended = codes.expired() if error.code == "token_expired" else codes.invalid_token()
        raise ended from None
    if caller.account_id != session.caller.account_id:
        raise codes.invalid_token()
    if caller.account_id is not None:
        session.services.accounts.add(session, caller)
        if caller.session_id != session.caller.session_id:
            session.reauthorize()  # it may have ended before
    ttl = session.identify(caller, expires_at)
    result = RefreshResult(session.client, SERVER_VERSION, expires=ttl > 0, ttl=ttl)
    session.reply(Reply(command.id, refresh=result))


# ---------------------------------------------------------------- subscribe, unsubscribe


async def subscribe(session: Session, command: Command) -> None:
    request = command.subscribe
    assert request is not None
    name = request.channel
    namespace_of(session, name)
    if request.type:
        raise codes.not_available()
    if name in session.subscriptions:
        raise codes.already_subscribed()
    if len(session.subscriptions) >= session.services.settings.max_channels:
        raise codes.limit_exceeded()
    session.subscriptions[name] = None
    hub = session.services.hub
    channel: Channel | None = None
    try:
        await _check_rate(session)
        while True:
            version = session.version
            grant = await _permit(session, name)
            if channel is None:
                channel = hub.pin(name)
            if grant is not None and grant.public:
                channel.public_until = session.services.wheel.now() + PUBLIC_GRANT_SECONDS
            await channel.wait_live()
            result = await _position(session, channel, request)
            if version == session.version:
                break  # else: permissions may have changed since they were asked for
        may_type = None if grant is None else grant.may_publish_typing
        session.admit(Reply(command.id, subscribe=result), {name: Subscription(channel, may_type)})
    finally:
        # A session that ended meanwhile has forgotten its reservations already.
        if name in session.subscriptions and session.subscriptions[name] is None:
            del session.subscriptions[name]
        if channel is not None:
            hub.unpin(channel)


async def _permit(session: Session, name: str) -> ChannelGrant | None:
    """None: everybody may read the channel, without having asked for this caller."""
    channel = session.services.hub.find(name)
    if channel is not None and channel.public_until > session.services.wheel.now():
        return None
    try:
        return await session.services.authorize(session.caller, name)
    except AppError as error:
        if error.code == "invalid":  # no channel can have this name
            raise codes.unknown_channel() from None
        raise


async def _position(
    session: Session, channel: Channel, request: SubscribeRequest
) -> SubscribeResult:
    """The result for a client admitted in this very tick."""
    position = channel.position
    if not request.recover:
        return SubscribeResult(
            recoverable=True, positioned=True, epoch=position.epoch, offset=position.last
        )
    missed = await session.services.catch_up.recover(channel, request.epoch, request.offset)
    if missed is None and request.flag & REJECT_UNRECOVERED:
        raise codes.unrecoverable_position()
    return SubscribeResult(
        recoverable=True,
        positioned=True,
        epoch=position.epoch,
        # SDKs advance from the position they asked for by the publications.
        offset=position.last if missed is None else request.offset,
        publications=[_result(p) for p in missed or ()],
        recovered=missed is not None,
        was_recovering=True,
    )


def _result(publication: Publication) -> PublicationResult:
    data = msgspec.Raw(single_line(publication.data))
    return PublicationResult(data, offset=publication.offset)


async def unsubscribe(session: Session, command: Command) -> None:
    request = command.unsubscribe
    assert request is not None
    session.unsubscribe(request.channel)
    session.reply(Reply(command.id, unsubscribe=Empty()))


# ---------------------------------------------------------------- publish, presence, history


async def publish(session: Session, command: Command) -> None:
    """Only typing indicators, which the server writes anew: a client never speaks as another."""
    request = command.publish
    assert request is not None
    namespace = namespace_of(session, request.channel)
    try:
        data = msgspec.json.decode(bytes(request.data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise codes.bad_request() from None
    caller = session.caller
    if namespace != "thread" or data != TYPING or caller.account_id is None:
        raise codes.permission_denied()
    await _check_rate(session)
    subscription = session.subscriptions.get(request.channel)
    allowed = subscription.may_type if subscription is not None else None
    if allowed is None:
        version = session.version
        grant = await session.services.authorize(caller, request.channel)
        allowed = grant.may_publish_typing
        if subscription is not None and version == session.version:
            subscription.may_type = allowed
    if not allowed:
        raise codes.permission_denied()
    event = {
        "type": "typing",
        "at": _timestamp(session.services.clock()),
        "account_id": str(caller.account_id),
        "handle": caller.handle,
    }
    await session.services.publish_ephemeral(
        [
            Ephemeral(
                request.channel,
                f"typing:{caller.account_id}",
                msgspec.json.encode(event),
                TYPING_SECONDS,
            )
        ]
    )
    session.reply(Reply(command.id, publish=Empty()))


def _timestamp(seconds: float) -> str:
    time = datetime.fromtimestamp(seconds, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _authorize_read(session: Session, name: str) -> None:
    namespace_of(session, name)
    await _check_rate(session)
    if session.subscriptions.get(name) is None:
        await _permit(session, name)


async def presence_stats(session: Session, command: Command) -> None:
    request = command.presence_stats
    assert request is not None
    await _authorize_read(session, request.channel)
    reply = await session.services.links.ask(request.channel, ReadPresence(request.channel))
    assert isinstance(reply, PresenceReply)
    result = PresenceStatsResult(reply.clients, reply.users)
    session.reply(Reply(command.id, presence_stats=result))


async def history(session: Session, command: Command) -> None:
    request = command.history
    assert request is not None
    name, since = request.channel, request.since
    await _authorize_read(session, name)
    most = session.services.settings.history_limit
    limit = min(request.limit, most) if request.limit >= 0 else most
    after = since.offset if since is not None else 0
    if request.reverse and since is not None and after <= 1:
        limit = 0  # nothing is older; to the shard 0 would mean "from the top"
    reply = await session.services.links.history(name, after, limit, request.reverse)
    top = reply.top
    epoch, last = (top.epoch, top.offset) if top is not None else ("", 0)
    publications = reply.publications[:limit]
    if since is not None:
        first = publications[0].offset if publications else last + 1
        trimmed = limit > 0 and not request.reverse and first > after + 1
        if since.epoch not in ("", epoch) or after > last or trimmed:
            raise codes.unrecoverable_position()
    result = HistoryResult([_result(p) for p in publications], epoch, last)
    session.reply(Reply(command.id, history=result))
