"""How texts point to uploaded files: `/media/<id>`, or the API's own path. Pure."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

PATH: Final = "/api/v1/media/"
MAX_FILES: Final = 20  # of one text; what is beyond stays its owner's alone
# What a text shows of a picture; it leads to the whole.
SHOWN_SIZE: Final = 960

_ID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_LINK: Final = re.compile(rf"(?:/api/v1)?/media/({_ID})")
_OWN: Final = re.compile(rf"{PATH}{_ID}(?:/thumbnails/{SHOWN_SIZE})?")


def own_path(address: str) -> str | None:
    """The API's path of the file that a link names; None: it names none."""
    match = _LINK.fullmatch(address)
    return None if match is None else PATH + match[1]


def is_own(address: str) -> bool:
    """Whether rendered text may hold this relative address."""
    return _OWN.fullmatch(address) is not None


def linked_files(markdown: str) -> tuple[UUID, ...]:
    """Ids in order of appearance, the first 20. Nothing says that they exist, or that their place
    in the text is shown."""
    if "/media/" not in markdown:
        return ()
    found = dict.fromkeys(match[1] for match in _LINK.finditer(markdown))
    return tuple(UUID(id) for id in list(found)[:MAX_FILES])
