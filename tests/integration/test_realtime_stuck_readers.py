"""A gateway with a hundred readers that stopped reading: memory bounded, others lose nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

import msgspec

from tests.conditions import wait_until
from tests.realtime_server import RawClient, RealtimeServer, thread
from tests.realtime_session import parse_frames

STUCK: Final = 100
PROMPT: Final = 3
MAX_QUEUE_BYTES: Final = 65_536
PUBLICATION: Final = b'{"type":"x","text":"%s"}' % (b"x" * 16_000)
FRAME_MOST: Final = len(PUBLICATION) + 500
KEPT_TO_READ: Final = 5
# A reader's share beyond its queue lies in the kernel: this much must be enough to fill that too.
PUBLICATIONS_MOST: Final = 2_000


class StuckReader:
    """Subscribes and reads no more; the kernel takes little for it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)

    async def subscribe(self, channel: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(
            self.socket,
            b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        handshake = b""
        while not handshake.endswith(b"\r\n\r\n"):
            handshake += await loop.sock_recv(self.socket, 1)
        frame = b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"%s"}}' % channel.encode()
        head = bytes((0x81, 0x80 | len(frame), 0, 0, 0, 0))
        await loop.sock_sendall(self.socket, head + frame)

    async def close_code(self) -> int:
        """Reads what is left and answers the close frame."""
        loop = asyncio.get_running_loop()
        data = bytearray()
        async with asyncio.timeout(20):
            while part := await loop.sock_recv(self.socket, 262_144):
                data += part
                if data[-100:].rfind(b"\x0b\xc0") >= 0:  # 3008
                    break
        opcode, payload = parse_frames(bytes(data))[-1]
        assert opcode == 8
        return int.from_bytes(payload[:2], "big")


def unsent_bytes(server: RealtimeServer) -> int:
    sessions = server.realtime._services.sessions
    return sum(session.outlet.get_write_buffer_size() for session in sessions)


async def read_in_order(client: RawClient, offset: int) -> None:
    assert (await client.next())["push"]["pub"]["offset"] == offset


async def test_stuck_readers_cost_a_bounded_queue_each_and_the_others_nothing() -> None:
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(RealtimeServer(max_queue_bytes=MAX_QUEUE_BYTES))
        channel = thread()
        server.shard.create(channel)
        stuck = []
        for _ in range(STUCK):
            reader = StuckReader(server.port)
            stack.callback(reader.socket.close)
            await reader.subscribe(channel)
            stuck.append(reader)
        prompt = [await stack.enter_async_context(server.socket()) for _ in range(PROMPT)]
        for client in prompt:
            await client.connect()
            await client.ask("subscribe", channel=channel)
        statistics = server.realtime.statistics
        await wait_until(lambda: statistics()["subscriptions"] == STUCK + PROMPT)

        offset = most = 0
        while statistics()["subscriptions"] > PROMPT:
            offset = server.shard.publish(channel, PUBLICATION)
            for client in prompt:
                await read_in_order(client, offset)
            most = max(most, unsent_bytes(server))
            assert offset < PUBLICATIONS_MOST, "the stuck readers were never closed"
        assert offset * len(PUBLICATION) > 2 * MAX_QUEUE_BYTES
        # One publication may find the queue just below its bound; the close frame follows it.
        assert STUCK * MAX_QUEUE_BYTES // 2 < most < STUCK * (MAX_QUEUE_BYTES + FRAME_MOST)

        codes = [await reader.close_code() for reader in stuck[:KEPT_TO_READ]]
        assert codes == [3008] * KEPT_TO_READ
        last = server.shard.publish(channel, msgspec.json.encode({"type": "last"}))
        for client in prompt:
            await read_in_order(client, last)
        # Who does not even read the close frame is cut off, and its queue with it.
        await wait_until(lambda: statistics()["sockets"] == PROMPT)
        assert unsent_bytes(server) == 0
