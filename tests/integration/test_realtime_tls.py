"""A gateway whose sockets speak TLS: everything goes through the transport, in order. What is sent
past it would be sent in clear."""

from __future__ import annotations

import asyncio
import ssl
from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from serve_app.gateway.direct_send import DirectOutlet, DirectSender
from serve_app.gateway.fan import BY_TRANSPORT, Shortfall, fan
from tests.realtime_server import RawClient, RealtimeServer, thread

READERS = 3
PUBLICATIONS = 300


def self_signed(folder: Path) -> ssl.SSLContext:
    """Of 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "gateway.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


class WatchedFan:
    """The fan-out's innermost loop, and every descriptor that it was given."""

    def __init__(self) -> None:
        self._fan = fan()
        self.descriptors: set[int] = set()

    def __call__(
        self, fds: array[int], start: int, data: bytes, deadline_ns: int
    ) -> tuple[int, Sequence[Shortfall]]:
        self.descriptors.update(fds)
        return self._fan(fds, start, data, deadline_ns)


async def _read(client: RawClient, pings: int) -> tuple[list[int], list[int]]:
    """Offsets and ids of replies, each as they came."""
    offsets: list[int] = []
    ids: list[int] = []
    while len(offsets) < PUBLICATIONS or len(ids) < pings:
        message = await client.next()
        if "push" in message:
            offsets.append(message["push"]["pub"]["offset"])
        else:
            ids.append(message["id"])
    return offsets, ids


async def _exchange(folder: Path, *, tls: bool) -> tuple[WatchedFan, list[Any]]:
    watched = WatchedFan()
    async with RealtimeServer(max_queue_bytes=8_388_608) as server:
        server.realtime._hub._send = sender = DirectSender(watched)
        server.realtime._outlet_of = sender.outlet
        context = self_signed(folder) if tls else None
        assert server._runner is not None
        site = web.TCPSite(server._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = server._runner.addresses[-1][1]
        url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/connection/websocket"
        channel = thread()
        server.shard.create(channel)
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            sockets = [await session.ws_connect(url, ssl=False) for _ in range(READERS)]
            clients = [RawClient(socket) for socket in sockets]
            for client in clients:
                await client.connect()
                assert "subscribe" in await client.ask("subscribe", channel=channel)
            reading = [asyncio.create_task(_read(client, PUBLICATIONS // 10)) for client in clients]
            for number in range(PUBLICATIONS):
                size = (1, 300, 20_000)[number % 3]
                server.shard.publish(channel, b'"%b"' % (b"x" * size))
                if number % 10 == 0:
                    for client in clients:
                        await client.send({"id": 1_000 + number, "ping": {}})
            for read in reading:
                offsets, ids = await read
                assert offsets == list(range(1, PUBLICATIONS + 1))
                assert ids == list(range(1_000, 1_000 + PUBLICATIONS, 10))
            outlets = [session.outlet for session in server.services.sessions]
            for socket in sockets:
                await socket.close()
    return watched, outlets


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tls_is_never_bypassed_and_order_holds(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        watched, outlets = runner.run(_exchange(tmp_path, tls=True))
    assert watched.descriptors == {BY_TRANSPORT}
    assert len(outlets) == READERS
    for outlet in outlets:
        assert isinstance(outlet, DirectOutlet) and outlet._duplicate == -1


def test_without_tls_the_same_goes_directly(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        watched, _ = runner.run(_exchange(tmp_path, tls=False))
    assert max(watched.descriptors) > BY_TRANSPORT
