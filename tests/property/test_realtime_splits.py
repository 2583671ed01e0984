"""However a client's bytes are cut, into WebSocket fragments and into TCP segments, they are
answered the same, and the same in both encodings."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from centrifuge.codecs import _JsonCodec, _ProtobufCodec
from hypothesis import given, settings
from hypothesis import strategies as st

from config.channels import Namespace
from tests.conditions import wait_until
from tests.property.test_codec_agreement import from_json, from_protobuf, with_bytes
from tests.realtime_server import RealtimeServer
from tests.realtime_session import parse_frames

HANDSHAKE: Final = (
    "GET /connection/websocket{} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CHANNELS: Final = {
    "room": Namespace(subscribe="anyone"),
    "log": Namespace(
        subscribe="anyone", publish="readers", read_history="readers",
        history="memory", history_size=100, history_ttl_seconds=60,
    ),
}  # fmt: skip
PATIENCE_SECONDS: Final = 60.0
_TEXT, _BINARY, _CONTINUATION, _PING, _PONG, _FIN = 1, 2, 0, 9, 10, 0x80

rooms = st.sampled_from(["room:a", "room:b", "nowhere:a", ""])
logs = st.sampled_from(["log:a", "log:b"])
texts = st.sampled_from(["", "x" * 130, "größer 😀" * 400]) | st.text(
    st.characters(codec="utf-8"), max_size=20
)
commands = st.one_of(
    st.builds(lambda channel: {"subscribe": {"channel": channel}}, rooms),
    st.builds(lambda channel: {"unsubscribe": {"channel": channel}}, rooms),
    st.builds(lambda channel, data: {"publish": {"channel": channel, "data": data}}, logs, texts),
    st.builds(lambda channel: {"history": {"channel": channel, "limit": -1}}, logs),
    st.just({"ping": {}}),
    st.just({"rpc": {"method": "unknown"}}),
)


class Spoken(NamedTuple):
    """Messages of one or more commands; where they are cut, in millionths of their length; and
    where the whole is."""

    messages: list[list[dict[str, Any]]]
    fragments: list[list[int]]
    segments: list[int]
    mask: bytes


@st.composite
def spoken(draw: st.DrawFn) -> Spoken:
    said = draw(st.lists(st.lists(commands, min_size=1, max_size=4), min_size=1, max_size=4))
    messages: list[list[dict[str, Any]]] = [[{"id": 1, "connect": {}}]]
    number = 1
    for group in said:
        numbered = []
        for command in group:
            number += 1
            numbered.append({"id": number, **command})
        if draw(st.booleans()):
            messages.append(numbered)
        else:
            messages[-1] = [*messages[-1], *numbered]
    cuts = st.lists(st.integers(0, 1_000_000), max_size=4)
    return Spoken(
        messages,
        [draw(cuts) for _ in messages],
        draw(st.lists(st.integers(0, 1_000_000), max_size=12)),
        draw(st.binary(min_size=4, max_size=4)),
    )


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """At these millionths of its length; pieces may be empty."""
    ends = sorted(len(data) * place // 1_000_000 for place in places)
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


def client_frame(first: int, payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    length = bytes([_FIN | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([first]) + length + mask + bytes(b ^ mask[n % 4] for n, b in enumerate(payload))


def message_frames(opcode: int, pieces: list[bytes], mask: bytes) -> bytes:
    """Fragments (RFC 6455, 5.4), a ping between any two."""
    frames = b""
    for number, piece in enumerate(pieces):
        first = (opcode if number == 0 else _CONTINUATION) | _FIN * (number == len(pieces) - 1)
        frames += client_frame(_FIN | _PING, b"%d" % number, mask) if number else b""
        frames += client_frame(first, piece, mask)
    return frames


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._closing = False
        self.written = b""
        self.news = asyncio.Event()

    def write(self, data: Any) -> None:
        self.written += bytes(data)
        self.news.set()

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close


def normal(value: Any) -> Any:
    """Without what is another one each time."""
    if isinstance(value, list):
        return [normal(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: "" if name in ("client", "time") else normal(content)
        for name, content in value.items()
    }


async def answers(segments: list[bytes], *, protobuf: bool, count: int) -> tuple[Any, list[bytes]]:
    """Replies by id, and pongs, of a server of its own."""
    async with RealtimeServer(channels=CHANNELS) as server:
        assert server._runner is not None and server._runner.server is not None
        protocol = server._runner.server()
        transport = Transport(protocol)
        protocol.connection_made(transport)
        for segment in segments:
            protocol.data_received(segment)
            await asyncio.sleep(0)
        replies: dict[int, Any] = {}
        pongs: list[bytes] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(replies) < count:
                await transport.news.wait()
                transport.news.clear()
                pongs = []
                head, _, frames = transport.written.partition(b"\r\n\r\n")
                assert b" 101 " in head
                for opcode, payload in parse_frames(frames):
                    if opcode == _PONG:
                        pongs.append(payload)
                        continue
                    assert opcode == (_BINARY if protobuf else _TEXT)
                    for reply in (from_protobuf if protobuf else from_json)(payload):
                        replies[reply["id"]] = normal(reply)
        transport.close()
        await wait_until(lambda: server.realtime.statistics()["sockets"] == 0, PATIENCE_SECONDS)
        return replies, pongs


async def _compare(said: Spoken) -> None:
    count = sum(len(message) for message in said.messages)
    pongs = [b"%d" % n for places in said.fragments for n in range(1, len(places) + 1)]
    results = []
    for protobuf in (False, True):
        handshake = HANDSHAKE.format("?cf_protocol=protobuf" if protobuf else "").encode()
        payloads = [
            _ProtobufCodec.encode_commands([with_bytes(command) for command in message])
            if protobuf
            else _JsonCodec.encode_commands(message).encode()
            for message in said.messages
        ]
        opcode = _BINARY if protobuf else _TEXT
        whole = [message_frames(opcode, [payload], bytes(4)) for payload in payloads]
        in_pieces = b"".join(
            message_frames(opcode, cut(payload, places), said.mask)
            for payload, places in zip(payloads, said.fragments, strict=True)
        )
        segments = cut(handshake + in_pieces, said.segments)
        plain, none = await answers([handshake, *whole], protobuf=protobuf, count=count)
        split, ponged = await answers(segments, protobuf=protobuf, count=count)
        assert (none, ponged) == ([], pongs)
        results += [plain, split]
    assert set(results[0]) == set(range(1, count + 1))
    assert results == [results[0]] * len(results)


@settings(max_examples=50)
@given(spoken())
def test_cut_as_it_may_be_it_is_answered_the_same(said: Spoken) -> None:
    asyncio.run(_compare(said))


def test_byte_by_byte() -> None:
    messages = [
        [{"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "room:a"}}],
        [{"id": 3, "publish": {"channel": "log:a", "data": "größer 😀"}}],
        [{"id": 4, "history": {"channel": "log:a", "limit": 1}}],
    ]
    everywhere = [place * 1_000 for place in range(1_000)]
    fragments = [everywhere[::50] for _ in messages]
    asyncio.run(_compare(Spoken(messages, fragments, everywhere, b"\x01\xfe\x80\x7f")))
