"""Whatever bytes a client sends: commands or Disconnect(3501), nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from actors.shard_messages import Publication
from serve_app.gateway.codec_json import JsonCodec
from serve_app.gateway.codes import Disconnect
from serve_app.gateway.protocol import PONG, Command
from serve_app.gateway.transports.websocket import JSON_WIRE
from tests.realtime_session import parse_frames

CODEC = JsonCodec()

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
members = st.sampled_from(Command.__struct_fields__)
fields = st.sampled_from(
    ["id", "channel", "token", "recover", "epoch", "offset", "limit", "since", "data", "subs", "x"]
)
commands = st.dictionaries(members, st.dictionaries(fields, documents, max_size=4) | documents)


def decode(frame: bytes) -> list[Command] | None:
    try:
        return CODEC.decode(frame)
    except Disconnect as end:
        assert end.code == 3501
        return None


@given(st.binary(max_size=200))
@example(b'{"id":1,"connect":{"token":"\xff"}}')
@example(b"[" * 60_000)
@example(b'{"id":1,"publish":{"data":' + b"[" * 60_000)
@example(b'{"id":1,"history":{"since":{"offset":99999999999999999999}}}')
def test_arbitrary_bytes(frame: bytes) -> None:
    decode(frame)


@given(commands)
def test_arbitrary_documents(document: dict[str, Any]) -> None:
    decoded = decode(msgspec.json.encode(document))
    assert decoded is None or len(decoded) == 1
    if decoded is not None and decoded[0] is PONG:
        assert document == {}


@given(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=20), st.booleans())
def test_every_line_is_one_command(ids: list[int], trailing: bool) -> None:
    frame = b"\n".join(b'{"id":%d,"ping":{}}' % n for n in ids) + b"\n" * trailing
    decoded = decode(frame)
    assert decoded is not None and [c.id for c in decoded] == ids


@given(st.text(), st.integers(0, 2**62), documents.filter(lambda d: d == d))
def test_publications_round_trip(channel: str, offset: int, data: Any) -> None:
    encoded = msgspec.json.encode(data)
    try:
        message = CODEC.publication(channel, Publication(channel, offset, encoded))
    except UnicodeEncodeError:
        return  # a lone surrogate is no text
    assert b"\n" not in message
    pub = msgspec.json.decode(message)["push"]["pub"]
    assert pub.get("offset", 0) == offset
    assert pub["data"] == msgspec.json.decode(encoded)


@given(st.lists(st.binary(max_size=70_000).map(lambda b: b.replace(b"\n", b"")), min_size=1))
def test_frames_carry_their_payload(messages: list[bytes]) -> None:
    ((opcode, payload),) = parse_frames(JSON_WIRE.frame(messages))
    assert opcode == 1 and payload.split(b"\n") == messages
