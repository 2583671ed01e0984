"""Calls to the Search deployment, of workers and of the assistant."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.retrieval_messages import Passage, RetrievalQuery
from actors.search_messages import Filled, FillIndex, IndexContent, SearchRequest
from serve_app.batched_handle import BatchedHandle, Send

# A page of a rebuild, or what has gathered while the engine was writing.
_WRITE_SECONDS: Final = 120.0

_RETRIEVAL_SECONDS: Final = 10.0
_READS: Final = 2

_decode_passages: Final = msgspec.json.Decoder(list[Passage]).decode
_decode_filled: Final = msgspec.json.Decoder(Filled).decode


class SearchClient:
    """Raises the AppErrors of what is asked, `unavailable` while the deployment or its engine is
    away. What is asked while a call is under way goes out together as the next one."""

    def __init__(self, send: Send) -> None:
        self._changes: BatchedHandle[SearchRequest] = BatchedHandle(
            "search", send, in_flight=1, max_batch=32
        )
        self._reads: BatchedHandle[SearchRequest] = BatchedHandle(
            "search", send, in_flight=_READS, max_batch=32
        )

    async def index(self, content: IndexContent) -> None:
        """Returns when searches show it."""
        await self._changes.call(content, _WRITE_SECONDS)

    async def fill(self) -> Filled:
        reply = await self._changes.call(FillIndex(), _WRITE_SECONDS)
        return _decode_filled(reply.body)

    async def retrieve(self, query: RetrievalQuery) -> list[Passage]:
        """The best passages that the asker may read, best first."""
        reply = await self._reads.call(query, _RETRIEVAL_SECONDS)
        return _decode_passages(reply.body)

    async def close(self) -> None:
        await self._changes.close()
        await self._reads.close()
