"""The JSON encoding: one object per line, raw embedded JSON for `data`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from actors.shard_messages import KIND_JOIN, Publication
from serve_app.gateway.codes import malformed
from serve_app.gateway.protocol import PONG, Command, Push, Reply

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

    def push(self, push: Push) -> bytes:
        return b'{"push":%b}' % _ENCODER.encode(push)

    def publication(self, channel: str, publication: Publication) -> bytes:
        return self._publication(channel, publication, single_line(publication.data), b"")

    def delta_publication(self, channel: str, publication: Publication, patch: bytes) -> bytes:
        text = patch or publication.data
        data = _ENCODER.encode(text.decode())
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


def single_line(data: bytes) -> bytes:
    """Encoded JSON without raw line feeds, which would end the message in the middle."""
    if b"\n" not in data:
        return data
    # A line feed inside a JSON string is always escaped: these are all white space.
    return data.replace(b"\n", b" ")
