"""What a page says, without how it is built: the text that is compared. Pure.

Scripts, styles and markup change with every request (tokens, build numbers); the words do not.
Where a page marks its main part, only that counts: menus and banners change without meaning
anything.
"""

from __future__ import annotations

import hashlib
import unicodedata
from email.message import Message
from html.parser import HTMLParser
from typing import Final

_SILENT: Final = frozenset({"script", "style", "noscript", "template", "svg", "head", "iframe"})
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._silent: list[str] = []
        self._main = 0
        self.every: list[str] = []
        self.main: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "main":
            self._main += 1
        elif tag == "body":
            self._silent.clear()  # a head that is not closed
        elif tag in _SILENT:
            self._silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "main":
            self._main = max(0, self._main - 1)
        elif tag in self._silent:
            while self._silent.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.every.append(data)
            if self._main:
                self.main.append(data)


def content_hash(content_type: str, body: bytes) -> bytes:
    """SHA-256 of the text of an HTML page, of anything else of its bytes."""
    message = Message()
    message["Content-Type"] = content_type or "text/html"
    if message.get_content_type() not in _HTML:
        return hashlib.sha256(body).digest()
    try:
        text = body.decode(message.get_content_charset("utf-8"), "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    return hashlib.sha256(page_text(text).encode("utf-8", "replace")).digest()


def page_text(html: str) -> str:
    parser = _Text()
    parser.feed(html)
    parser.close()
    words = " ".join(parser.main).split() or " ".join(parser.every).split()
    return unicodedata.normalize("NFC", " ".join(words))
