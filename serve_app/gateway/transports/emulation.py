"""What clients of one-way transports say: `POST /emulation`, at any gateway.

The request names a session, by an id that only its client knows, and the gateway that holds it. A
gateway that does not hold it passes it on, once, to the one that is named.
"""

from __future__ import annotations

import asyncio
import secrets
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec
from aiohttp import hdrs, web

from config.errors import AppError
from serve_app.gateway.codec_protobuf import decode_emulation
from serve_app.gateway.codes import Disconnect
from serve_app.gateway.peers import SIGNATURE, Peers
from serve_app.gateway.protocol import Outlet, Wire
from serve_app.gateway.services import Services
from serve_app.gateway.transports.http_stream import PROTOBUF_TYPE
from serve_app.gateway.transports.stream import StreamSession, read_body

PATH: Final = "/emulation"
_SESSION_BYTES: Final = 16
# A client that has more than this on the way sends faster than its commands are carried out.
FRAMES_WAITING: Final = 128
_TURN_SECONDS: Final = 4.0
# The frame is a JSON string, in which each quote and backslash takes two bytes.
_ESCAPES: Final = 2
_ENVELOPE_BYTES: Final = 1_024


class _JsonRequest(msgspec.Struct, frozen=True):
    session: str
    data: str
    node: str = ""


class _Asked(NamedTuple):
    node: str
    session: str
    frame: bytes


_decode_json: Final = msgspec.json.Decoder(_JsonRequest).decode


class EmulatedSession(StreamSession):
    """Frames come in requests of their own, and are taken in one after the other as they came."""

    __slots__ = ("_turn", "_waiting", "emulation")

    def __init__(
        self, emulation: Emulation, services: Services, outlet: Outlet, wire: Wire, address: str
    ) -> None:
        super().__init__(services, outlet, wire, address)
        self.session = secrets.token_hex(_SESSION_BYTES)
        self.emulation = emulation
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def receive(self, frame: bytes) -> None:
        """Raises AppError where too many frames wait, or one waits too long."""
        if self._waiting >= FRAMES_WAITING:
            raise AppError("rate_limited", "Too many requests of this session are under way.")
        self._waiting += 1
        try:
            try:
                async with asyncio.timeout(_TURN_SECONDS):
                    await self._turn.acquire()
            except TimeoutError:
                raise AppError("overloaded", "Earlier requests are not carried out yet.") from None
            try:
                await super().receive(frame)
            finally:
                self._turn.release()
        finally:
            self._waiting -= 1

    def close(self, end: Disconnect) -> None:
        self.emulation.discard(self)
        super().close(end)

    def end(self) -> None:
        self.emulation.discard(self)
        super().end()


class Emulation:
    """The emulated sessions of one gateway."""

    def __init__(self, peers: Peers, max_message_bytes: int, seconds: float) -> None:
        self._peers = peers
        self._max_message_bytes = max_message_bytes
        self._seconds = seconds
        # By a digest: how long a look-up takes tells nothing about the ids that there are.
        self._sessions: dict[bytes, EmulatedSession] = {}

    def session(
        self, services: Services, outlet: Outlet, wire: Wire, address: str
    ) -> EmulatedSession:
        made = EmulatedSession(self, services, outlet, wire, address)
        self._sessions[_digest(made.session)] = made
        return made

    def discard(self, session: EmulatedSession) -> None:
        self._sessions.pop(_digest(session.session), None)

    async def handle(self, request: web.Request) -> web.Response:
        """204 once the frame is taken in. Raises AppError: `not_found` for sessions that neither
        this gateway nor the one that is named holds."""
        most = _ESCAPES * self._max_message_bytes + _ENVELOPE_BYTES
        body = await read_body(request, most, self._seconds)
        signature = request.headers.get(SIGNATURE)
        if signature is not None and not self._peers.sent(signature, body):
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
