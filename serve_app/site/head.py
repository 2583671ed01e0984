"""What search engines and previews of links read: the head of a page, and its text without script.

Pure. Everything that members wrote is escaped here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from typing import Any, Final, Literal

import msgspec

SITE_NAME: Final = "Serai"
_PICTURE: Final = "/preview.png"
DESCRIPTION_CHARACTERS: Final = 200
# In a script element only these could end it, or begin what a parser treats differently.
_JSON_ESCAPES: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
# Their text is none.
_SILENT: Final = frozenset({"script", "style", "template"})
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Head:
    """`path` is the page's own address, also where it is reached by others. `text`: HTML, for who
    has no script. A page that is not `indexed` says nothing about itself but its title."""

    title: str = ""
    description: str = ""
    path: str = "/"
    kind: Literal["website", "article"] = "website"
    published: str | None = None
    modified: str | None = None
    feed: tuple[str, str] | None = None
    """Path and title of the Atom feed."""
    data: Mapping[str, Any] | None = None
    """JSON-LD (schema.org) without its context."""
    text: str = ""
    indexed: bool = True


NOT_INDEXED: Final = Head(indexed=False)


def render_head(head: Head, origin: str) -> str:
    """`origin` is `https://host` without a slash; empty where it is not known."""
    title = f"{head.title} · {SITE_NAME}" if head.title else SITE_NAME
    if not head.indexed:
        return f'<title>{escape(title)}</title><meta name="robots" content="noindex">'
    url = origin + head.path
    parts = [
        f"<title>{escape(title)}</title>",
        _meta("name", "description", head.description),
        _meta("property", "og:site_name", SITE_NAME),
        _meta("property", "og:title", head.title or SITE_NAME),
        _meta("property", "og:description", head.description),
        _meta("property", "og:type", head.kind),
        _meta("property", "og:image", f"{origin}{_PICTURE}"),
        _meta("name", "twitter:card", "summary_large_image"),
    ]
    if origin:
        parts.append(_meta("property", "og:url", url))
        parts.append(f'<link rel="canonical" href="{escape(url)}">')
    if head.published:
        parts.append(_meta("property", "article:published_time", head.published))
    if head.modified:
        parts.append(_meta("property", "article:modified_time", head.modified))
    if head.feed is not None:
        path, name = head.feed
        parts.append(
            f'<link rel="alternate" type="application/atom+xml" title="{escape(name)}"'
            f' href="{escape(path)}">'
        )
    if head.data is not None:
        data = _encode({"@context": "https://schema.org", **head.data}).decode()
        parts.append(f'<script type="application/ld+json">{data.translate(_JSON_ESCAPES)}</script>')
    return "".join(parts)


def render_text(head: Head) -> str:
    return f"<noscript>{head.text}</noscript>" if head.text else ""


def excerpt(html: str, characters: int = DESCRIPTION_CHARACTERS) -> str:
    """The beginning of the text of sanitised HTML, cut between words."""
    text = plain_text(html)
    if len(text) <= characters:
        return text
    cut = text[:characters]
    return f"{cut.rpartition(' ')[0] or cut}…"


def plain_text(html: str) -> str:
    reader = _Text()
    reader.feed(html)
    reader.close()
    return " ".join("".join(reader.parts).split())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in _SILENT
        self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in _SILENT
        self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def _meta(attribute: str, name: str, content: str) -> str:
    return f'<meta {attribute}="{name}" content="{escape(content)}">' if content else ""
