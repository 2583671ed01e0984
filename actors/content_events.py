"""The durable events of changed content, and handing them to the shards after the commit."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from actors import content
from actors.group_commit import Publisher
from actors.shard_messages import Publication
from storage.comments import CommentRow
from storage.content_log import Edited
from storage.posts import PostRow
from storage.stream_writer import rfc3339
from storage.streams import with_committed_ns

_encode: Final = msgspec.json.Encoder().encode


def post_event(kind: str, row: PostRow, received_ns: int) -> str:
    return content.event(kind, "post", _encode(content.post_view(row)), received_ns)


def comment_event(kind: str, row: CommentRow, received_ns: int) -> str:
    return content.event(kind, "comment", _encode(content.comment_view(row)), received_ns)


def publish_edited(publisher: Publisher, edited: Edited) -> None:
    """Overwritten events come first, with the offsets they had: shards replace them."""
    committed_ns = time.time_ns()
    publisher.publish(
        [
            Publication(
                entry.channel,
                entry.offset,
                with_committed_ns(
                    entry.payload,
                    committed_ns if entry.written_us is None else entry.written_us * 1_000,
                ),
            )
            for entry in edited.log
        ]
    )
    thread = edited.activity
    if thread is not None:
        last = None if thread.last_comment_at is None else rfc3339(thread.last_comment_at)
        event = content.thread_activity(
            thread.community_id, thread.post_id, thread.comment_count, last, committed_ns
        )
        publisher.publish_ephemeral([event])
