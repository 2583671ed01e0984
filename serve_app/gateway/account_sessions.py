"""Connections by account, and what their `user:` streams tell the server itself about them.

The channel is followed for as long as a connection of the account lives, whatever the clients
subscribe to: who unsubscribes from it escapes neither a ban nor a log-out.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from actors.messages import Caller
from actors.shard_messages import Publication
from serve_app.gateway import codes
from serve_app.gateway.channel import Channel
from serve_app.gateway.channel_hub import ChannelHub

if TYPE_CHECKING:
    from serve_app.gateway.session import Session

log = logging.getLogger(__name__)


class _UserEvent(msgspec.Struct, frozen=True):
    """What the server itself reads of a user stream's events."""

    type: str = ""
    session_id: UUID | None = None


_USER_EVENT: Final = msgspec.json.Decoder(_UserEvent)


class AccountSessions:
    """The watcher of all `user:` channels of this gateway."""

    def __init__(self, hub: ChannelHub) -> None:
        self._hub = hub
        # Account -> connection -> the session of its newest token.
        self._connections: dict[UUID, dict[Session, UUID | None]] = {}
        self._account_of: dict[Session, UUID] = {}

    def add(self, session: Session, caller: Caller) -> Channel:
        """The account's channel, followed at least until `discard`; again with a new token."""
        account_id = caller.account_id
        assert account_id is not None
        if self._account_of.get(session, account_id) != account_id:
            self.discard(session)
        self._account_of[session] = account_id
        self._connections.setdefault(account_id, {})[session] = caller.session_id
        return self._hub.watch(f"user:{account_id}", self)

    def discard(self, session: Session) -> None:
        account_id = self._account_of.pop(session, None)
        if account_id is None:
            return
        connections = self._connections[account_id]
        del connections[session]
        if not connections:
            del self._connections[account_id]
            self._hub.unwatch(f"user:{account_id}")

    # ------------------------------------------------------------ what the hub tells

    def on_publication(self, channel: Channel, publication: Publication) -> None:
        try:
            event = _USER_EVENT.decode(publication.data)
        except msgspec.MsgspecError:
            log.warning("an event of %s can't be read", channel.name)
            return
        if event.type == "membership.changed":
            for session, _ in self._of(channel):
                session.reauthorize()
        elif event.type == "session.ended":
            self._hub.flush(channel)
            for session, session_id in self._of(channel):
                if event.session_id in (None, session_id):
                    session.close(codes.session_ended())

    def on_loss(self, channel: Channel) -> None:
        """An end or a ban may have been among what was lost: connecting anew asks."""
        for session, _ in self._of(channel):
            session.close(codes.insufficient_state())

    def _of(self, channel: Channel) -> list[tuple[Session, UUID | None]]:
        account_id = UUID(channel.name.partition(":")[2])
        return list(self._connections.get(account_id, {}).items())
