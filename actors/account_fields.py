"""What the fields of an account may hold: one definition for the actor and for the API's schema.

Pure, and free of what hashing imports, since gateways read it too.
"""

from __future__ import annotations

import unicodedata
from typing import Final

HANDLE_PATTERN: Final = r"[a-z0-9_]{3,30}"
# RFC 5646 section 2.1, without the registered 4 to 8 letter languages that nobody has registered
# and without one-letter subtags; its section 4.4.1 gives the length.
LANGUAGE_PATTERN: Final = r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,4}"
MAX_LANGUAGE_CHARACTERS: Final = 35
MAX_LANGUAGES: Final = 16
MAX_EMAIL_CHARACTERS: Final = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
MAX_DISPLAY_NAME_CHARACTERS: Final = 60

# Invisible, but part of how Persian, Hindi and many emoji are written.
_JOINERS: Final = frozenset("\u200c\u200d")


def clean_display_name(text: str) -> str | None:
    """The name on one line, composed (NFC); None: it is no name, for it shows nothing, is too long,
    or holds characters that change how the text around it is shown."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 1 <= len(name) <= MAX_DISPLAY_NAME_CHARACTERS:
        return None
    kinds = [unicodedata.category(character)[0] for character in name if character not in _JOINERS]
    if "C" in kinds or not any(kind in "LNSP" for kind in kinds):
        return None
    return name
