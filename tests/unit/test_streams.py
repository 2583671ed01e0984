from __future__ import annotations

import pytest

from storage.streams import with_committed_ns


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"a":1}', b'{"a":1,"committed_ns":5}'),
        (b'{"a":"\xc3\xbc"}', b'{"a":"\xc3\xbc","committed_ns":5}'),
        ("{}", b'{"committed_ns":5}'),
    ],
)
def test_committed_ns_is_the_last_member(payload: str | bytes, expected: bytes) -> None:
    assert with_committed_ns(payload, 5) == expected


@pytest.mark.parametrize("payload", ["", "{", "[]", '"{}"', '{"a":1} '])
def test_only_objects_take_committed_ns(payload: str) -> None:
    with pytest.raises(ValueError, match="JSON object"):
        with_committed_ns(payload, 5)
