"""What the Accounts actor is asked about uploaded files. Encoded as those in actors/messages.py."""

from __future__ import annotations

from uuid import UUID

import msgspec

from actors.messages import Caller, Message


class CreateMedia(Message, frozen=True):
    """Announces a file; the answer says where to send it."""

    caller: Caller
    file_name: str
    size_bytes: int
    content_type: str


class CompleteMedia(Message, frozen=True):
    """The bytes are there: have them processed. Also asks how far that is."""

    caller: Caller
    media_id: UUID


class ReadMedia(Message, frozen=True):
    """May the caller have this file? The body of the reply is an encoded `MediaFile`."""

    caller: Caller
    media_id: UUID


MediaWrite = CreateMedia | CompleteMedia
MediaRequest = MediaWrite | ReadMedia


class MediaFile(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A file that may be handed out: where its object is and how to call it. `thumbnails` are the
    sizes that exist; `public`: guests may have it too."""

    hash: bytes
    file_name: str
    content_type: str
    thumbnails: list[int]
    public: bool
