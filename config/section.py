"""What sections of the settings share: bounds, checks, and that none shows a secret."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

MIN_SECRET_CHARACTERS: Final = 32  # 256 bits, as RFC 7518 section 3.2 asks for HS256
Count = Annotated[int, Meta(ge=1, le=10_000)]
Days = Annotated[int, Meta(ge=1, le=3_650)]
# A bound above keeps infinity and what a timer can't hold out.
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Timeout = Annotated[float, Meta(ge=0.001, le=86_400)]
Bytes = Annotated[int, Meta(ge=1_024, le=1 << 30)]

_ORIGIN: Final = re.compile(r"https?://[^\s/?#*,]+/?")
# Of any section. An address may hold a password.
_SECRET_FIELDS: Final = frozenset(
    {
        "access_key_id",
        "api_key",
        "endpoint",
        "meilisearch_key",
        "meilisearch_url",
        "replica_urls",
        "secret",
        "secret_access_key",
        "token_jwks_url",
        "token_secret",
        "url",
    }
)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={'***' if name in _SECRET_FIELDS and value else repr(value)}"
            for name in self.__struct_fields__
            for value in (getattr(self, name),)
        )
        return f"{type(self).__name__}({shown})"


def check_urls(field: str, urls: tuple[str, ...], schemes: tuple[str, ...]) -> None:
    """Never repeats the URL, which may hold a password."""
    for url in urls:
        scheme, colon, rest = url.partition("://")
        if url and not (colon and rest and scheme in schemes):
            raise ValueError(f"{field}: must begin with {' or '.join(f'{s}://' for s in schemes)}")


def check_secret(field: str, value: str) -> None:
    if 0 < len(value) < MIN_SECRET_CHARACTERS:
        raise ValueError(
            f"{field}: must have {MIN_SECRET_CHARACTERS} characters or more, or be empty"
        )


def check_origin(field: str, value: str) -> None:
    if _ORIGIN.fullmatch(value) is None:
        raise ValueError(f"{field}: {value!r} is not of the form https://host[:port]")
