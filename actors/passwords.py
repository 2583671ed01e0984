"""Argon2id hashes of passwords, made in a few threads, off the event loop.

A hash holds a core for some tens of milliseconds. The queue is bounded, so that a storm of log-ins
is told to come back instead of making everybody wait.
"""

from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from config.errors import AppError

T = TypeVar("T")

MIN_CHARACTERS: Final = 10
MAX_CHARACTERS: Final = 256


class Verdict(NamedTuple):
    """`stale`: right, but the hash was made with other parameters, so make a new one."""

    right: bool
    stale: bool


class Passwords:
    """Hashes and verifies. The default cost is that of the OWASP Password Storage Cheat Sheet for
    Argon2id: 19 MiB, 2 passes, 1 lane."""

    def __init__(
        self,
        *,
        threads: int = 2,
        queue: int = 64,
        memory_kib: int = 19_456,
        passes: int = 2,
    ) -> None:
        self._hasher = argon2.PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=1, type=argon2.Type.ID
        )
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._bound = threads + queue
        self._lock = threading.Lock()
        self._pending = 0
        self._closed = False
        # Compared with where there is no account, so that the time doesn't tell which ones exist.
        self._dummy = self._executor.submit(self._hasher.hash, "nobody's password")

    async def hash(self, password: str) -> str:
        """Raises AppError `overloaded` when too many wait."""
        return await self._run(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, stored: str | None, password: str) -> Verdict:
        """Never right for None, which takes as long as a wrong password.

        Raises AppError `overloaded` when too many wait. A cancelled caller leaves the queue.
        """
        return await self._run(lambda: self._verify(stored, password))

    def close(self) -> None:
        """Drops what waits; the threads end with what they are at."""
        self._closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str | None, password: str) -> Verdict:
        if stored is None or len(password) > MAX_CHARACTERS:
            self._matches(self._dummy.result(), password[:MAX_CHARACTERS])
            return Verdict(False, False)
        if not self._matches(stored, password):
            return Verdict(False, False)
        return Verdict(True, self._hasher.check_needs_rehash(stored))

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _normal(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._pending >= self._bound:
                raise AppError("overloaded", "Too many log-ins at once.", retry_after_seconds=1.0)
            self._pending += 1
        try:
            future = self._executor.submit(work)
        except RuntimeError:  # shut down
            self._left(None)
            raise _closing() from None
        future.add_done_callback(self._left)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                raise _closing() from None  # `close` has dropped it, nobody cancelled the caller
            raise

    def _left(self, _: Future[T] | None) -> None:
        with self._lock:
            self._pending -= 1


def _closing() -> AppError:
    return AppError("unavailable", "Shutting down.", retry_after_seconds=1.0)


def _normal(password: str) -> bytes:
    # The same password typed on two systems may differ in composition (NIST SP 800-63B, 3.1.1.2). A
    # lone surrogate can't be typed; it must not raise either.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
