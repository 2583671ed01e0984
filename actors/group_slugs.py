"""The slug of a member-made group, from its name. Pure.

The directory owns every slug of two letters and whatever begins with two letters and a hyphen
(`de`, `de-student`), those that it will have one day included; ids are looked up as ids.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

MAX_CHARACTERS: Final = 60
_RESERVED: Final = re.compile(r"[a-z]{2}(-.*)?")
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WITHOUT_LATIN: Final = "group"
_PLAIN_TRIES: Final = 3
_RANDOM_TRIES: Final = 3


def slugs_for(name: str, random_letters: Callable[[int], str]) -> tuple[str, ...]:
    """What to try, the best first: the name alone, with a number, with letters that nobody has.
    `random_letters(n)` answers n characters of a-z, 0-9."""
    base = slug_of(name)
    numbered = (f"{base}-{n}" for n in range(2, _PLAIN_TRIES + 1))
    unheard_of = (f"{base}-{random_letters(8)}" for _ in range(_RANDOM_TRIES))
    if base == _WITHOUT_LATIN:
        return tuple(unheard_of)
    return (base, *numbered, *unheard_of)


def slug_of(name: str) -> str:
    """Lower-case letters, digits and single hyphens. A name without a Latin letter or digit has
    nothing to make a slug of: it gets a word that says so."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain)
    slug = "-".join(words)[:MAX_CHARACTERS].strip("-") or _WITHOUT_LATIN
    if _RESERVED.fullmatch(slug) or _ID.fullmatch(slug):
        return f"g-{slug}"
    return slug
