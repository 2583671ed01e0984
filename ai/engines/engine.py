"""What generates text: the interface of the LLM deployment to its engine (docs/adr/0019).

    engine = LlamaCpp(...)
    async with aclosing(engine.stream(Generation((ChatMessage("user", "Hello"),)))) as pieces:
        async for piece in pieces:
            ...

Batching of streams that run at the same time is the engine's. Queue, budgets and the circuit
breaker are the deployment's (actors/llm.py).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import msgspec

Role = Literal["system", "user", "assistant"]
Health = Literal["idle", "starting", "ready", "away", "dead"]
"""`idle`: starts at the first stream. `away`: the last attempt failed, the next may succeed.
`dead`: only a new process helps."""


class ChatMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    role: Role
    content: str


class Generation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What to generate. The deployment lowers `max_tokens` and `deadline_seconds` to its own
    bounds; the deadline counts from the arrival there, waiting included."""

    messages: tuple[ChatMessage, ...]
    max_tokens: int = 256
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    """Generation ends before the first of these, which is not part of the text."""
    deadline_seconds: float = 60.0


class EngineStatistics(msgspec.Struct, frozen=True):
    health: Health
    running: int
    """Streams that the engine works on."""
    starts: int
    """How often it, or its child process, was started."""


class Engine(Protocol):
    async def start(self) -> None:
        """Loads what it needs; `stream` does it too. Raises AppError 'unavailable'."""

    def stream(self, generation: Generation) -> AsyncGenerator[str, None]:
        """The text in pieces of about a token, none of them empty.

        Closing it, or cancelling who waits for it, ends the work in the engine. Raises AppError:
        'unavailable' where the engine fails, 'overloaded' where it has no room, 'too_large' where
        the messages don't fit, 'invalid' where it refuses them. Text that came before stays valid.
        """

    def health(self) -> Health:
        """What it knows without asking: costs nothing."""

    def statistics(self) -> EngineStatistics: ...

    async def close(self) -> None:
        """Ends the streams that run."""
