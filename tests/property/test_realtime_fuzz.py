"""Frames of hostile bytes, a million of them: what decodes is a command, the rest is 3501.

Seeded, so that what fails fails again. Most frames are valid ones with a few bytes changed: pure
noise hardly gets past the first of them.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random
from types import FrameType
from typing import Any

import msgspec
import pytest
from centrifuge.codecs import _ProtobufCodec
from centrifuge.protocol import client_pb2
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from serve_app.gateway import codes
from serve_app.gateway.codec_json import JsonCodec
from serve_app.gateway.codec_protobuf import ProtobufCodec, decode_emulation
from serve_app.gateway.codes import Disconnect
from serve_app.gateway.protocol import Codec, Command, UnreadableCommand, Wire
from serve_app.gateway.session import Session
from serve_app.gateway.transports.websocket import JSON_WIRE, PROTOBUF_WIRE
from tests.protobuf_messages import messages_of
from tests.realtime_session import Bench, FakeOutlet, parse_frames

FRAMES_EACH = 500_000
SESSION_FRAMES = 3_000
MESSAGE_BYTES = 65_536

ENDS = {code.number for code in codes.DISCONNECTS if code.sent}
ERRORS = {code.number for code in codes.ERRORS if code.sent}

_CHANNEL = "thread:7f1c9f2e-6b1e-4d5c-9d0a-2f4b8c1d3e5f"
_CONNECT: dict[str, Any] = {"id": 1, "connect": {"name": "js"}}
_DOCUMENTS: list[dict[str, Any]] = [
    _CONNECT,
    {"id": 1, "connect": {"token": "ada", "version": "5.3.0", "headers": {"a": "b"}}},
    {"id": 1, "connect": {"subs": {"user:1": {"recover": True, "epoch": "e", "offset": 130}}}},
    {"id": 2, "subscribe": {"channel": _CHANNEL}},
    {
        "id": 300,
        "subscribe": {
            "channel": _CHANNEL,
            "recover": True,
            "epoch": "xyz",
            "offset": 1_234_567_890_123,
            "positioned": True,
            "recoverable": True,
            "join_leave": True,
            "delta": "fossil",
            "flag": 2,
        },
    },
    {"id": 3, "unsubscribe": {"channel": _CHANNEL}},
    {"id": 4, "presence": {"channel": _CHANNEL}},
    {"id": 5, "presence_stats": {"channel": _CHANNEL}},
    {"id": 6, "history": {"channel": _CHANNEL, "limit": -1, "reverse": True}},
    {"id": 7, "history": {"channel": _CHANNEL, "limit": 9, "since": {"offset": 4, "epoch": "e"}}},
    {"id": 8, "ping": {}},
    {"id": 9, "refresh": {"token": "größer"}},
    {"id": 10, "sub_refresh": {"channel": _CHANNEL, "token": "t"}},
    {"id": 11, "rpc": {"method": "GET /api/v1/feed"}},
    {},
]


def _with_data(document: dict[str, Any], data: Any) -> dict[str, Any]:
    return document | {
        name: document[name] | {"data": data} for name in ("connect", "rpc") if name in document
    }


def json_frames() -> list[bytes]:
    data = {"passive": True, "text": "größer 😀", "n": [1, 2.5, None]}
    single = [msgspec.json.encode(_with_data(d, data)) for d in _DOCUMENTS]
    single.append(msgspec.json.encode({"id": 12, "publish": {"channel": _CHANNEL, "data": data}}))
    single.append(msgspec.json.encode({"send": {"data": data}}))
    return [*single, b"\n".join(single[:5]), b"\n".join(single[5:])]


def protobuf_frames() -> list[bytes]:
    data = "eyJwYXNzaXZlIjp0cnVlfQ=="
    documents = [_with_data(d, data) for d in _DOCUMENTS]
    documents.append({"id": 12, "publish": {"channel": _CHANNEL, "data": data}})
    documents.append({"send": {"data": data}})
    single = [_ProtobufCodec.encode_commands([d]) for d in documents]
    return [*single, b"".join(single[:5]), b"".join(single[5:])]


FORMATS: dict[str, tuple[Codec, Wire, list[bytes]]] = {
    "json": (JsonCodec(), JSON_WIRE, json_frames()),
    "protobuf": (ProtobufCodec(), PROTOBUF_WIRE, protobuf_frames()),
}
EDGES = (b"\x00", b"\x7f", b"\x80", b"\xff" * 9, b"\xff\xff\xff\xff\x0f", b"{", b'"', b"\\", b"\n")


def mutated(frames: list[bytes], seed: Random) -> Iterator[bytes]:
    """Without end: bytes flipped, set, removed, doubled, moved between frames, cut; noise."""
    random, count = seed.random, len(frames)
    while True:
        frame = frames[int(random() * count)]
        length = len(frame)
        at = int(random() * (length + 1))
        to = at + int(random() * 8)
        match int(random() * 9):
            case 0 | 1:
                yield frame[:at] + bytes((int(random() * 256),)) + frame[at + 1 :]
            case 2:
                yield frame[:at] + EDGES[int(random() * len(EDGES))] + frame[to:]
            case 3:
                yield frame[:at] + frame[to:]
            case 4:
                yield frame[:to] + frame[at:]
            case 5:
                yield frame[:at]
            case 6:
                other = frames[int(random() * count)]
                yield frame[:at] + other[int(random() * len(other)) :]
            case 7:
                changed = bytearray(frame)
                for _ in range(3):
                    if changed:
                        changed[int(random() * len(changed))] ^= 1 << int(random() * 8)
                yield bytes(changed)
            case _:
                yield seed.randbytes(to - at + 1)


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_comes_in_only_3501_comes_out(name: str) -> None:
    codec, _, frames = FORMATS[name]
    decode = codec.decode
    for frame in frames:
        assert decode(frame)
    decoded = 0
    source = mutated(frames, Random(20_261_123))
    for _, frame in zip(range(FRAMES_EACH), source, strict=False):
        try:
            commands = decode(frame)
        except Disconnect as end:
            if end.code != 3501:
                raise AssertionError(frame) from end
        except BaseException as other:
            raise AssertionError(frame) from other
        else:
            decoded += 1
            assert commands and all(type(c) in (Command, UnreadableCommand) for c in commands), (
                frame
            )
    # The corpus is neither all refused before it is looked at nor all harmless.
    assert FRAMES_EACH // 20 < decoded < FRAMES_EACH * 3 // 4


def test_protobuf_agrees_with_the_google_package() -> None:
    """What we take is a message for it too, and means the same as far as there is something to
    compare; but we don't look into headers and filters of tags, fields 6 and 13. It takes more:
    wrong wire types and groups as unknown fields, numbers cut to size."""
    codec, _, frames = FORMATS["protobuf"]
    both = 0
    for _, frame in zip(range(20_000), mutated(frames, Random(7)), strict=False):
        try:
            commands = codec.decode(frame)
        except Disconnect:
            continue
        try:
            messages = messages_of(frame, client_pb2.Command)
        except DecodeError:
            assert b"\x32" in frame or b"\x6a" in frame, frame
            continue
        both += 1
        assert [m.id for m in messages] == [c.id for c in commands]
        for message, command in zip(messages, commands, strict=True):
            for field, _ in message.ListFields():
                assert getattr(command, field.name) is not None, frame
    assert both > 1_000


def test_emulation_bodies() -> None:
    bodies = [
        client_pb2.EmulationRequest(node="n", session="s" * 32, data=frame).SerializeToString()
        for frame in protobuf_frames()
    ]
    for _, body in zip(range(20_000), mutated(bodies, Random(8)), strict=False):
        try:
            decode_emulation(body)
        except Disconnect as end:
            assert end.code == 3501, body


HOSTILE = {
    "pongs": b"\x00" * MESSAGE_BYTES,
    "commands": b"\x04\x08\x01\x5a\x00" * (MESSAGE_BYTES // 5),
    "members": b"\x80\x80\x04" + b"\x2a\x00" * 32_766,
    "subscriptions": b"\x83\x80\x04\x22\xfe\xff\x03" + b"\x1a\x00" * 32_764,
    "unknown fields": b"\x80\x80\x04" + b"\xf8\x07\x00" * 21_844,
    "a number without end": b"\x80" * MESSAGE_BYTES,
    "a long text": b"\x85\x80\x04\x2a\x80\x80\x04\x0a" + b"\x7f" * 65_520,
    "JSON pongs": b"{}\n" * (MESSAGE_BYTES // 3),
    "JSON commands": b'{"id":1,"ping":{}}\n' * (MESSAGE_BYTES // 19),
    "JSON depth": b'{"id":1,"x":' + b"[" * 65_000,
    "JSON raw depth": b'{"id":1,"rpc":{"data":' + b'{"a":' * 13_000,
    "JSON lines": b"\n" * MESSAGE_BYTES,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_work_is_bounded_by_size(name: str) -> None:
    """Counted in lines that run, not in seconds: at most sixteen for a byte."""
    codec = FORMATS["json" if name.startswith("JSON") else "protobuf"][0]
    frame = HOSTILE[name]
    assert len(frame) <= MESSAGE_BYTES + 8
    lines = 0

    def count(at: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        codec.decode(frame)
    except Disconnect as end:
        assert end.code == 3501
    finally:
        sys.settrace(before)
    assert lines <= 16 * len(frame)


def _codes(wire: Wire, outlet: FakeOutlet) -> Iterator[tuple[str, int]]:
    """("close", code), ("disconnect", code) and ("error", code) of all that was written."""
    for opcode, payload in parse_frames(outlet.written):
        if opcode == 8:
            yield "close", int.from_bytes(payload[:2], "big")
            continue
        if wire is PROTOBUF_WIRE:
            replies = _ProtobufCodec.decode_replies(payload)
        else:
            replies = [msgspec.json.decode(line) for line in payload.split(b"\n")]
        for reply in replies:
            if "error" in reply:
                yield "error", reply["error"]["code"]
            elif "disconnect" in reply.get("push", {}):
                yield "disconnect", reply["push"]["disconnect"]["code"]


@pytest.mark.parametrize("name", FORMATS)
async def test_sessions_end_by_documented_codes(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, wire, frames = FORMATS[name]
    bench = Bench()
    seed = Random(42)
    source = mutated(frames, seed)
    seen: Counter[str] = Counter()
    sent = 0
    while sent < SESSION_FRAMES:
        outlet = FakeOutlet()
        session = Session(bench.services, outlet, wire, "192.0.2.1")
        if seed.random() < 0.9:
            await session.receive(frames[0])
        while session.is_open and sent < SESSION_FRAMES and seed.random() < 0.95:
            intact = seed.random() < 0.7
            await session.receive(seed.choice(frames[3:14]) if intact else next(source))
            sent += 1
        for _ in range(5):
            await asyncio.sleep(0)  # commands of channels run in tasks of their own
        session.end()
        for kind, code in _codes(wire, outlet):
            assert code in (ERRORS if kind == "error" else ENDS), (kind, code)
            seen[kind] += 1
    assert min(seen[kind] for kind in ("close", "disconnect", "error")) > 100
    # A command that raised something else is answered with 100, and logged.
    assert not caplog.records, caplog.text
