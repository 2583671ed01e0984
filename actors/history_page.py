"""One answer to ReadHistory: bounded in number and bytes, and whether it is all there is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from actors.shard_messages import HistoryReply, Publication, ReadHistory, StreamPosition


def page(publications: Iterable[Publication], limit: int, max_bytes: int) -> list[Publication]:
    """The first of them; a single one beyond the byte bound comes alone."""
    total = 0
    found: list[Publication] = []
    for publication in islice(publications, max(0, limit)):
        total += publication.size_bytes
        if found and total > max_bytes:
            break
        found.append(publication)
    return found


def reply(
    request: ReadHistory, top: StreamPosition, publications: list[Publication]
) -> HistoryReply:
    # Offsets are distinct and within the span, so their number says whether any is missing.
    if request.reverse:
        span = min(request.after - 1, top.offset) if request.after else top.offset
    else:
        span = top.offset - max(0, request.after)
    return HistoryReply(top, publications, complete=len(publications) == span)
