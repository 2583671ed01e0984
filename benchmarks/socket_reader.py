"""A reader of many channels on one WebSocket, as cheap as Python allows: it counts publications.

wsload reads one channel, or the same ones with every socket; here each socket has its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Final

import msgspec

from benchmarks.load import URL_PATH

_PUBLICATION: Final = b'"pub":'
_SUBSCRIBED: Final = b'"subscribe":{'
_ERROR: Final = b'"error":'
_PING: Final = b"\x81\x02{}"


def _masked(payload: bytes) -> bytes:
    """A client's text frame (RFC 6455, 5.3); a mask of zeros leaves the payload as it is."""
    length = len(payload)
    if length < 126:
        head = bytes((0x81, 0x80 | length))
    elif length < 65_536:
        head = bytes((0x81, 0x80 | 126)) + length.to_bytes(2, "big")
    else:
        raise ValueError("too long for one frame")
    return head + bytes(4) + payload


class SocketReader(asyncio.Protocol):
    """`publications` counts since the beginning; both SDKs' way of asking: all in one frame."""

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = channels
        self._transport: asyncio.WriteTransport | None = None
        self._ready: asyncio.Future[None] | None = None
        self._tail = b""
        self._subscribed = 0
        self._greeted = False
        self.publications = 0
        self.lost = False
        """Ended by the server."""

    async def connect(self, port: int) -> None:
        """Until every subscription is answered. Raises ConnectionError when one is refused."""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        await loop.create_connection(lambda: self, "127.0.0.1", port)
        await self._ready

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        key = msgspec.json.encode(os.urandom(16)).strip(b'"')
        commands: list[object] = [{"id": 1, "connect": {}}]
        commands += [
            {"id": number, "subscribe": {"channel": name}}
            for number, name in enumerate(self._channels, 2)
        ]
        transport.write(
            b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n%b"
            % (URL_PATH.encode(), key, _masked(b"\n".join(map(msgspec.json.encode, commands))))
        )

    def data_received(self, data: bytes) -> None:
        if self._tail:
            data = self._tail + data
        if not self._greeted or self._subscribed < len(self._channels):
            self._take_replies(data)
        self.publications += data.count(_PUBLICATION)
        if _PING in data and self._transport is not None:
            self._transport.write(_masked(b"{}"))
            # Or the tail would show it again, and a pong that nobody asked for ends a connection.
            data = data.replace(_PING, b"")
        # What may be the beginning of a word that the next packet ends, and no whole word.
        keep = len(_SUBSCRIBED) - 1
        self._tail = data[-keep:] if data[-keep:].count(_PUBLICATION) == 0 else b""

    def _take_replies(self, data: bytes) -> None:
        assert self._ready is not None
        if _ERROR in data or data.startswith(b"HTTP/1.1 5"):
            self._fail(data)
            return
        self._greeted = self._greeted or b'"connect":{' in data
        self._subscribed += data.count(_SUBSCRIBED)
        if self._greeted and self._subscribed >= len(self._channels) and not self._ready.done():
            self._ready.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self._transport is not None
        self._fail(b"the connection is gone")

    def _fail(self, why: bytes) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ConnectionError(why[:200].decode(errors="replace")))

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
