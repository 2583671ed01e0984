"""Frames of Protobuf messages, read and written by the google package and the SDK's own classes."""

from __future__ import annotations

from typing import Any

# No stubs come with the SDK.
from google.protobuf.internal.decoder import _DecodeVarint32  # type: ignore[import-untyped]
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[import-untyped]


def frame_of(*messages: Any) -> bytes:
    parts = []
    for message in messages:
        content = message.SerializeToString()
        parts += [_VarintBytes(len(content)), content]
    return b"".join(parts)


def messages_of(frame: bytes, kind: Any) -> list[Any]:
    messages = []
    position = 0
    while position < len(frame):
        length, position = _DecodeVarint32(frame, position)
        messages.append(kind.FromString(frame[position : position + length]))
        position += length
    assert position == len(frame)
    return messages
