"""The JSON encoding: one object per line, raw embedded JSON for `data`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from actors.shard_messages import KIND_JOIN, Publication
from serve_app.gateway.codes import malformed
from serve_app.gateway.protocol import (
    PONG,
    Command,
    ConnectResult,
    Push,
    Reply,
    SubscribeResult,
    UnreadableCommand,
)

_DECODER: Final = msgspec.json.Decoder(Command)
_ENCODER: Final = msgspec.json.Encoder()
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_REPLACEMENT: Final = rb"\\ufffd"  # as a template of re: one backslash
_FIRST_ID: Final = re.compile(rb'\s*\{\s*"id"\s*:\s*([1-9]\d{0,8})\s*,')
_LAST_ID: Final = re.compile(rb',\s*"id"\s*:\s*([1-9]\d{0,8})\s*\}\s*')


class JsonCodec:
    ping: Final = b"{}"

    def decode(self, frame: bytes) -> list[Command]:
        """Commands of a frame in order, `PONG` for a pong. Raises nothing but Disconnect(3501)."""
        try:
            # msgspec does not look into raw JSON, and a single text frame that is not UTF-8 makes
            # the browsers of all subscribers hang up (RFC 6455, 8.1).
            _check_utf8(frame)
            lines = frame.removesuffix(b"\n").split(b"\n")
            return [self._command(line) for line in lines]
        except (UnicodeDecodeError, msgspec.ValidationError):
            raise malformed() from None
        # RecursionError: msgspec's answer to deep nesting.
        except (msgspec.DecodeError, RecursionError):
            return [self._questionable(line) for line in lines]

    def _questionable(self, line: bytes) -> Command:
        """What an application may say by accident must not end its connection for good: a text that
        was cut inside an emoji (JSON.stringify writes half a surrogate pair), or nesting without
        end. Raises Disconnect(3501) for the rest."""
        try:
            return self._command(line)
        except msgspec.ValidationError:
            raise malformed() from None
        except (msgspec.DecodeError, RecursionError):
            pass
        try:
            command = self._command(_SURROGATE.sub(_REPLACEMENT, line))
        except msgspec.DecodeError:
            raise malformed() from None
        except RecursionError:
            found = _FIRST_ID.match(line) or _LAST_ID.fullmatch(line, line.rfind(b","))
            if found is None:
                raise malformed() from None
            return UnreadableCommand(int(found[1]))
        return UnreadableCommand(**msgspec.structs.asdict(command))

    def _command(self, line: bytes) -> Command:
        command = _DECODER.decode(line)
        if command == PONG:
            # An object of nothing but unknown fields reads like a pong, and is none.
            if line.translate(None, b" \t\r\n") != b"{}":
                raise malformed()
            return PONG
        return command

    def reply(self, reply: Reply) -> bytes:
        if reply.subscribe is not None and reply.subscribe.delta:
            reply = msgspec.structs.replace(reply, subscribe=_with_strings(reply.subscribe))
        elif reply.connect is not None:
            reply = msgspec.structs.replace(reply, connect=_connected(reply.connect))
        return _ENCODER.encode(reply)

    def push(self, push: Push) -> bytes:
        if push.connect is not None:
            push = msgspec.structs.replace(push, connect=_connected(push.connect))
        return b'{"push":%b}' % _ENCODER.encode(push)

    def publication(self, channel: str, publication: Publication) -> bytes:
        return self._publication(channel, publication, single_line(publication.data), b"")

    def delta_publication(self, channel: str, publication: Publication, patch: bytes) -> bytes:
        text = patch or publication.data
        data = _string(text)
        return self._publication(channel, publication, data, b',"delta":true' if patch else b"")

    def visit(self, channel: str, publication: Publication) -> bytes:
        member = b"join" if publication.kind == KIND_JOIN else b"leave"
        return b'{"push":{"channel":%b,"%b":{"info":%b}}}' % (
            _ENCODER.encode(channel),
            member,
            single_line(publication.data),
        )

    def _publication(
        self, channel: str, publication: Publication, data: bytes, delta: bytes
    ) -> bytes:
        rest = delta
        if publication.offset:
            rest += b',"offset":%d' % publication.offset
        if publication.info:
            rest += b',"info":%b' % single_line(publication.info)
        if publication.tags:
            rest += b',"tags":%b' % _ENCODER.encode(publication.tags)
        if publication.time_ms:
            rest += b',"time":%d' % publication.time_ms
        return b'{"push":{"channel":%b,"pub":{"data":%b%b}}}' % (
            _ENCODER.encode(channel),
            data,
            rest,
        )

    def join(self, messages: Sequence[bytes]) -> bytes:
        return b"\n".join(messages)


def _string(text: bytes) -> bytes:
    return _ENCODER.encode(text.decode())


def _with_strings(result: SubscribeResult) -> SubscribeResult:
    """`data` of publications is a string for who has agreed on deltas, patch or not."""
    if not result.delta or not result.publications:
        return result
    publications = [
        msgspec.structs.replace(p, data=msgspec.Raw(_string(bytes(p.data))))
        for p in result.publications
    ]
    return msgspec.structs.replace(result, publications=publications)


def _connected(result: ConnectResult) -> ConnectResult:
    if not any(s.delta for s in result.subs.values()):
        return result
    subs = {channel: _with_strings(s) for channel, s in result.subs.items()}
    return msgspec.structs.replace(result, subs=subs)


def _check_utf8(data: bytes) -> None:
    if not data.isascii():
        data.decode()


def is_json(data: bytes) -> bool:
    """One JSON value in UTF-8: what the JSON encoding may embed as it is."""
    try:
        _check_utf8(data)
        _ANY.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def single_line(data: bytes) -> bytes:
    """Encoded JSON without raw line ends, which would cut the message: LF in frames of many
    messages, either in server-sent events."""
    if b"\n" not in data and b"\r" not in data:
        return data
    # Inside a JSON string they are always escaped: these are all white space.
    return data.replace(b"\n", b" ").replace(b"\r", b" ")
