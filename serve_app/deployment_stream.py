"""Answers of deployments that come in frames: opened, read to their end, cancelled, asked again.

A replica that died before its first frame has a successor within some seconds, so the call is made
again; what has begun is not, because its reader has seen a part of it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Protocol

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from config.errors import AppError

_AWAY: Final = (RayActorError, DeploymentUnavailableError)
_RESEND_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.25


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


async def frames_of(
    open_stream: OpenStream,
    payload: bytes,
    *,
    frame_seconds: float | None = None,
    whole_seconds: float | None = None,
) -> AsyncGenerator[bytes, None]:
    """The frames in their order. `frame_seconds`: how long each is waited for; `whole_seconds`: how
    long all of them together.

    Closing it (`contextlib.aclosing`) or cancelling who waits for it ends the work in the
    deployment. Raises AppError `unavailable`, `overloaded` or `internal`.
    """
    loop = asyncio.get_running_loop()
    resend_until = loop.time() + _RESEND_SECONDS
    give_up_at = None if whole_seconds is None else loop.time() + whole_seconds
    begun = False
    while True:
        frames = open_stream(payload)
        try:
            while True:
                async with asyncio.timeout_at(give_up_at), asyncio.timeout(frame_seconds):
                    frame = await frames.__anext__()
                begun = True
                yield frame
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
