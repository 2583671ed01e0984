"""Ids of everything that lives in a country's partition: UUIDv7 with the country inside.

Layout (RFC 9562, section 5.7): 48 bits of Unix milliseconds, version 7, the 12 `rand_a` bits hold
the ISO 3166-1 numeric country, variant 10, 62 random bits. Ids therefore sort by time and name
their partition without a lookup. Two ids of one millisecond have no defined order.
"""

from __future__ import annotations

import os
import re
import struct
import time
from typing import Final
from uuid import UUID

NO_COUNTRY: Final = 0  # member-made groups
MAX_COUNTRY: Final = 0xFFF
MAX_TIME_MS: Final = (1 << 48) - 1

_VERSION_BITS: Final = 0x7 << 76
_VARIANT_BITS: Final = 0b10 << 62
_RANDOM_MASK: Final = (1 << 62) - 1
_POOL_WORDS: Final = 256
_POOL_FORMAT: Final = struct.Struct(f"<{_POOL_WORDS}Q")
_CANONICAL: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII
)

# One system call feeds many ids. `list.pop` is atomic, so threads never share a word.
_pool: list[int] = []

# A forked child that kept the pool would make the very ids its parent makes.
os.register_at_fork(after_in_child=_pool.clear)


def new_id(country: int, at_ms: int | None = None) -> UUID:
    """A fresh id in `country` (0..4095, 0 is none), at Unix milliseconds (default: now)."""
    if not 0 <= country <= MAX_COUNTRY:
        raise ValueError(f"country {country} is outside 0..{MAX_COUNTRY}")
    if at_ms is None:
        at_ms = time.time_ns() // 1_000_000
    _check_time(at_ms)
    return UUID(
        int=at_ms << 80
        | _VERSION_BITS
        | country << 64
        | _VARIANT_BITS
        | _random_word() & _RANDOM_MASK
    )


def lowest_id_at(at_ms: int) -> UUID:
    """The smallest id of that millisecond in any country: the lower bound of a time window."""
    _check_time(at_ms)
    return UUID(int=at_ms << 80 | _VERSION_BITS | _VARIANT_BITS)


def country_of(id: UUID) -> int:
    """ISO 3166-1 numeric; 0 is no country. Meaningless for ids that are not `is_v7`."""
    return id.int >> 64 & MAX_COUNTRY


def in_country(id: UUID, country: int) -> UUID:
    """The same id in another country: `id_in_country` of migrations/0010."""
    return UUID(int=id.int & ~(MAX_COUNTRY << 64) | country << 64)


def time_ms_of(id: UUID) -> int:
    """Unix milliseconds. Meaningless for ids that are not `is_v7`."""
    return id.int >> 80


def is_v7(id: UUID) -> bool:
    value = id.int
    return value >> 76 & 0xF == 7 and value >> 62 & 0b11 == 0b10


def parse_id(text: str) -> UUID:
    """Reads the canonical form only (lower case, hyphens), since ids are also parts of channel
    names and cache keys, where a second spelling would be a second thing. Else ValueError."""
    if _CANONICAL.fullmatch(text) is None:
        raise ValueError("not a canonical UUIDv7")
    return UUID(text)


def _check_time(at_ms: int) -> None:
    if not 0 <= at_ms <= MAX_TIME_MS:
        raise ValueError(f"time {at_ms} ms does not fit 48 bits")


def _random_word() -> int:
    while True:
        try:
            return _pool.pop()
        except IndexError:
            _pool.extend(_POOL_FORMAT.unpack(os.urandom(_POOL_FORMAT.size)))
