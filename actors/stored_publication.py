"""How a publication stands in stream_event. Serai's own events are the row's payload itself;
publications on an operator's channels are any JSON, with their info and tags: an envelope.
"""

from __future__ import annotations

import msgspec

from actors.shard_messages import Publication
from config.channels import Namespaces
from config.errors import AppError
from storage.streams import StreamEvent


class _Envelope(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    data: msgspec.Raw
    info: msgspec.Raw = msgspec.Raw(b"")
    tags: dict[str, str] | None = None
    committed_ns: int = 0


_decoder = msgspec.json.Decoder(_Envelope)


def envelope(data: bytes, info: bytes, tags: dict[str, str] | None) -> str:
    """The payload of an operator's publication. Raises AppError("invalid") for what is no JSON: it
    would make the row unreadable."""
    members: dict[str, object] = {"data": msgspec.Raw(data)}
    if info:
        members["info"] = msgspec.Raw(info)
    if tags:
        members["tags"] = tags
    try:
        for part in (data, info or b"null"):
            msgspec.json.decode(part)
        return msgspec.json.encode(members).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AppError("invalid", "publications of this channel must be JSON") from None


class StoredPublications:
    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def publication(self, channel: str, event: StreamEvent) -> Publication:
        namespace = self._namespaces.of(channel)
        if namespace is None or namespace.subscribe == "content":
            return Publication(channel, event.offset, event.data)
        stored = _decoder.decode(event.data)
        return Publication(
            channel,
            event.offset,
            bytes(stored.data),
            info=bytes(stored.info),
            tags=stored.tags,
            time_ms=stored.committed_ns // 1_000_000,
        )
