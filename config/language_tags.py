"""BCP 47 tags in one spelling, so that equal ones are equal to the database."""

from __future__ import annotations

from typing import Final

_CASES: Final = {2: str.upper, 4: str.title}


def canonical_language(tag: str) -> str:
    """The case that RFC 5646, section 2.1.1, recommends: `zh-Hant`, `pt-BR`."""
    first, *rest = tag.split("-")
    return "-".join([first.lower(), *(_CASES.get(len(part), str.lower)(part) for part in rest)])
