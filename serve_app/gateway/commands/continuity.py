"""The position of a subscription at its start, and what it missed since it was here last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from actors.shard_messages import Publication
from config.channels import Namespace
from serve_app.gateway import codes, fossil
from serve_app.gateway.channel import Channel
from serve_app.gateway.codec_json import single_line
from serve_app.gateway.protocol import (
    REJECT_UNRECOVERED,
    ClientInfo,
    PublicationResult,
    SubscribeRequest,
    SubscribeResult,
)
from serve_app.gateway.subscription import Terms

if TYPE_CHECKING:
    from serve_app.gateway.session import Session

NO_EPOCH: Final = "_"
"""What SDKs send when their position is void: nothing is to be recovered."""
_ENVELOPE_BYTES: Final = 64
_CLIENT_INFO: Final = msgspec.json.Decoder(ClientInfo)


class Start(NamedTuple):
    """`base`: the data of the newest publication in the result, for the delta that follows it."""

    result: SubscribeResult
    base: bytes | None = None

    @property
    def size(self) -> int:
        """Of the publications, in bytes; about."""
        return sum(len(p.data) + _ENVELOPE_BYTES for p in self.result.publications)


def publication_result(publication: Publication) -> PublicationResult:
    return _result(publication, msgspec.Raw(single_line(publication.data)))


async def find_start(
    session: Session, channel: Channel, row: Namespace, terms: Terms, request: SubscribeRequest
) -> Start:
    """For a client that is admitted in this very tick. Raises ReplyError 112 where the client wants
    that, AppError when the shard is away."""
    missed: list[Publication] | None = None
    if terms.recoverable and request.recover:
        missed = await _missed(session, channel, row, request)
    if request.recover and missed is None and request.flag & REJECT_UNRECOVERED:
        raise codes.unrecoverable_position()
    # Also where nothing can be recovered: whoever asked must read everything anew.
    asked = request.recover
    if not (terms.recoverable or terms.positioned):
        return Start(SubscribeResult(was_recovering=asked))
    position = channel.position
    fields: dict[str, Any] = {
        "recoverable": terms.recoverable,
        "positioned": terms.positioned,
        "delta": terms.delta,
    }
    offset = position.last
    if missed is not None and row.recovery == "stream":
        # SDKs advance from the position they asked for by the publications.
        offset = request.offset
    publications = missed or []
    result = SubscribeResult(
        epoch=position.epoch,
        offset=offset,
        publications=(
            _chain(publications) if terms.delta else [publication_result(p) for p in publications]
        ),
        recovered=missed is not None,
        was_recovering=asked,
        **fields,
    )
    return Start(result, publications[-1].data if publications else None)


async def _missed(
    session: Session, channel: Channel, row: Namespace, request: SubscribeRequest
) -> list[Publication] | None:
    if request.epoch == NO_EPOCH:
        return None
    catch_up = session.services.catch_up
    if row.recovery == "stream":
        return await catch_up.recover(channel, request.epoch, request.offset)
    newest = await catch_up.newest(channel)
    position = channel.position
    if (request.epoch, request.offset) == (position.epoch, position.last):
        return []
    return None if newest is None else [newest]


def _chain(publications: Sequence[Publication]) -> list[PublicationResult]:
    """The first in full, the others as deltas against the one before where that is smaller."""
    results = []
    previous: bytes | None = None
    for publication in publications:
        data = publication.data
        patch = b"" if previous is None else fossil.create_delta(previous, data)
        is_delta = 0 < len(patch) < len(data)
        content = patch if is_delta else data
        results.append(_result(publication, msgspec.Raw(content), is_delta))
        previous = data
    return results


def _result(publication: Publication, data: msgspec.Raw, delta: bool = False) -> PublicationResult:
    return PublicationResult(
        data,
        info=_CLIENT_INFO.decode(publication.info) if publication.info else None,
        offset=publication.offset,
        tags=publication.tags or {},
        delta=delta,
        time=publication.time_ms,
    )
