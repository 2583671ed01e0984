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
    UnreadableCommand,
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


@pytest.mark.parametrize(
    "line",
    [
        rb'{"publish":{"channel":"a","data":"\\ud83d, cut \ud83d"},"id":7}',
        rb'{"id":7,"publish":{"channel":"a","data":{"\uDC00":1}}}',
        rb'{"id":7,"subscribe":{"channel":"a\ud800\ud800"}}',
        b'{"publish":{"channel":"a","data":' + b"[" * 9_000 + b"]" * 9_000 + b'}, "id": 7}',
        b'{"id":7,"rpc":{"data":' + b"[" * 9_000 + b"]" * 9_000 + b"}}",
    ],
)
def test_what_can_not_be_read_keeps_its_id(line: bytes) -> None:
    before, command, after = CODEC.decode(b'{"id":6,"ping":{}}\n%b\n{"id":8,"ping":{}}' % line)
    assert type(before) is not UnreadableCommand is type(command) is not type(after)
    assert (before.id, command.id, after.id) == (6, 7, 8)


@pytest.mark.parametrize(
    "line",
    [
        rb'{"publish":{"channel":"a","data":"\ud83d"},"id":"7"}',
        rb'{"publish":{"channel":"a","data":"\ud83d"},"id":7',
        rb'{"fly":"\ud83d"}',
        rb'"\ud83d"',
        b'{"publish":{"data":' + b"[" * 9_000 + b"]" * 9_000 + b"}}",
        b'{"publish":{"data":"\xed\xa0\x80"},"id":7}',
    ],
)
def test_what_can_not_be_read_and_has_no_id_is_malformed(line: bytes) -> None:
    with pytest.raises(Disconnect) as end:
        CODEC.decode(line)
    assert end.value.code == 3501


def test_pairs_of_surrogates_are_as_good_as_letters() -> None:
    (command,) = CODEC.decode(
        rb'{"id":7,"publish":{"channel":"a\ud83d\ude00","data":"\ud83d\ude00"}}'
    )
    assert type(command) is not UnreadableCommand and command.publish is not None
    assert command.publish.channel == "a😀"


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
