"""Calls to the LLM deployment: text as it is generated."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final
from uuid import UUID

import msgspec

from actors.llm_messages import GenerateText, LlmFrame
from actors.messages import Failure
from ai.engines.engine import Generation
from config.llm import Llm
from serve_app.deployment_stream import OpenStream, frames_of

encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(LlmFrame).decode

# The replica keeps to the deadline by itself; this is for one that hangs.
_GRACE_SECONDS: Final = 5.0


class LlmClient:
    def __init__(self, settings: Llm, open_stream: OpenStream) -> None:
        self._open_stream = open_stream
        self.trusted: Final = settings.is_trusted
        """Whether its answers may be shown where they pass verification."""
        self.model: Final = settings.model_name
        """Names the model to people and in keys of caches."""

    async def stream(
        self, generation: Generation, *, account_id: UUID | None
    ) -> AsyncGenerator[str, None]:
        """The text in pieces. `account_id` pays for it from its budget of the day; None is the
        server's own work.

        Closing it (`contextlib.aclosing`) or cancelling who waits for it ends the generation in
        the engine. Raises AppError: 'rate_limited' where too many wait or the budget is used up
        (see `retry_after_seconds`), 'overloaded' at the deadline, 'unavailable', 'too_large' or
        'invalid'. Text that came before an error is not sent again.
        """
        frames = frames_of(
            self._open_stream,
            encode(GenerateText(generation, account_id)),
            whole_seconds=generation.deadline_seconds + _GRACE_SECONDS,
        )
        async with aclosing(frames):
            async for frame in frames:
                message = _decode(frame)
                if isinstance(message, Failure):
                    raise message.error()
                yield message.text
