"""What clients of one-way transports say: `POST /emulation`, at any gateway.

The request names a session, by an id that only its client knows, and the gateway that holds it. A
gateway that does not hold it passes it on, once, to the one that is named.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec
from aiohttp import hdrs, web

from config.errors import AppError
from serve_app.gateway import codes
from serve_app.gateway.codec_protobuf import decode_emulation
from serve_app.gateway.codes import Disconnect
from serve_app.gateway.peers import FORWARD_SECONDS, SIGNATURE, Peers
from serve_app.gateway.protocol import Outlet, Wire
from serve_app.gateway.services import Services
from serve_app.gateway.transports.http_stream import PROTOBUF_TYPE
from serve_app.gateway.transports.stream import StreamSession, read_body

log = logging.getLogger(__name__)

PATH: Final = "/emulation"
_SESSION_BYTES: Final = 16
# A client that has more than this on the way sends faster than its commands are carried out.
FRAMES_WAITING: Final = 128
# Of one session's frames for another gateway: as many as a browser sends beside each other.
FORWARDS_WAITING: Final = 128
# The frame is a JSON string, in which a letter of two bytes may be written with six.
_ESCAPES: Final = 3
_ENVELOPE_BYTES: Final = 1_024


class _JsonRequest(msgspec.Struct, frozen=True):
    session: str
    data: str
    node: str = ""


class _Asked(NamedTuple):
    node: str
    session: str
    frame: bytes


Charge = Callable[[web.Request], Awaitable[None]]

_decode_json: Final = msgspec.json.Decoder(_JsonRequest).decode


class EmulatedSession(StreamSession):
    """Frames come in requests of their own, which wait for nothing: a task of the session's lanes
    takes them in, one after the other as they came."""

    __slots__ = ("_frames", "_frames_bytes", "_taking", "emulation")

    def __init__(
        self, emulation: Emulation, services: Services, outlet: Outlet, wire: Wire, address: str
    ) -> None:
        super().__init__(services, outlet, wire, address)
        self.session = secrets.token_hex(_SESSION_BYTES)
        self.emulation = emulation
        self._frames: deque[bytes] = deque()
        self._frames_bytes = 0
        self._taking = False

    async def receive(self, frame: bytes) -> None:
        """Returns once the frame has its place behind the earlier ones; at the end of the session
        those that wait are dropped. Raises AppError `rate_limited` where there is no room."""
        if not self.is_open:
            return
        size = self._frames_bytes + len(frame)
        too_much = self._frames and size > self.services.settings.max_queue_bytes
        if too_much or len(self._frames) >= FRAMES_WAITING:
            raise AppError("rate_limited", "Too many requests of this session are under way.")
        self._frames.append(frame)
        self._frames_bytes = size
        if not self._taking:
            self._taking = True
            self.lanes.spawn(self._take_frames())

    async def _take_frames(self) -> None:
        try:
            while self._frames and self.is_open:
                # It stays in the queue, and is counted, until it is taken in.
                await super().receive(self._frames[0])
                self._frames_bytes -= len(self._frames.popleft())
                await asyncio.sleep(0)  # others go on between two frames
        except Exception:
            log.exception("a frame of an emulated session failed")
            self.close(codes.server_error())
        finally:
            self._taking = False

    def close(self, end: Disconnect) -> None:
        self.emulation.discard(self)
        super().close(end)

    def end(self) -> None:
        self.emulation.discard(self)
        super().end()


class _Turns:
    __slots__ = ("lock", "waiting")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0


class _Forwards:
    """Frames of one session for another gateway go there one by one, as they came: they keep their
    order, and a client takes one connection between two gateways at most."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turns] = {}

    @asynccontextmanager
    async def turn(self, session: str) -> AsyncIterator[None]:
        """Raises AppError before anything is sent: `rate_limited` where too many wait, or
        `unavailable` where the earlier ones take too long."""
        turns = self._turns.setdefault(session, _Turns())
        if turns.waiting >= FORWARDS_WAITING:
            raise AppError("rate_limited", "Too many requests of this session are under way.")
        turns.waiting += 1
        try:
            try:
                async with asyncio.timeout(FORWARD_SECONDS):
                    await turns.lock.acquire()
            except TimeoutError:
                raise AppError("unavailable", "That gateway does not answer.") from None
            try:
                yield
            finally:
                turns.lock.release()
        finally:
            turns.waiting -= 1
            if not turns.waiting:
                del self._turns[session]


class Emulation:
    """The emulated sessions of one gateway. `charge` raises AppError `rate_limited` where the
    address of a request has made too many of them."""

    def __init__(
        self, peers: Peers, charge: Charge, max_message_bytes: int, seconds: float
    ) -> None:
        self._peers = peers
        self._charge = charge
        self._max_message_bytes = max_message_bytes
        self._seconds = seconds
        # By a digest: how long a look-up takes tells nothing about the ids that there are.
        self._sessions: dict[bytes, EmulatedSession] = {}
        self._forwards = _Forwards()

    def session(
        self, services: Services, outlet: Outlet, wire: Wire, address: str
    ) -> EmulatedSession:
        made = EmulatedSession(self, services, outlet, wire, address)
        self._sessions[_digest(made.session)] = made
        return made

    def discard(self, session: EmulatedSession) -> None:
        self._sessions.pop(_digest(session.session), None)

    async def handle(self, request: web.Request) -> web.Response:
        """204 once the frame has its place in the session's queue. Raises AppError: `not_found` for
        sessions that neither this gateway nor the one that is named holds. What another gateway
        passes on has been charged there."""
        signature = request.headers.get(SIGNATURE)
        if signature is None:
            await self._charge(request)
        most = _ESCAPES * self._max_message_bytes + _ENVELOPE_BYTES
        body = await read_body(request, most, self._seconds)
        if signature is not None and not self._peers.sent(signature, body):
            await self._charge(request)
            raise AppError("not_found", "No such path.")
        kind = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
        asked = _decode(body, is_protobuf=kind == PROTOBUF_TYPE)
        if len(asked.frame) > self._max_message_bytes:
            raise AppError("too_large", f"At most {self._max_message_bytes} bytes a frame.")
        session = self._sessions.get(_digest(asked.session))
        if session is not None:
            await session.receive(asked.frame)
            return web.Response(status=204)
        owner = self._peers.address_of(asked.node) if signature is None else None
        if owner is None:
            raise AppError("not_found", "No such session.")
        async with self._forwards.turn(asked.session):
            await self._peers.forward(owner, PATH, body, kind or "application/json")
        return web.Response(status=204)


def _decode(body: bytes, *, is_protobuf: bool) -> _Asked:
    try:
        if is_protobuf:
            sent = decode_emulation(body)
            return _Asked(sent.node, sent.session, bytes(sent.data))
        asked = _decode_json(body)
        return _Asked(asked.node, asked.session, asked.data.encode())
    except (msgspec.MsgspecError, ValueError, RecursionError, Disconnect):
        raise AppError("invalid", "This is no emulation request.") from None


def _digest(session: str) -> bytes:
    return sha256(session.encode(errors="replace")).digest()
