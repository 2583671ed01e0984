"""One subscription of a connection: what it may do, what it gets, when it ends."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from config.channels import Namespace
from serve_app.gateway.channel import EVERYTHING, Channel, Wants
from serve_app.gateway.client_tokens import Flag, Override
from serve_app.gateway.protocol import Json, SubscribeRequest

FOSSIL: Final = "fossil"
NO_OVERRIDE: Final = Override()


class Terms(NamedTuple):
    """What a subscription gets. `present`: it counts, and is listed where the namespace lists."""

    wants: Wants
    positioned: bool
    recoverable: bool
    present: bool

    @property
    def delta(self) -> bool:
        return Wants.DELTA in self.wants


class Subscription:
    """`may_type` None: not known yet, the grant came from another caller. `info`: encoded JSON of
    its token. `expire_by` in loop time with the grace, 0 for never."""

    __slots__ = ("channel", "expire_by", "info", "may_type", "row", "server_side", "terms")

    def __init__(
        self,
        channel: Channel,
        row: Namespace,
        terms: Terms,
        *,
        may_type: bool | None = None,
        info: bytes = b"",
        server_side: bool = False,
    ) -> None:
        self.channel = channel
        self.row = row
        self.terms = terms
        self.may_type = may_type
        self.info = info
        self.server_side = server_side
        self.expire_by = 0.0

    @property
    def needs_continuity(self) -> bool:
        """A passive one hears of a loss only when its channel is no more."""
        terms = self.terms
        return terms.positioned or terms.recoverable or Wants.PASSIVE in terms.wants


class Beginning(NamedTuple):
    """A subscription that is being admitted. `base`: as of `Admission`."""

    subscription: Subscription
    base: bytes | None = None


def embed(data: bytes) -> Json:
    """Encoded JSON as a member, which is left out where there is none."""
    return msgspec.Raw(data) if data else msgspec.UNSET


class _SubscribeData(msgspec.Struct, frozen=True):
    passive: bool = False


_SUBSCRIBE_DATA: Final = msgspec.json.Decoder(_SubscribeData)


def _asks_to_be_passive(data: bytes) -> bool:
    try:
        return _SUBSCRIBE_DATA.decode(data).passive
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False  # an application's own data, which may be anything


def _says(flag: Flag | None, otherwise: bool) -> bool:
    return otherwise if flag is None else flag.value


def agree(
    row: Namespace,
    request: SubscribeRequest,
    override: Override = NO_OVERRIDE,
    *,
    server_side: bool = False,
) -> Terms:
    """What was asked for, as far as the namespace has it. The server's own subscriptions get all
    the continuity there is, for nobody asks in their name. An override adds what the namespace has
    and the client did not ask for, or takes away; it can't add what the namespace lacks."""
    present = row.presence != "off" and _says(override.presence, True)
    data = bytes(request.data)
    if data and _asks_to_be_passive(data):
        return Terms(Wants.PASSIVE, False, False, present)
    force = server_side or row.force_recovery
    recoverable = row.recovery != "off" and (
        _says(override.force_recovery, force) or request.recoverable or request.recover
    )
    positioned = row.history != "none" and (
        _says(override.force_positioning, force) or request.positioned
    )
    wants = EVERYTHING
    asks_for_visits = request.join_leave or _says(override.force_push_join_leave, False)
    if row.join_leave and asks_for_visits and _says(override.join_leave, True):
        wants |= Wants.JOIN_LEAVE
    if request.delta == FOSSIL and row.delta and (recoverable or positioned) and not server_side:
        wants |= Wants.DELTA
    return Terms(wants, positioned, recoverable, present)
