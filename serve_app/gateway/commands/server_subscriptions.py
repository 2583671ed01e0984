"""Subscriptions that the server makes: those of a connect, and one at a time later.

SDKs keep them apart from their own: they come in the connect reply or by a push, their positions
are sent with the next connect, and who loses continuity on one must reconnect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from actors.shard_messages import Publication
from config.channels import Namespace
from serve_app.gateway import codes
from serve_app.gateway.channel import Channel
from serve_app.gateway.client_tokens import ServerSubscription
from serve_app.gateway.commands.continuity import Start, find_start
from serve_app.gateway.commands.rights import row_of
from serve_app.gateway.protocol import Push, SubscribePush, SubscribeRequest, SubscribeResult
from serve_app.gateway.subscription import Beginning, Subscription, agree, embed

if TYPE_CHECKING:
    from serve_app.gateway.session import Session


class ServerSubscriptions:
    """Those of one connect, pinned until `release`."""

    def __init__(self, session: Session, asked: Mapping[str, ServerSubscription]) -> None:
        """Raises ReplyError for channels that there can't be, Disconnect when they are too many."""
        if len(asked) > session.services.settings.max_channels:
            raise codes.channel_limit()
        rows = {name: row_of(session, name) for name in asked}
        self._session = session
        self._asked = asked
        self._subscriptions = {
            name: _subscription(session, name, row, asked[name]) for name, row in rows.items()
        }

    async def wait_live(self) -> None:
        """Raises AppError where there is no such channel."""
        for subscription in self._subscriptions.values():
            await subscription.channel.wait_live()

    async def find_starts(
        self, requests: Mapping[str, SubscribeRequest]
    ) -> tuple[dict[str, SubscribeResult], dict[str, Beginning]]:
        """All of them as of this very tick: admit before awaiting anything."""
        starts: dict[str, tuple[tuple[str, int, int], Start]] = {}
        moved = True
        while moved:
            moved = False
            for name, subscription in self._subscriptions.items():
                mark = _mark(subscription.channel)
                if name in starts and starts[name][0] == mark:
                    continue
                # Finding this one may have taken long enough for another one to move.
                moved = True
                request = requests.get(name, SubscribeRequest())
                if request.flag:
                    # An error for one of them would be the answer to the whole connect.
                    request = msgspec.structs.replace(request, flag=0)
                start = await _start(self._session, subscription, request)
                starts[name] = _mark(subscription.channel), start
        room = self._session.services.settings.recovery_bytes
        results = {}
        for name, (_, start) in starts.items():
            size = sum(len(p.data) for p in start.result.publications)
            fields: dict[str, Any] = {"data": embed(self._asked[name].data)}
            if size > room:
                # Recovered one by one they fit; all in one reply they would end the connection as
                # a slow one, and the next one too.
                last = self._subscriptions[name].channel.position.last
                fields |= {"recovered": False, "publications": [], "offset": last}
            else:
                room -= size
            results[name] = msgspec.structs.replace(start.result, **fields)
        beginnings = {
            name: Beginning(subscription) for name, subscription in self._subscriptions.items()
        }
        return results, beginnings

    def release(self) -> None:
        for subscription in self._subscriptions.values():
            self._session.services.hub.unpin(subscription.channel)


async def subscribe(
    session: Session,
    name: str,
    asked: ServerSubscription,
    since: tuple[str, int] | None,
    expire_at: float,
) -> None:
    """Subscribes a connected session by a push, which publications follow that were missed `since`
    (epoch, offset). Nothing where it is subscribed already, by whomever, or gone.

    Raises ReplyError 102 or 107 for channels that there can't be, AppError while the shard is away,
    Disconnect 3505 (which has happened then) beyond the limit of channels."""
    row = row_of(session, name)
    if not session.is_connected or name in session.subscriptions:
        return
    if len(session.subscriptions) >= session.services.settings.max_channels:
        end = codes.channel_limit()
        session.close(end)
        raise end
    session.subscriptions[name] = None
    subscription = _subscription(session, name, row, asked)
    try:
        await subscription.channel.wait_live()
        request = SubscribeRequest()
        if since is not None:
            request = SubscribeRequest(recover=True, epoch=since[0], offset=since[1])
        result = (await _start(session, subscription, request)).result
        if not session.is_open:
            return
        if expire_at:
            session.expire_subscription(subscription, expire_at)
        session.admit(_pushes(session, name, asked, result), {name: Beginning(subscription)})
    finally:
        session.give_up_place(name)
        session.services.hub.unpin(subscription.channel)


def _subscription(
    session: Session, name: str, row: Namespace, asked: ServerSubscription
) -> Subscription:
    """Its channel is pinned."""
    terms = agree(row, SubscribeRequest(), asked.override, server_side=True)
    channel = session.services.hub.pin(name)
    return Subscription(channel, row, terms, info=asked.info, server_side=True)


async def _start(session: Session, subscription: Subscription, request: SubscribeRequest) -> Start:
    return await find_start(
        session, subscription.channel, subscription.row, subscription.terms, request
    )


def _mark(channel: Channel) -> tuple[str, int, int]:
    return channel.position.epoch, channel.position.last, channel.purges


def _pushes(
    session: Session, name: str, asked: ServerSubscription, result: SubscribeResult
) -> list[bytes]:
    codec = session.wire.codec
    push = SubscribePush(
        recoverable=result.recoverable,
        epoch=result.epoch,
        offset=result.offset,
        positioned=result.positioned,
        data=embed(asked.data),
    )
    missed = (
        Publication(
            name,
            p.offset,
            bytes(p.data),
            info=msgspec.json.encode(p.info) if p.info is not None else b"",
            tags=p.tags or None,
            time_ms=p.time,
        )
        for p in result.publications
    )
    return [codec.push(Push(name, subscribe=push)), *(codec.publication(name, p) for p in missed)]
