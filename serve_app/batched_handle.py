"""Calls to a deployment, many requests a call.

What arrives while a call is in flight goes out together (docs/adr/0002), over a line to one of the
replicas (docs/adr/0026). A batch whose replica died is sent again: reads may be repeated, new posts
and comments carry an idempotency key, and all other writes of content change nothing when what they
ask for stands already. A repeated login opens a session more, and a repeated announcement of a file
one more that nothing is uploaded to, which a job removes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

import msgspec
from prometheus_client import Counter, Histogram

from actors.batching import Batcher
from actors.messages import Failure, Outcome, Reply
from config.errors import AppError
from serve_app.lines import LineLost, NotSent

Request = TypeVar("Request")
# Raises LineLost where the replica is away: NotSent, or it may have done the work.
Send = Callable[[bytes], Awaitable[bytes]]

encode: Final = msgspec.msgpack.Encoder().encode
_decode_outcomes: Final = msgspec.msgpack.Decoder(list[Outcome]).decode

RESEND_SECONDS: Final = 15.0
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0

_batches: Final = Counter("serai_handle_batches", "Calls made", ["deployment"])
_refused: Final = Counter(
    "serai_handle_refused", "Requests refused because others waited too long", ["deployment"]
)
_resent: Final = Counter("serai_handle_resent", "Batches sent again", ["deployment"])
_sizes: Final = Histogram(
    "serai_handle_batch_size", "Requests a call", ["deployment"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)  # fmt: skip


class BatchedHandle(Generic[Request]):
    """`call` raises the request's own AppError; `unavailable` when the deployment stays away for 15
    seconds, `overloaded` when too many requests wait. Cancelling a caller drops only its request.

    `resend` False: a batch that may or may not have run is answered 'unavailable' instead.
    """

    def __init__(
        self,
        name: str,
        send: Send,
        *,
        in_flight: int,
        resend: bool = True,
        max_batch: int = 256,
        max_queued: int = 10_000,
        max_wait_seconds: float = float("inf"),
    ) -> None:
        self._name = name
        self._send = send
        self._resend = resend
        self._batcher: Batcher[Request, Reply] = Batcher(
            self._call,
            max_batch=max_batch,
            in_flight=in_flight,
            max_queued=max_queued,
            max_wait_seconds=max_wait_seconds,
        )

    async def call(self, request: Request, timeout_seconds: float = 30.0) -> Reply:
        if self._batcher.is_congested:
            _refused.labels(self._name).inc()
        return await self._batcher.submit(request, timeout_seconds)

    async def close(self) -> None:
        await self._batcher.close()

    def statistics(self) -> dict[str, int]:
        return self._batcher.statistics()

    async def _call(self, requests: list[Request]) -> Sequence[Reply | AppError]:
        _batches.labels(self._name).inc()
        _sizes.labels(self._name).observe(len(requests))
        answer = await self._answer(encode(requests))
        return [
            outcome.error() if isinstance(outcome, Failure) else outcome
            for outcome in _decode_outcomes(answer)
        ]

    async def _answer(self, payload: bytes) -> bytes:
        give_up = time.monotonic() + RESEND_SECONDS
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self._send(payload)
            except LineLost as error:
                may_resend = self._resend or isinstance(error, NotSent)
                if not may_resend or time.monotonic() + pause > give_up:
                    raise AppError(
                        "unavailable", "A part of the server is restarting.", retry_after_seconds=1
                    ) from error
            _resent.labels(self._name).inc()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
