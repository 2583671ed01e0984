"""Calls to the Search deployment, of workers and of the assistant."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.search_messages import Filled, FillIndex, IndexContent, SearchRequest
from serve_app.batched_handle import BatchedHandle, Send

# A page of a rebuild, or what has gathered while the engine was writing.
_WRITE_SECONDS: Final = 120.0

_decode_filled: Final = msgspec.json.Decoder(Filled).decode


class SearchClient:
    """Raises the AppErrors of what is asked, `unavailable` while the deployment or its engine is
    away. What is asked while a call is under way goes out together as the next one."""

    def __init__(self, send: Send) -> None:
        self._changes: BatchedHandle[SearchRequest] = BatchedHandle(
            "search", send, in_flight=1, max_batch=32
        )

    async def index(self, content: IndexContent) -> None:
        """Returns when searches show it."""
        await self._changes.call(content, _WRITE_SECONDS)

    async def fill(self) -> Filled:
        reply = await self._changes.call(FillIndex(), _WRITE_SECONDS)
        return _decode_filled(reply.body)

    async def close(self) -> None:
        await self._changes.close()
