"""The text of sanitised HTML, as it is indexed and quoted. Pure."""

from __future__ import annotations

import html
import re
from typing import Final

# Where a reader sees a new line; everything else that is a tag stands within one.
_BREAK: Final = re.compile(
    r"<(?:br|hr|/?(?:p|li|ul|ol|h[1-6]|blockquote|pre|tr|table|div))\b[^>]*>", re.IGNORECASE
)
_TAG: Final = re.compile(r"<[^>]*>")
_SPACES: Final = re.compile(r"[ \t\r\f\v]+")
_LINES: Final = re.compile(r"\s*\n\s*")


def plain_text(sanitised: str) -> str:
    """Lines without markup. Text of sanitised HTML has no bare `<`, so that tags are what begins
    with one."""
    text = html.unescape(_TAG.sub("", _BREAK.sub("\n", sanitised)))
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()
