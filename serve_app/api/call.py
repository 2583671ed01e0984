"""One request on its way through a handler: who asks, what came in, what to add to the answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from actors.messages import GUEST, Caller
from config.errors import AppError
from config.settings import Settings
from serve_app.api.at_position import AtPosition
from serve_app.api.headers import SharedHeaders
from serve_app.gateway.addresses import ClientAddresses
from serve_app.gateway.backends import Backends, Limiter, Realtime, VerifyToken
from serve_app.gateway.edge_cache import EdgeCache

if TYPE_CHECKING:
    from storage.objects import Objects

CallServerApi = Callable[[str, bytes], Awaitable[bytes]]
"""(method, body) -> answer of the server API, both JSON."""

B = TypeVar("B")
Q = TypeVar("Q")


@dataclass(frozen=True, slots=True)
class Services:
    """What the HTTP side of one gateway works with."""

    settings: Settings
    backends: Backends
    realtime: Realtime
    rate_limiter: Limiter
    verify_token: VerifyToken
    edge_cache: EdgeCache
    addresses: ClientAddresses
    headers: SharedHeaders
    server_api: CallServerApi | None = None
    objects: Objects | None = None


@dataclass(slots=True)
class Call(Generic[B, Q]):
    """`http` is None for a call that came by the realtime protocol, `values` are what the path's
    templates stand for, `key` is the Idempotency-Key, `position` that of the session's last write
    (0: none known), `headers` are added to the answer, failures included."""

    services: Services
    http: web.Request | None
    values: Mapping[str, str]
    request_id: str
    address: str
    body: B
    query: Q
    caller: Caller = GUEST
    key: str | None = None
    position: int = 0
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    received_ns: int = field(default_factory=time.time_ns)

    @property
    def request(self) -> web.Request:
        assert self.http is not None, "only pages of the API are answered without a request"
        return self.http

    @property
    def backends(self) -> Backends:
        """Their reads show all that was committed up to `position`, and the newest change of access
        that the gateway has heard of."""
        backends = self.services.backends
        position = max(self.position, self.services.edge_cache.least_position)
        return AtPosition(backends, position) if position else backends

    def uuid(self, name: str) -> UUID:
        """The id in the path. What is no id names nothing: AppError `not_found`."""
        try:
            return msgspec.convert(self.values[name], UUID)
        except msgspec.ValidationError:
            raise AppError("not_found") from None

    def text(self, name: str) -> str:
        """A slug or an id in the path."""
        text = self.values[name]
        if not (text.isascii() and text.replace("-", "").isalnum() and len(text) <= 100):
            raise AppError("not_found")
        return text.lower()
