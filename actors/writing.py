"""The model that writes texts, as the assistant and jobs ask for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol
from uuid import UUID

from ai.engines.engine import Generation


class Writer(Protocol):
    """The LLM deployment (serve_app/llm_client.py). `trusted`: what it writes may be shown where it
    passes verification."""

    @property
    def trusted(self) -> bool: ...
    @property
    def model(self) -> str: ...
    def stream(
        self, generation: Generation, *, account_id: UUID | None
    ) -> AsyncGenerator[str, None]: ...


async def write_whole(writer: Writer, generation: Generation, account_id: UUID | None) -> str:
    """The text when it is complete. Raises AppError; cancelled, the engine stops as well."""
    pieces: list[str] = []
    async with aclosing(writer.stream(generation, account_id=account_id)) as stream:
        async for piece in stream:
            pieces.append(piece)
    return "".join(pieces)
