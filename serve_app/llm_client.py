"""Calls to the LLM deployment: text as it is generated."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from actors.llm_messages import GenerateText, LlmFrame
from actors.messages import Failure
from ai.engines.engine import Generation
from config.errors import AppError
from config.llm import Llm

encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(LlmFrame).decode

_AWAY: Final = (RayActorError, DeploymentUnavailableError)
# A replica that died before the first chunk has a successor within three seconds.
_RESEND_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.25
# The replica keeps to the deadline by itself; this is for one that hangs.
_GRACE_SECONDS: Final = 5.0


class FrameStream(Protocol):
    async def __anext__(self) -> bytes: ...

    def cancel(self) -> None: ...


OpenStream = Callable[[bytes], FrameStream]


def deployment_stream(handle: Any) -> OpenStream:
    """The `stream` method of a deployment, over gRPC.

    In a context of its own: a call that Serve takes for a part of the request in hand can hang
    behind it, and would be cancelled with it in an order that nobody chose.
    """
    method = handle.options(method_name="stream", stream=True, _by_reference=False)

    def open_stream(payload: bytes) -> FrameStream:
        stream: FrameStream = contextvars.Context().run(method.remote, payload)
        return stream

    return open_stream


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
        (see `retry_after_seconds`), 'unavailable', 'overloaded', 'too_large' or 'invalid'. Text
        that came before an error is not sent again.
        """
        payload = encode(GenerateText(generation, account_id))
        loop = asyncio.get_running_loop()
        resend_until = loop.time() + _RESEND_SECONDS
        give_up_at = loop.time() + generation.deadline_seconds + _GRACE_SECONDS
        begun = False
        while True:
            frames = self._open_stream(payload)
            try:
                while True:
                    async with asyncio.timeout_at(give_up_at):
                        frame = await frames.__anext__()
                    message = _decode(frame)
                    if isinstance(message, Failure):
                        raise message.error()
                    begun = True
                    yield message.text
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise AppError("unavailable", "The assistant does not answer.") from error
            except _AWAY as error:
                if begun or loop.time() > resend_until:
                    raise AppError(
                        "unavailable", "The assistant is restarting.", retry_after_seconds=3
                    ) from error
            except BackPressureError as error:
                raise AppError("overloaded", "Too busy.", retry_after_seconds=1) from error
            except RayTaskError as error:
                raise AppError("internal", "A part of the server failed.") from error
            finally:
                frames.cancel()
            await asyncio.sleep(_PAUSE_SECONDS)
