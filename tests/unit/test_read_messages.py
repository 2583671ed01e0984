"""What a gateway may send to a replica."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from actors.messages import FROM_PRIMARY, Read, ThreadRead, ThreadRequest
from actors.public_messages import PublicRead

READS = (*get_args(ThreadRead), *get_args(PublicRead))


@pytest.mark.parametrize("kind", READS, ids=lambda kind: kind.__name__)
def test_every_read_carries_the_position_of_the_session(kind: type[Read]) -> None:
    """Without it a member could be answered by a replica that lacks their own write."""
    assert issubclass(kind, Read)
    (field,) = [field for field in msgspec.structs.fields(kind) if field.name == "position"]
    assert field.default == 0


def test_positions_fit_on_the_wire() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(FROM_PRIMARY)) == FROM_PRIMARY


def test_no_write_is_mistaken_for_a_read() -> None:
    writes = set(get_args(ThreadRequest)) - set(get_args(ThreadRead))
    assert writes and not any(issubclass(kind, Read) for kind in writes)
