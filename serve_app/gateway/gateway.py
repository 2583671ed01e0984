"""One gateway: HTTP and WebSocket on one port, put together from its parts.

It needs no Ray: what it calls are senders of bytes and a shard call, so tests run it in process.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol, TypeVar

import msgspec

from actors.account_messages import AccountsRequest, AuthorizeChannel, ChannelGrant, Login, Register
from actors.assistant_messages import AnswerEvent, AskQuestion, AssistantRequest
from actors.group_messages import CreateGroup
from actors.media.messages import MediaWrite
from actors.member_messages import CreateDraft
from actors.messages import (
    Caller,
    CastVote,
    CreateComment,
    CreatePost,
    Reply,
    ThreadRead,
    ThreadRequest,
    ThreadWrite,
)
from actors.people_messages import PeopleRead, PeopleRequest, PeopleWrite
from actors.public_messages import PublicRead
from actors.rate_limit import Lease, LeaseRequest
from actors.search_messages import SearchRequest, takes_a_model
from actors.shard_messages import ShardReply, ShardRequest
from actors.visa_messages import CreateTimeline
from config.errors import AppError
from config.rate_limits import RouteClass
from config.settings import Settings
from serve_app.api.routing import ROUTES, SERVICES
from serve_app.assistant_client import AssistantClient
from serve_app.batched_handle import BatchedHandle, Send, encode
from serve_app.gateway.addresses import ClientAddresses
from serve_app.gateway.rate_limiter import RateLimiter
from serve_app.gateway.realtime import Realtime
from serve_app.gateway.rpc import Rpc
from serve_app.gateway.server import GatewayServer, build_app
from serve_app.gateway.verified_tokens import VerifiedTokens
from storage.objects import Objects

_LINGER_SECONDS: Final = 0.5
_READS_WAIT_SECONDS: Final = 2.0
_WRITES_WAIT_SECONDS: Final = 5.0
_SEARCH_SECONDS: Final = 10.0

_decode_leases: Final = msgspec.msgpack.Decoder(list[Lease]).decode
_decode_grant: Final = msgspec.msgpack.Decoder(ChannelGrant).decode


class Shards(Protocol):
    async def call(self, index: int, request: ShardRequest) -> ShardReply: ...


Keyed = TypeVar(
    "Keyed", bound=CreatePost | CreateComment | CreateDraft | CreateGroup | CreateTimeline
)


class HandleBackends:
    """`Backends` over batched handles. A batch answers when its slowest member does, so what
    differs in time has lanes of its own: new content and votes (one transaction a batch), single
    edits, reads, what waits for a model, and the hashing of passwords. Registration is never sent
    twice. A lane whose first in the queue has waited too long takes no more."""

    def __init__(
        self,
        thread: Send,
        feed: Send,
        accounts: Send,
        search: Send,
        assistant: AssistantClient | None = None,
    ) -> None:
        self._assistant = assistant
        self._writes: BatchedHandle[ThreadRequest] = BatchedHandle(
            "thread", thread, in_flight=2, max_wait_seconds=_WRITES_WAIT_SECONDS
        )
        self._edits: BatchedHandle[ThreadRequest] = BatchedHandle(
            "thread", thread, in_flight=8, max_batch=4, max_wait_seconds=_WRITES_WAIT_SECONDS
        )
        self._reads: BatchedHandle[ThreadRequest] = BatchedHandle(
            "thread", thread, in_flight=4, max_batch=64, max_wait_seconds=_READS_WAIT_SECONDS
        )
        self._feed: BatchedHandle[PublicRead] = BatchedHandle(
            "feed", feed, in_flight=2, max_wait_seconds=_READS_WAIT_SECONDS
        )
        self._people: BatchedHandle[PeopleRequest] = BatchedHandle(
            "accounts", accounts, in_flight=2, max_wait_seconds=_WRITES_WAIT_SECONDS
        )
        # Hashing a password takes a hundred times longer than all else that Accounts does.
        self._signing: BatchedHandle[AccountsRequest] = BatchedHandle(
            "accounts", accounts, in_flight=8, max_batch=4, max_queued=500
        )
        # Completing asks the object store, which is another machine.
        self._media: BatchedHandle[MediaWrite] = BatchedHandle(
            "accounts", accounts, in_flight=4, max_batch=16, max_wait_seconds=_WRITES_WAIT_SECONDS
        )
        self._register: BatchedHandle[AccountsRequest] = BatchedHandle(
            "accounts", accounts, in_flight=8, max_batch=4, max_queued=500, resend=False
        )
        self._search: BatchedHandle[SearchRequest] = BatchedHandle(
            "search", search, in_flight=4, max_batch=16, max_wait_seconds=_READS_WAIT_SECONDS
        )
        self._models: BatchedHandle[SearchRequest] = BatchedHandle(
            "search", search, in_flight=4, max_batch=4, max_wait_seconds=_READS_WAIT_SECONDS
        )

    async def thread_write(self, request: ThreadWrite) -> Reply:
        if isinstance(request, CreatePost | CreateComment):
            request = _with_key(request)
        together = isinstance(request, CreatePost | CreateComment | CastVote)
        return await (self._writes if together else self._edits).call(request)

    async def thread_read(self, request: ThreadRead) -> Reply:
        return await self._reads.call(request)

    async def feed(self, request: PublicRead) -> Reply:
        return await self._feed.call(request)

    async def accounts_read(self, request: PeopleRead) -> Reply:
        return await self._people.call(request)

    async def accounts_write(self, request: PeopleWrite) -> Reply:
        if isinstance(request, Register):
            return await self._register.call(request)
        if isinstance(request, Login):
            return await self._signing.call(request)
        if isinstance(request, MediaWrite):
            return await self._media.call(request)
        if isinstance(request, CreateDraft | CreateGroup | CreateTimeline):
            request = _with_key(request)
        return await self._people.call(request)

    async def search(self, request: SearchRequest) -> Reply:
        lane = self._models if takes_a_model(request) else self._search
        return await lane.call(request, _SEARCH_SECONDS)

    async def assistant(self, request: AssistantRequest) -> Reply:
        return await self._present_assistant().call(request)

    async def ask(self, request: AskQuestion) -> AsyncGenerator[AnswerEvent, None]:
        async with aclosing(self._present_assistant().ask(request)) as events:
            async for event in events:
                yield event

    def _present_assistant(self) -> AssistantClient:
        if self._assistant is None:
            raise AppError("unavailable", "This server has no assistant.")
        return self._assistant


def _with_key(request: Keyed) -> Keyed:
    """A batch whose replica died is sent again; only a key keeps that from creating twice."""
    if request.key is not None:
        return request
    return msgspec.structs.replace(request, key=f"gateway-{uuid.uuid4().hex}")


class Gateway:
    def __init__(
        self,
        settings: Settings,
        *,
        gateway_id: str,
        thread: Send,
        feed: Send,
        accounts: Send,
        search: Send,
        rate_limit: Send,
        shards: Shards,
        assistant: AssistantClient | None = None,
        objects: Objects | None = None,
        advertised_host: str = "",
    ) -> None:
        self._settings = settings
        backends = HandleBackends(thread, feed, accounts, search, assistant)

        tokens = VerifiedTokens(settings.auth.secret)
        verify_token = tokens.verify

        async def take(requests: list[LeaseRequest]) -> list[Lease]:
            return _decode_leases(await rate_limit(encode(requests)))

        async def authorize(caller: Caller, channel: str) -> ChannelGrant:
            reply = await backends.accounts_read(AuthorizeChannel(caller, channel))
            return _decode_grant(reply.body)

        self._limiter = limiter = RateLimiter(
            take, settings.rate_limit, expected_gateways=settings.deployments.gateway.replicas
        )

        async def charge(kind: RouteClass, account: str | None, address: str) -> None:
            verdict = await limiter.check(kind, account, address)
            if not verdict.allowed:
                raise AppError("rate_limited", retry_after_seconds=verdict.retry_after_seconds)

        async def check_rate(caller: Caller, address: str) -> None:
            account = str(caller.account_id) if caller.account_id else None
            await charge("subscribe", account, address)

        async def check_frame(address: str) -> None:
            await charge("emulation", None, address)

        async def rpc(caller: Caller, address: str, method: str, params: bytes) -> bytes:
            return await self._rpc.call(caller, address, method, params)

        self._realtime = Realtime(
            settings,
            shards.call,
            settings.shards.count,
            authorize,
            verify_token,
            gateway_id,
            check_rate,
            check_frame=check_frame,
            rpc=rpc,
            node=lambda: self._server.private_address,
            address_of=ClientAddresses(settings.gateway.trusted_proxies).client_address,
        )
        server_api = self._realtime.server_api
        app = build_app(
            settings,
            backends,
            self._realtime,
            limiter,
            verify_token,
            server_api=server_api.call if server_api is not None else None,
            objects=objects,
        )
        self._rpc = Rpc(ROUTES, app[SERVICES])
        self._server = GatewayServer(app, settings, advertised_host=advertised_host)

    async def start(self) -> None:
        await self._realtime.start()
        await self._server.start()

    @property
    def sockets(self) -> int:
        return self._realtime.statistics()["sockets"]

    async def stop(self) -> None:
        """Closes sockets in slices, so that clients come back elsewhere, then the ports."""
        seconds = self._settings.gateway.drain_seconds
        await self._server.stop_listening()
        await self._realtime.drain(seconds)
        if self._server.has_connections:
            # Callers that send one request after the other hear in its answer that they shall
            # connect anew; one that is cut between two requests can't know whether the last came.
            await asyncio.sleep(min(seconds, _LINGER_SECONDS))
        await self._server.stop()
        await self._realtime.stop()
        await self._limiter.close()
