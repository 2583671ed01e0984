"""What crosses between callers of the LLM deployment and its replicas."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from actors.messages import Failure, Message
from ai.engines.engine import Generation

GUESTS: Final = UUID(int=0)
"""No account: whoever asks without one pays from this budget, the same for all of them."""


class GenerateText(msgspec.Struct, frozen=True, array_like=True, gc=False):
    generation: Generation
    account_id: UUID | None = None
    """Whose budget pays; None: the server's own work, which has none."""


class TextChunk(Message, frozen=True):
    """What has been generated since the last one."""

    text: str
    tokens: int


LlmFrame = TextChunk | Failure
"""A stream is chunks, and a failure last where it does not end well."""
