"""publish: typing indicators, and whatever an operator's namespace lets clients say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.shard_messages import Ephemeral, PublishToChannel
from config.channels import Namespace
from serve_app.gateway import codes
from serve_app.gateway.commands.rights import check_rate, permit, row_of
from serve_app.gateway.protocol import Command, Empty, Reply

if TYPE_CHECKING:
    from serve_app.gateway.session import Session

TYPING: Final = {"type": "typing"}
TYPING_SECONDS: Final = 1.0
"""Of the indicators of one member within this time the newest is sent."""
TYPING_EXPIRES_SECONDS: Final = 6
"""An indicator ends so long after its arrival, unless another one comes: an end that is said can be
lost, and so can who typed. Clients say it anew every few seconds."""


async def publish(session: Session, command: Command) -> None:
    request = command.publish
    assert request is not None
    name = request.channel
    row = row_of(session, name)
    if len(request.data) > session.services.settings.max_message_bytes:
        raise codes.limit_exceeded()
    data = bytes(request.data)
    try:
        content = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise codes.bad_request() from None
    if row.publish == "nobody":
        raise codes.permission_denied()
    if row.publish == "typing":
        await _publish_typing(session, name, content)
    else:
        await _publish_data(session, name, row, data)
    session.reply(Reply(command.id, publish=Empty()))


async def _publish_data(session: Session, name: str, row: Namespace, data: bytes) -> None:
    """Returns once the shard has it."""
    await check_rate(session)
    subscription = session.subscriptions.get(name)
    if subscription is None:
        if row.publish == "subscribers":
            raise codes.permission_denied()
        await permit(session, name, row)
    info = session.client_info(b"" if subscription is None else subscription.info)
    await session.services.links.publish(PublishToChannel(name, data, info=info))


async def _publish_typing(session: Session, name: str, content: Any) -> None:
    """The server writes the event anew: a client never speaks as another."""
    caller = session.caller
    if content != TYPING or caller.account_id is None:
        raise codes.permission_denied()
    await check_rate(session)
    subscription = session.subscriptions.get(name)
    allowed = subscription.may_type if subscription is not None else None
    if allowed is None:
        version = session.version
        grant = await session.services.authorize(caller, name)
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
        "expires_in": TYPING_EXPIRES_SECONDS,
    }
    key = f"typing:{caller.account_id}"
    await session.services.publish_ephemeral(
        [Ephemeral(name, key, msgspec.json.encode(event), TYPING_SECONDS)]
    )


def _timestamp(seconds: float) -> str:
    time = datetime.fromtimestamp(seconds, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
