"""What a route is: one line of the table that decides who may call it and how it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal

import msgspec
from aiohttp import web

from actors.messages import Reply
from config.rate_limits import RouteClass
from serve_app.api.call import B, Call, Q

# open: the token is not looked at, so that an expired one does not stand in the way of a refresh.
# guest: a token is optional, but one that is sent must be good, with one exception: a page that is
# public is the same for everybody, so it is answered from the edge cache without a look at the
# token. Checking the signature there would cost more than the answer itself and protect nothing.
# member: no guests.
# api_key: programs of the operator, by `realtime.api_key`; where none is set the path is 404.
# signed: whoever has the address, which this server has signed and which ends soon.
Access = Literal["open", "guest", "member", "api_key", "signed"]
# Who may be answered from the edge cache: nobody, those without a token, or everyone.
Shared = Literal["never", "guests", "everyone"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Credential = Literal["bearer", "refreshCookie"]


class Nothing(msgspec.Struct, frozen=True):
    """No body, or no query."""


@dataclass(frozen=True, slots=True)
class Route(Generic[B, Q]):
    """`answer` is the type of the answer's body (None: no body), `status` that of a success.

    `login_of` names the account that a log-in is counted against. A `shared` handler must use
    nothing of the call but its path, its query and its caller. `refusals` are the codes of the
    errors that this route alone can answer with; `codes` adds those that come with its kind.
    `credentials` are taken by an open route from where it finds them; none is needed. `takes_file`:
    the handler reads the body itself, up to `media.max_file_bytes` of anything. `streams`: the
    answer comes as server-sent events where the client takes them. `by_rpc`: of those that are no
    GET, this may be called by the realtime protocol too.
    """

    method: Method
    path: str
    handler: Callable[[Call[B, Q]], Awaitable[Reply | web.StreamResponse]]
    summary: str
    access: Access
    rate: RouteClass | None = None
    body: type[B] = Nothing  # type: ignore[assignment]
    body_optional: bool = False
    takes_file: bool = False
    query: type[Q] = Nothing  # type: ignore[assignment]
    answer: Any = None
    status: int = 200
    idempotent: bool = False
    shared: Shared = "never"
    is_personal: Callable[[Q], bool] | None = None
    login_of: Callable[[B], str] | None = None
    tag: str = "server"
    content_type: str = "application/json"
    hidden: bool = False
    streams: bool = False
    by_rpc: bool = False
    refusals: tuple[str, ...] = ()
    credentials: tuple[Credential, ...] = ()

    @property
    def takes_body(self) -> bool:
        return self.body is not Nothing

    @property
    def codes(self) -> frozenset[str]:
        """Of every problem that a well-formed HTTP request to this route can be answered with."""
        codes = {"invalid", "internal", *self.refusals}
        if self.access not in ("open", "signed"):
            codes |= {"unauthenticated", "token_expired"}
        if "{" in self.path:
            codes.add("not_found")
        if self.idempotent:
            codes.add("conflict")
        if self.takes_body:
            codes |= {"too_large", "unsupported_media_type"}
        if self.takes_file:
            codes.add("too_large")
        if self.rate is not None:
            codes |= {"rate_limited", "overloaded", "unavailable"}
        return frozenset(codes)
