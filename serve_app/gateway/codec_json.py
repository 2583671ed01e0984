"""The JSON encoding: one object per line, raw embedded JSON for `data`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from serve_app.gateway.codes import Disconnect, malformed
from serve_app.gateway.protocol import PONG, Command, Reply

_DECODER: Final = msgspec.json.Decoder(Command)
_ENCODER: Final = msgspec.json.Encoder()


class JsonCodec:
    ping: Final = b"{}"

    def decode(self, frame: bytes) -> list[Command]:
        """Commands of a frame in order, `PONG` for a pong. Raises nothing but Disconnect(3501)."""
        try:
            return [self._command(line) for line in frame.removesuffix(b"\n").split(b"\n")]
        # UnicodeDecodeError: msgspec lets it through; RecursionError: its answer to deep nesting.
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise malformed() from None

    def _command(self, line: bytes) -> Command:
        command = _DECODER.decode(line)
        if command == PONG:
            # An object of nothing but unknown fields reads like a pong, and is none.
            if line.translate(None, b" \t\r\n") != b"{}":
                raise malformed()
            return PONG
        return command

    def reply(self, reply: Reply) -> bytes:
        return _ENCODER.encode(reply)

    def publication(self, channel: str, offset: int, data: bytes) -> bytes:
        position = b',"offset":%d' % offset if offset else b""
        return b'{"push":{"channel":%b,"pub":{"data":%b%b}}}' % (
            _ENCODER.encode(channel),
            single_line(data),
            position,
        )

    def unsubscribe(self, channel: str, code: int, reason: str) -> bytes:
        push = {"channel": channel, "unsubscribe": {"code": code, "reason": reason}}
        return _ENCODER.encode({"push": push})

    def disconnect(self, end: Disconnect) -> bytes:
        return _ENCODER.encode({"push": {"disconnect": {"code": end.code, "reason": end.reason}}})

    def join(self, messages: Sequence[bytes]) -> bytes:
        return b"\n".join(messages)


def single_line(data: bytes) -> bytes:
    """Encoded JSON without raw line feeds, which would end the message in the middle."""
    if b"\n" not in data:
        return data
    # A line feed inside a JSON string is always escaped: these are all white space.
    return data.replace(b"\n", b" ")
