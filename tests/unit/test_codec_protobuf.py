"""The Protobuf encoding, byte by byte where the SDK's classes never write such."""

from __future__ import annotations

import pytest
from centrifuge.protocol import client_pb2

from actors.shard_messages import Publication
from serve_app.gateway.codec_json import JsonCodec, is_json
from serve_app.gateway.codec_protobuf import ProtobufCodec, decode_emulation
from serve_app.gateway.codes import Disconnect
from serve_app.gateway.protobuf_message import FIELDS_MOST, read_varint, varint
from serve_app.gateway.protocol import PONG, Command, Empty, Ignored, Reply
from tests.protobuf_messages import frame_of

CODEC = ProtobufCodec()
PING = Command(id=1, ping=Ignored())


def framed(*messages: bytes) -> bytes:
    return b"".join(bytes((len(message),)) + message for message in messages)


def refused(frame: bytes) -> bool:
    try:
        CODEC.decode(frame)
    except Disconnect as end:
        assert end.code == 3501
        return True
    return False


def test_commands_of_a_frame_keep_their_order() -> None:
    first, second, third = CODEC.decode(
        frame_of(
            client_pb2.Command(id=1, connect={"token": "t"}),
            client_pb2.Command(id=2, ping={}),
            client_pb2.Command(),
        )
    )
    assert first.id == 1 and first.connect is not None and first.connect.token == "t"
    assert second.ping is not None and third is PONG


@pytest.mark.parametrize(
    "message",
    [
        b"\x08\x01\x5a\x00\xf8\x07\x05",  # a varint 127
        b"\x08\x01\x5a\x00\xfd\x07abcd",  # 32 bits
        b"\x08\x01\x5a\x00\xf9\x07abcdefgh",  # 64 bits
        b"\xfa\x07\x02hi\x08\x01\x5a\x00",  # bytes
        b"\x08\x01\x5a\x03\x0a\x01x",  # in the member
        b"\x08\x05\x08\x01\x5a\x00",  # the last of two counts
        b"\x88\x00\x81\x80\x00\x5a\x80\x00",  # numbers longer than they need be
    ],
)
def test_unknown_fields_and_odd_encodings(message: bytes) -> None:
    assert CODEC.decode(framed(message)) == [PING]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x05",
        b"\x02\x08",
        b"\x80",
        b"\x80" * 20,
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xff\xff\xff\xff\x0f\x08\x01",
        framed(b"\x08"),
        framed(b"\x08\x80"),
        framed(b"\x08\x81\x80", b"\x00"),  # a number that goes on in the next message
        framed(b"\x08" + b"\xff" * 9 + b"\x02"),
        framed(b"\x08\x80\x80\x80\x80\x10"),  # id 2**32
        framed(b"\x0a\x01x\x5a\x00"),  # id as text
        framed(b"\x0d\x01\x00\x00\x00\x5a\x00"),  # id in 32 bits
        framed(b"\x08\x01\x58\x00"),  # a member as a number
        framed(b"\x08\x01\x5a\x05"),  # longer than the message
        framed(b"\x08\x01\x5a\x00\x02\x00"),  # field 0
        framed(b"\x08\x01\x5b\x5c"),  # a group
        framed(b"\x08\x01\x5f\x00"),  # wire type 7
        framed(b"\x08\x01\xfd\x07abc"),
        framed(b"\x08\x01\x2a\x03\x0a\x01\xff"),  # a channel that is no text
        framed(b"\x08\x01\x2a\x02\x08\x01"),  # a channel that is a number
        framed(b"\x08\x01\x2a\x0b\x38" + b"\xff" * 9 + b"\x01"),  # offset 2**64 - 1
        framed(b"\x08\x01\x52\x06\x38\x80\x80\x80\x80\x08"),  # limit 2**31
        framed(b"\x08\x01\x22\x05\x1a\x03\x12\x05\x00"),  # subs
        framed(b"\xf8\x07\x01"),  # only what we don't know
        framed(b"\x08\x00"),
        framed(b"\x5a\x00") + b"\x01",
    ],
)
def test_malformed(frame: bytes) -> None:
    assert refused(frame)


def test_numbers_keep_their_sign_and_range() -> None:
    (command,) = CODEC.decode(
        frame_of(client_pb2.Command(id=2**32 - 1, history={"limit": -1, "channel": "c"}))
    )
    assert command.id == 2**32 - 1
    assert command.history is not None and command.history.limit == -1
    (command,) = CODEC.decode(
        frame_of(client_pb2.Command(id=1, subscribe={"offset": 2**63 - 1, "flag": -5}))
    )
    assert command.subscribe is not None
    assert command.subscribe.offset == 2**63 - 1 and command.subscribe.flag == -5
    assert refused(frame_of(client_pb2.Command(id=1, subscribe={"offset": 2**63})))


def test_number_of_fields_is_bounded() -> None:
    def frame(fields: int) -> bytes:
        message = b"\x5a\x00" + b"\x08\x01" * (fields - 1)
        return varint(len(message)) + message

    assert CODEC.decode(frame(FIELDS_MOST)) == [PING]
    assert refused(frame(FIELDS_MOST + 1))


@pytest.mark.parametrize(
    "number", [0, 1, 127, 128, 16_383, 16_384, 2**21 - 1, 2**21, 2**32, 2**63, 2**64 - 1]
)
def test_varints(number: int) -> None:
    encoded = varint(number)
    assert read_varint(encoded, 0) == (number, len(encoded))


def test_empty_results_stand_and_zero_values_do_not() -> None:
    assert CODEC.reply(Reply(7, ping=Empty())) == b"\x04\x08\x07\x62\x00"
    assert CODEC.publication("c", Publication("c", 0, b"1")) == (
        b"\x0a\x22\x08\x12\x01c\x22\x03\x22\x011"
    )
    assert CODEC.ping == b"\x00"
    assert CODEC.join([CODEC.ping, CODEC.reply(Reply(7, ping=Empty()))]) == (
        b"\x00\x04\x08\x07\x62\x00"
    )


def test_emulation_body_that_is_none() -> None:
    with pytest.raises(Disconnect) as end:
        decode_emulation(b"\x0a\x05a")
    assert end.value.code == 3501


@pytest.mark.parametrize("data", [b"{}", b' {"a": [1, 2.5e3, null]}\n', '"größe"'.encode(), b"0"])
def test_json(data: bytes) -> None:
    assert is_json(data)


@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"{", b"{}{}", b"nul", b"NaN", b'"\xff"', b'"\n"', b'"\\ud800"', b"[" * 99_999],
)
def test_no_json(data: bytes) -> None:
    assert not is_json(data)
    if b"\xff" in data:
        with pytest.raises(Disconnect):
            JsonCodec().decode(b'{"id":1,"publish":{"channel":"c","data":' + data + b"}}")
