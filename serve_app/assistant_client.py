"""Calls to the Assistant deployment: an answer as it is made, and feedback."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from actors.assistant_messages import AnswerEvent, AnswerFrame, AskQuestion, AssistantRequest
from actors.messages import Failure, Reply
from serve_app.batched_handle import BatchedHandle, Send
from serve_app.deployment_stream import OpenStream, frames_of

encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(AnswerFrame).decode

_FRAME_SECONDS: Final = 60.0


class AssistantClient:
    def __init__(self, open_stream: OpenStream, send: Send) -> None:
        self._open_stream = open_stream
        self._requests: BatchedHandle[AssistantRequest] = BatchedHandle(
            "assistant", send, in_flight=2, max_batch=16
        )

    async def call(self, request: AssistantRequest) -> Reply:
        """Raises the request's own AppError, `unavailable` while the deployment is away."""
        return await self._requests.call(request)

    async def ask(self, request: AskQuestion) -> AsyncGenerator[AnswerEvent, None]:
        """Events in the order of the contract. Closing it, or cancelling who waits for it, ends the
        work in the deployment. Raises AppError, `unavailable` while the deployment is away."""
        frames = frames_of(self._open_stream, encode(request), frame_seconds=_FRAME_SECONDS)
        async with aclosing(frames):
            async for frame in frames:
                message = _decode(frame)
                if isinstance(message, Failure):
                    raise message.error()
                yield message
