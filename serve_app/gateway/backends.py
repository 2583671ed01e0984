"""What the HTTP side asks of the rest of the server; the composition root passes it in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

from aiohttp import web

from actors.assistant_messages import AnswerEvent, AskQuestion, AssistantRequest
from actors.messages import (
    Caller,
    Reply,
    ThreadRead,
    ThreadWrite,
)
from actors.people_messages import PeopleRead, PeopleWrite
from actors.public_messages import PublicRead
from actors.search_messages import SearchRequest
from config.rate_limits import RouteClass
from serve_app.gateway.leased_bucket import Verdict

# (channel, offset); offset 0: an ephemeral event, which changes no page.
OnEvent = Callable[[str, int], None]
# Checks an access token without any call: (who it names, when it expires in Unix seconds).
# Raises AppError `token_expired` or `unauthenticated`.
VerifyToken = Callable[[str], tuple[Caller, float]]


class Backends(Protocol):
    """One call a request; raises AppError. A cancelled caller drops only its own item."""

    async def thread_write(self, request: ThreadWrite) -> Reply: ...
    async def thread_read(self, request: ThreadRead) -> Reply: ...
    async def feed(self, request: PublicRead) -> Reply: ...
    async def accounts_read(self, request: PeopleRead) -> Reply: ...
    async def accounts_write(self, request: PeopleWrite) -> Reply: ...
    async def search(self, request: SearchRequest) -> Reply: ...
    async def assistant(self, request: AssistantRequest) -> Reply: ...

    def ask(self, request: AskQuestion) -> AsyncGenerator[AnswerEvent, None]:
        """The answer as it is made; closing it ends the work."""


class ChannelEvents(Protocol):
    """Calls back in the tick of each publication of a followed channel.

    Also with the top position each time it had to be asked for, so that what was published before
    the channel was attached, or while it was lost, is not missed.
    """

    def follow(self, channel: str, on_event: OnEvent) -> None: ...
    def unfollow(self, channel: str, on_event: OnEvent) -> None: ...


class Realtime(ChannelEvents, Protocol):
    @property
    def is_connected(self) -> bool:
        """Every shard answers."""

    def handle_websocket(self, request: web.Request) -> Awaitable[web.StreamResponse]: ...
    def handle_uni_websocket(self, request: web.Request) -> Awaitable[web.StreamResponse]: ...
    async def handle_stream(
        self, name: str, request: web.Request, complete: Callable[[web.StreamResponse], None]
    ) -> web.StreamResponse: ...
    async def handle_emulation(self, request: web.Request) -> web.StreamResponse: ...


class Limiter(Protocol):
    """`check_nowait` answers None where only a call can tell."""

    def check_nowait(
        self, route_class: RouteClass, account_id: str | None, address: str
    ) -> Verdict | None: ...
    async def check(
        self, route_class: RouteClass, account_id: str | None, address: str
    ) -> Verdict: ...
