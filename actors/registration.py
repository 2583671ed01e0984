"""What a new account must look like. Pure: every fault is found at once and told with its path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from actors.account_fields import (
    HANDLE_PATTERN,
    LANGUAGE_PATTERN,
    MAX_EMAIL_CHARACTERS,
    MAX_LANGUAGE_CHARACTERS,
    MAX_LANGUAGES,
)
from actors.passwords import MAX_CHARACTERS, MIN_CHARACTERS

Faults = tuple[tuple[str, str], ...]

_HANDLE: Final = re.compile(HANDLE_PATTERN, re.ASCII)
# What nearly every real address looks like: no quoted local parts, address literals or comments.
_EMAIL: Final = re.compile(
    r"(?=[^@]{1,64}@)[^\s@.\"(),:;<>\[\]\\\x00-\x1f\x7f]+(?:\.[^\s@.\"(),:;<>\[\]\\\x00-\x1f\x7f]+)*"
    r"@(?:(?!-)(?:[^\W_]|-){1,63}(?<!-)\.)+(?!-)(?:[^\W\d_]|[0-9-]){2,63}(?<!-)"
)
_LANGUAGE: Final = re.compile(LANGUAGE_PATTERN, re.ASCII)

# Names that would speak for the server or its people, or that stand in paths of the site.
RESERVED_HANDLES: Final = frozenset(
    re.findall(
        r"\w+",
        """
        abuse account accounts admin administrator admins all anonymous api ask auth bot channel
        communities community connection contact deleted docs everyone feed feeds guest healthz help
        here home host info login logout mail me media mod moderation moderator moderators mods
        nobody none notifications null official operator owner post posts postmaster privacy readyz
        register root search security serai settings sign_in sign_up site staff static status
        support sysadmin system team terms thread threads undefined user users webmaster
        """,
    )
)


def faults(handle: str, email: str, password: str, languages: Sequence[str]) -> Faults:
    """(path, reason) of everything that is wrong; empty when all is well."""
    found: list[tuple[str, str]] = []
    if _HANDLE.fullmatch(handle) is None:
        found.append(("handle", "must be 3 to 30 of a-z, 0-9 and _"))
    elif handle in RESERVED_HANDLES:
        found.append(("handle", "is reserved"))
    if len(email) > MAX_EMAIL_CHARACTERS:
        found.append(("email", f"must have at most {MAX_EMAIL_CHARACTERS} characters"))
    elif not _is_unicode(email) or _EMAIL.fullmatch(email) is None:
        found.append(("email", "is not an e-mail address"))
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        found.append(("password", f"must have {MIN_CHARACTERS} to {MAX_CHARACTERS} characters"))
    elif not _is_unicode(password):
        found.append(("password", "is not valid Unicode"))
    if len(languages) > MAX_LANGUAGES:
        found.append(("languages", f"must have at most {MAX_LANGUAGES} items"))
    else:
        for place, language in enumerate(languages):
            is_tag = _LANGUAGE.fullmatch(language) is not None
            if not is_tag or len(language) > MAX_LANGUAGE_CHARACTERS:
                found.append((f"languages[{place}]", "is not a BCP 47 language tag"))
    return tuple(found)


def _is_unicode(text: str) -> bool:
    """Lone surrogates, which JSON can carry, have no UTF-8 form that Postgres would store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
