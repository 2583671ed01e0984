"""subscribe, unsubscribe, sub_refresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from config.errors import AppError
from serve_app.gateway import codes
from serve_app.gateway.channel import Channel
from serve_app.gateway.codes import ReplyError
from serve_app.gateway.commands.continuity import find_start
from serve_app.gateway.commands.rights import (
    PUBLIC_GRANT_SECONDS,
    check_rate,
    check_token,
    is_open,
    permit,
    row_of,
)
from serve_app.gateway.protocol import Command, Empty, Reply, SubRefreshResult, SubscribeRequest
from serve_app.gateway.subscription import NO_OVERRIDE, Beginning, Subscription, agree

if TYPE_CHECKING:
    from serve_app.gateway.session import Session


def is_at_hand(session: Session, request: SubscribeRequest) -> bool:
    """Whether nothing of what a subscription needs must be waited for, as far as can be told: the
    channel is followed and open to everybody, what was missed is remembered here, and the client
    reads what it is told."""
    services, outbox = session.services, session.outbox
    channel = services.hub.find(request.channel)
    return (
        channel is not None
        and channel.live.done()
        and is_open(services, channel)
        and (not request.recover or channel.remembers(request.offset))
        and outbox.has_room(outbox.largest_message)
    )


async def subscribe(session: Session, command: Command) -> None:
    request = command.subscribe
    assert request is not None
    name = request.channel
    row = row_of(session, name)
    if request.type or request.tf is not None:
        raise codes.not_available()  # nobody shall get, unfiltered, what a filter was to keep away
    if name in session.subscriptions:
        raise codes.already_subscribed()
    if len(session.subscriptions) >= session.services.settings.max_channels:
        raise codes.limit_exceeded()
    session.subscriptions[name] = None
    hub = session.services.hub
    channel: Channel | None = None
    waits = False
    try:
        await check_rate(session)
        while True:
            version = session.version, session.services.access.version
            grant, token = await permit(session, name, row, request.token)
            terms = agree(row, request, token.override if token is not None else NO_OVERRIDE)
            if channel is None:
                channel = hub.pin(name)
            if grant is not None:
                channel.community = grant.community
                if grant.public:
                    channel.public_until = session.services.wheel.now() + PUBLIC_GRANT_SECONDS
                    channel.public_version = version[1]
            await channel.wait_live()
            start = await find_start(session, channel, row, terms, request)
            if version != (session.version, session.services.access.version):
                continue  # permissions may have changed since they were asked for
            size = start.size
            if not size or session.outbox.has_room(size):
                break
            del start  # it is read again: many that wait for room must not fill the memory
            if not waits:
                waits = await session.outbox.turn.acquire()
            await session.outbox.wait_room(size)
        subscription = Subscription(
            channel,
            row,
            terms,
            may_type=None if grant is None else grant.may_publish_typing,
            info=token.info if token is not None else b"",
        )
        result = start.result
        if token is not None and token.expires_at:
            ttl = session.expire_subscription(subscription, token.expires_at)
            result = msgspec.structs.replace(result, expires=True, ttl=ttl)
        reply = Reply(command.id, subscribe=result)
        message = session.wire.codec.reply(reply)
        session.admit((message,), {name: Beginning(subscription, start.base)})
    finally:
        if waits:
            session.outbox.turn.release()
        session.give_up_place(name)
        if channel is not None:
            hub.unpin(channel)


async def unsubscribe(session: Session, command: Command) -> None:
    request = command.unsubscribe
    assert request is not None
    session.unsubscribe(request.channel)
    session.reply(Reply(command.id, unsubscribe=Empty()))


async def sub_refresh(session: Session, command: Command) -> None:
    """A token that has expired itself ends the subscription: SDKs would give up for good on the
    error alone, and after the push they subscribe again with a new token."""
    request = command.sub_refresh
    assert request is not None
    name = request.channel
    if row_of(session, name).subscribe == "content":
        raise codes.not_available()
    if not request.token:
        raise codes.bad_request()
    subscription = session.subscriptions.get(name)
    if subscription is None or subscription.server_side:
        raise codes.permission_denied()
    await check_rate(session)
    try:
        token = await check_token(session, name, request.token)
    except (ReplyError, AppError) as error:
        if codes.reply_error(error).code == codes.token_expired().code:
            session.end_subscription(name, subscription, codes.UNSUBSCRIBE_EXPIRED)
        raise
    ttl = session.expire_subscription(subscription, token.expires_at)
    result = SubRefreshResult(expires=ttl > 0, ttl=ttl)
    session.reply(Reply(command.id, sub_refresh=result))
