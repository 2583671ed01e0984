"""The JSON encoding, message by message."""

from __future__ import annotations

import msgspec
import pytest

from actors.shard_messages import Publication
from serve_app.gateway.codec_json import JsonCodec, single_line
from serve_app.gateway.codes import Disconnect
from serve_app.gateway.protocol import (
    PONG,
    Empty,
    Ending,
    ErrorResult,
    PublicationResult,
    Push,
    Reply,
    SubscribeResult,
)

CODEC = JsonCodec()
CHANNEL = 'thread:"x"'


def test_commands_of_a_frame_keep_their_order() -> None:
    first, second, third = CODEC.decode(
        b'{"id":1,"connect":{"token":"t","unknown":[1]}}\n{"id":2,"ping":{}}\n{}\n'
    )
    assert first.id == 1 and first.connect is not None and first.connect.token == "t"
    assert second.ping is not None and third is PONG


@pytest.mark.parametrize("pong", [b"{}", b"{ }", b" {}\r"])
def test_pongs(pong: bytes) -> None:
    assert CODEC.decode(pong) == [PONG]
    assert CODEC.decode(pong)[0] is PONG


@pytest.mark.parametrize("frame", [b"", b"\n", b"{}\n\n", b'{"x":1}', b"[]", b"1", b"null"])
def test_malformed(frame: bytes) -> None:
    with pytest.raises(Disconnect) as end:
        CODEC.decode(frame)
    assert end.value.code == 3501


def test_empty_results_stand_and_zero_values_do_not() -> None:
    assert CODEC.reply(Reply(7, ping=Empty())) == b'{"id":7,"ping":{}}'
    assert CODEC.reply(Reply(7, subscribe=SubscribeResult(epoch="e"))) == (
        b'{"id":7,"subscribe":{"epoch":"e"}}'
    )
    assert CODEC.reply(Reply(7, error=ErrorResult(100, "m", True))) == (
        b'{"id":7,"error":{"code":100,"message":"m","temporary":true}}'
    )


def test_data_is_embedded_and_never_breaks_a_line() -> None:
    data = b'{\n "text": "a\\nb"\n}'
    message = CODEC.publication(CHANNEL, Publication(CHANNEL, 3, data))
    assert b"\n" not in message
    assert msgspec.json.decode(message) == {
        "push": {"channel": 'thread:"x"', "pub": {"data": {"text": "a\nb"}, "offset": 3}}
    }
    assert (
        CODEC.publication("c", Publication("c", 0, b"{}"))
        == b'{"push":{"channel":"c","pub":{"data":{}}}}'
    )
    reply = Reply(
        1,
        subscribe=SubscribeResult(
            publications=[PublicationResult(msgspec.Raw(single_line(data)), offset=3)]
        ),
    )
    assert b"\n" not in CODEC.reply(reply)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_no_line_end_is_left(end: bytes) -> None:
    data = b'{%b"text":%b"a\\r\\nb"}' % (end, end)
    message = CODEC.publication(CHANNEL, Publication(CHANNEL, 3, data))
    assert not set(message) & set(b"\r\n")
    assert msgspec.json.decode(message)["push"]["pub"]["data"] == {"text": "a\r\nb"}


def test_pushes() -> None:
    assert CODEC.push(Push("c", unsubscribe=Ending(2500, "insufficient state"))) == (
        b'{"push":{"channel":"c","unsubscribe":{"code":2500,"reason":"insufficient state"}}}'
    )
    assert CODEC.push(Push(disconnect=Ending(3501, "bad request"))) == (
        b'{"push":{"disconnect":{"code":3501,"reason":"bad request"}}}'
    )
