"""Calls to the Assistant deployment: an answer as it is made, and feedback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from actors.assistant_messages import AnswerEvent, AnswerFrame, AskQuestion, AssistantRequest
from actors.messages import Failure, Reply
from config.errors import AppError
from serve_app.batched_handle import BatchedHandle, Send
from serve_app.llm_client import OpenStream

encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(AnswerFrame).decode

_AWAY: Final = (RayActorError, DeploymentUnavailableError)
# A replica that died before its first frame has a successor within some seconds.
_RESEND_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.25
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
        payload = encode(request)
        loop = asyncio.get_running_loop()
        resend_until = loop.time() + _RESEND_SECONDS
        begun = False
        while True:
            frames = self._open_stream(payload)
            try:
                while True:
                    async with asyncio.timeout(_FRAME_SECONDS):
                        frame = await frames.__anext__()
                    message = _decode(frame)
                    if isinstance(message, Failure):
                        raise message.error()
                    begun = True
                    yield message
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
