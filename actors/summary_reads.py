"""The summary of a thread, as it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from actors import content
from actors.messages import ReadSummary, Reply
from actors.shard_messages import StreamPosition
from actors.thread_reads import visible_post
from config.errors import AppError
from storage import summaries
from storage.content_locks import no_post
from storage.postgres import wal_position
from storage.replicas import Readers
from storage.stream_writer import rfc3339
from storage.summaries import Mode, SummarySentence

_encode: Final = msgspec.json.Encoder().encode


class ThreadSummary(msgspec.Struct, frozen=True):
    """Made by a machine when the thread had `comment_count` comments, and to be shown as such:
    `notice` says it in English. `extractive`: sentences of members, word by word; `generated`:
    those of `model`, each checked against the comments that it is from. Plain text. A new one is
    announced by `summary.ready` on the thread's channel."""

    post_id: UUID
    comment_count: int
    mode: Mode
    model: str
    language: str
    sentences: Sequence[SummarySentence]
    notice: str
    made_at: str


class SummaryReader:
    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def read(self, request: ReadSummary) -> Reply:
        """Raises not_found also where there is none (yet)."""
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            post, epoch, top = await visible_post(connection, request.caller, request.post_id)
            if post.deleted:
                raise no_post()
            found = await summaries.read_summary(connection, post.id)
        if found is None:
            raise AppError("not_found", "This thread has no summary yet.")
        view = ThreadSummary(
            found.post_id, found.comment_count, found.mode, found.model, found.language,
            found.sentences, f"Summary of {found.comment_count} comments, made by a machine.",
            rfc3339(found.made_at),
        )  # fmt: skip
        return content.live_page(
            _encode(view),
            f"thread:{post.id}",
            StreamPosition(epoch, top),
            position,
            public=post.visibility == "public",
        )
