"""What the fields of an account may hold: one definition for the actor and for the API's schema.

Pure, and free of what hashing imports, since gateways read it too.
"""

from __future__ import annotations

from typing import Final

HANDLE_PATTERN: Final = r"[a-z0-9_]{3,30}"
# RFC 5646 section 2.1, without the registered 4 to 8 letter languages that nobody has registered
# and without one-letter subtags; its section 4.4.1 gives the length.
LANGUAGE_PATTERN: Final = r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,4}"
MAX_LANGUAGE_CHARACTERS: Final = 35
MAX_LANGUAGES: Final = 16
MAX_EMAIL_CHARACTERS: Final = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
