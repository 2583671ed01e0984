"""Calls between the server's own processes: frames over one TCP connection each pair of them.

Ray and Serve place processes, watch them, replace them and say where each listens; what passes
between them hundreds of times a second goes straight, because a Serve call costs milliseconds of
two processes whatever it carries (docs/adr/0026). Both ends prove that they hold the server's
secret before the first frame; like Ray's own traffic, frames are not encrypted.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, cast

import msgspec

from actors.messages import Failure
from config.errors import AppError

_log = logging.getLogger(__name__)

Address = tuple[str, int]
Handle = Callable[[bytes], Awaitable[bytes]]

_CONTEXT: Final = b"serai lines to "
_NONCE_BYTES: Final = 32
_MAC_BYTES: Final = 32
_OPEN_SECONDS: Final = 5.0
_LEAVE_SECONDS: Final = 2.0
# Strangers cost a descriptor and five seconds each; processes of this server greet at once.
_MOST_GREETING: Final = 256
# A machine that is gone without a word is noticed after some ten seconds.
_TCP_OPTIONS: Final = {
    "TCP_KEEPIDLE": 4,
    "TCP_KEEPINTVL": 2,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 10_000,
}

_HEADER: Final = struct.Struct("<IIB")
"""Bytes of the payload, number of the call, kind of the frame."""
_MAX_NUMBER: Final = 2**32
_CALL, _ANSWER, _FAILURE, _LEAVING = range(4)

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_failure: Final = msgspec.msgpack.Decoder(Failure).decode


class LineLost(Exception):
    """The other process is gone, can't be reached, or is not one of this server. What was asked may
    or may not have been done."""


class NotSent(LineLost):
    """It was not asked at all."""


def line_key(secret: str, callee: str) -> bytes:
    """Of lines to `callee`, a deployment or a shard: another one may listen by now where it was.
    Raises ValueError without a secret: then nobody could be told from a stranger."""
    if not secret:
        raise ValueError("lines need the server's secret")
    return hmac.digest(secret.encode(), _CONTEXT + callee.encode(), "sha256")


class _Frames(asyncio.Protocol, ABC):
    """One end. `_awaited`: how many bytes of the greeting come next; 0 when frames do."""

    _awaited = 0

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._buffer = bytearray()
        self._nonce = secrets.token_bytes(_NONCE_BYTES)
        self._transport: asyncio.Transport = asyncio.Transport()
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._limit = asyncio.get_running_loop().call_later(_OPEN_SECONDS, self._transport.abort)
        peer = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _TCP_OPTIONS.items():
            if hasattr(socket, option):  # not every system has them all
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._awaited:
            if len(self._buffer) < self._awaited:
                return
            said = bytes(self._buffer[: self._awaited])
            del self._buffer[: self._awaited]
            if not self._greeted(said):
                self._transport.abort()
                return
        self._cut()

    def _cut(self) -> None:
        at, size = 0, len(self._buffer)
        with memoryview(self._buffer) as view:
            while size - at >= _HEADER.size:
                length, number, kind = _HEADER.unpack_from(view, at)
                begin = at + _HEADER.size
                if size - begin < length:
                    break
                at = begin + length
                self._frame(number, kind, view[begin:at].tobytes())
        if at:
            del self._buffer[:at]

    def _send(self, number: int, kind: int, payload: bytes) -> None:
        # Two writes of a tick leave as one; joining them would copy the payload.
        self._transport.write(_HEADER.pack(len(payload), number, kind))
        if payload:
            self._transport.write(payload)

    def _settled(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _mac(self, side: bytes, first: bytes, second: bytes) -> bytes:
        return hmac.digest(self._key, side + first + second, "sha256")

    @abstractmethod
    def _greeted(self, said: bytes) -> bool:
        """Takes the next part of the greeting; False: this is a stranger."""

    @abstractmethod
    def _frame(self, number: int, kind: int, payload: bytes) -> None:
        """What came, whole."""


class Line(_Frames):
    """The end that calls. Made by `open_line`."""

    _awaited = _NONCE_BYTES + _MAC_BYTES

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.is_open = False
        """Whether new calls may be made: not before the greeting, nor when the other end leaves."""
        self.greeting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0

    @property
    def in_flight(self) -> int:
        return len(self._answers)

    async def call(self, payload: bytes) -> bytes:
        """Any number at once; answers come in their own order. Raises the AppError that the other
        end raised ('internal' for any other exception there), NotSent where the line had ended
        before, or LineLost. Cancelling drops the answer, not the work."""
        if not self.is_open:
            raise NotSent
        self._number = number = (self._number + 1) % _MAX_NUMBER
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self._send(number, _CALL, payload)
            return await answer
        finally:
            self._answers.pop(number, None)
            if not self.is_open:
                self._leave()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport.write(self._nonce)

    def connection_lost(self, error: Exception | None) -> None:
        self._settled()
        self.is_open = False
        if not self.greeting.done():
            self.greeting.set_exception(LineLost())
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(LineLost())

    def _greeted(self, said: bytes) -> bool:
        if self.greeting.done():  # whoever opened it waits no more
            return False
        nonce, mac = said[:_NONCE_BYTES], said[_NONCE_BYTES:]
        if not hmac.compare_digest(mac, self._mac(b"served", self._nonce, nonce)):
            return False
        self._transport.write(self._mac(b"caller", nonce, self._nonce))
        self._awaited = 0
        self._settled()
        self.is_open = True
        self.greeting.set_result(None)
        return True

    def _frame(self, number: int, kind: int, payload: bytes) -> None:
        if kind == _LEAVING:
            self.is_open = False
            self._leave()
            return
        answer = self._answers.get(number)
        if answer is None or answer.done():
            return  # its caller has gone
        if kind == _ANSWER:
            answer.set_result(payload)
        else:
            answer.set_exception(_decode_failure(payload).error())

    def _leave(self) -> None:
        if not self._answers:
            self._transport.close()


async def open_line(address: Address, key: bytes) -> Line:
    """Raises NotSent when nobody of this server listens there, or not within five seconds."""
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            _, line = await asyncio.get_running_loop().create_connection(
                lambda: Line(key), *address
            )
            await line.greeting
    except (OSError, TimeoutError, LineLost) as error:
        raise NotSent from error
    return line


class _Served(_Frames):
    _awaited = _NONCE_BYTES

    def __init__(self, key: bytes, server: LineServer) -> None:
        super().__init__(key)
        self.gone = asyncio.Event()
        self._server = server
        self._expected = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.connections.add(self)
        if sum(each.is_greeting for each in self._server.connections) > _MOST_GREETING:
            self.abort()

    @property
    def is_greeting(self) -> bool:
        return self._awaited > 0

    def connection_lost(self, error: Exception | None) -> None:
        self._settled()
        self._server.connections.discard(self)
        self.gone.set()

    def _greeted(self, said: bytes) -> bool:
        if not self._expected:
            self._transport.write(self._nonce + self._mac(b"served", said, self._nonce))
            self._expected = self._mac(b"caller", self._nonce, said)
            self._awaited = _MAC_BYTES
            return True
        if not hmac.compare_digest(said, self._expected):
            return False
        self._awaited = 0
        self._settled()
        return True

    def _frame(self, number: int, kind: int, payload: bytes) -> None:
        self._server.begin(self._answer(number, payload))

    async def _answer(self, number: int, payload: bytes) -> None:
        try:
            kind, answer = _ANSWER, await self._server.handle(payload)
        except AppError as error:
            kind, answer = _FAILURE, _encode(Failure.of(error))
        except (Exception, asyncio.CancelledError):  # also one that something cancelled is answered
            _log.exception("a call failed")
            kind, answer = _FAILURE, _encode(Failure("internal", "A part of the server failed."))
        if not self._transport.is_closing():
            self._send(number, kind, answer)

    def leave(self) -> None:
        self._send(0, _LEAVING, b"")

    def abort(self) -> None:
        self._transport.abort()


class LineServer:
    """The end that is called: `handle` runs once for each call, as many at a time as callers have
    under way, and goes on when its caller is gone."""

    def __init__(self, handle: Handle, key: bytes) -> None:
        self.handle = handle
        self.address: Address = ("", 0)
        """Where it listens, or did: who comes when it is closed finds nobody there."""
        self.connections: set[_Served] = set()
        self._key = key
        self._calls: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str) -> None:
        """Listens on a free port of this address."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Served(self._key, self), host, 0
        )
        self.address = self._server.sockets[0].getsockname()[:2]

    @property
    def ongoing(self) -> int:
        """Calls under way."""
        return len(self._calls)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def close(self) -> None:
        """Tells callers to go elsewhere, and waits two seconds at most until they have left, which
        they do when their calls are answered."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self.connections):
            if connection.is_greeting:
                connection.abort()
            else:
                connection.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                for connection in list(self.connections):
                    await connection.gone.wait()
        for connection in list(self.connections):
            connection.abort()
