"""Markdown of members to HTML that is safe to put into any page, and to plain excerpts.

Raw HTML is shown as the text it is. Two independent walls: only the elements below are ever
written, then nh3 keeps an allow-list.

- Links: http, https and mailto only, `rel="nofollow noopener ugc"`; any other keeps its label.
- Files that members have uploaded are shown (media/links.py). Other images become links: a remote
  picture would tell its owner who reads the thread, and when.
- Headings start at h3, below the page's own title and the post's.
- Blocks of text carry `dir="auto"`; what contains blocks (lists, quotes, tables) cannot be judged
  by the browser, which skips children that have a `dir`, so it gets its direction from here.

Work and output are linear in the text, which is expected to be at most 40,000 characters (the
contract's limit of a body): nesting stops at 20 levels, and what the parser's references to one
address may add ends at 100 kB.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from html import escape
from typing import Any, Final

import nh3

from actors.bare_links import may_hold_address, split
from actors.markdown_events import Event, parse, shown, unpacked
from actors.media.links import SHOWN_SIZE, is_own, own_path

MAX_HREF_CHARACTERS: Final = 2_048
MAX_NESTING: Final = 20

_ALLOWED_LINK: Final = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9_+#.-]{1,32}(?!\S)")
_NOT_IN_HREF: Final = re.compile(r"[\x00-\x20\"<>\\^`{|}\x7f]")

_DIRECTIONS: Final = {"auto", "ltr", "rtl"}
_TAGS: Final = frozenset(
    {
        *("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "em", "strong"),
        *("s", "a", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
    }
)
# Only our own renderer writes `class`, from a language name of letters, digits and -+#._
_ATTRIBUTES: Final = {"a": {"href"}, "code": {"class"}, "ol": {"start"}}
_OPTIONS: Final[dict[str, Any]] = {
    "clean_content_tags": {"script", "style"},
    "tag_attribute_values": {
        **{
            tag: {"dir": _DIRECTIONS}
            for tag in ("p", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "li", "table")
        },
        **{tag: {"dir": _DIRECTIONS, "align": {"left", "center", "right"}} for tag in ("th", "td")},
    },
    "link_rel": "nofollow noopener ugc",
    "url_schemes": {"http", "https", "mailto"},
    "url_relative": lambda address: address if is_own(address) else None,
    "strip_comments": True,
}
_cleaner: Final = nh3.Cleaner(tags=_TAGS, attributes=_ATTRIBUTES, **_OPTIONS)
# For texts with pictures alone: it calls back for every attribute, and the other one need not.
_picture_cleaner: Final = nh3.Cleaner(
    tags=_TAGS | {"img"},
    attributes={**_ATTRIBUTES, "img": {"src", "alt", "loading"}},
    attribute_filter=lambda tag, name, value: (
        None if (tag, name) == ("img", "src") and not is_own(value) else value
    ),
    **_OPTIONS,
)

_SIMPLE: Final = {
    "Paragraph": ('<p dir="auto">', "</p>\n"),
    "HtmlBlock": ('<p dir="auto">', "</p>\n"),
    "Emphasis": ("<em>", "</em>"),
    "Strong": ("<strong>", "</strong>"),
    "Strikethrough": ("<s>", "</s>"),
    "Item": ("<li>", "</li>\n"),
    "BlockQuote": ("<blockquote>\n", "</blockquote>\n"),
    "Table": ("<table>\n", "</tbody>\n</table>\n"),
    "TableHead": ("<thead>\n<tr>\n", "</tr>\n</thead>\n<tbody>\n"),
    "TableRow": ("<tr>\n", "</tr>\n"),
}
_CONTAINERS: Final = frozenset({"List", "Item", "BlockQuote", "Table"})
_HEADINGS: Final = {"H1": "h3", "H2": "h4", "H3": "h5", "H4": "h6", "H5": "h6", "H6": "h6"}
_BREAKS: Final = {"SoftBreak": "\n", "HardBreak": "<br>\n", "Rule": "<hr>\n"}
_INLINE: Final = frozenset({"Emphasis", "Strong", "Strikethrough", "Link", "Image"})


def render(markdown: str) -> str:
    """Sanitised HTML, a sequence of block elements; "" for nothing visible. Never raises."""
    writer = _Writer()
    for event in parse(markdown):
        writer.write(event)
    cleaner = _picture_cleaner if writer.has_pictures else _cleaner
    return cleaner.clean(shown("".join(writer.out), "&lt;"))


def plain_text(markdown: str, limit: int) -> str:
    """One line of at most `limit` characters, "…" included where it was cut; for titles of
    notifications, descriptions and snippets. Not HTML: the reader escapes it."""
    if limit < 1:
        raise ValueError("limit must be at least 1")
    pieces: list[str] = []
    # Markup rarely takes more than this, and an excerpt need not pay for the whole body.
    for event in parse(markdown[: 20 * limit + 2_000]):
        kind, value = unpacked(event)
        if kind in ("Start", "End"):
            if unpacked(value)[0] not in _INLINE:
                pieces.append(" ")
        else:
            pieces.append(value or " ")
    text = " ".join(shown("".join(pieces)).split())
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    at_word = cut.rpartition(" ")[0]
    # Scripts without spaces, and one very long word, are cut where the limit falls.
    return (at_word if len(at_word) > limit // 2 else cut).rstrip() + "…"


class _Writer:
    """Turns events into the pieces of `out`, one after the other."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.has_pictures = False
        self._closings: list[str] = []
        # Open containers whose direction no text has settled yet, as places in `out`.
        self._undirected: list[int] = []
        self._links = 0
        self._in_code = False
        self._images: list[str] = []  # targets of the open image and of those in its label
        self._label: list[str] = []
        self._alignment: Sequence[str] = ()
        self._cell = ""
        self._column = 0

    def write(self, event: Event) -> None:
        kind, value = unpacked(event)
        if self._images:
            self._write_in_image(kind, value)
        elif kind == "Text":
            self._text(value)
        elif kind == "Start":
            self._start(*unpacked(value))
        elif kind == "End":
            self._end(*unpacked(value))
        elif kind == "Code":
            self._settle_direction(value)
            self.out.append(f"<code>{escape(value, quote=False)}</code>")
        else:  # raw HTML that `parse` did not hide, or a break
            self.out.append(_BREAKS.get(kind) or escape(value, quote=False))

    # ------------------------------------------------------------ text

    def _text(self, text: str) -> None:
        if self._in_code:
            self.out.append(escape(text, quote=False))
            return
        self._settle_direction(text)
        if self._links or not may_hold_address(text):
            self.out.append(escape(text, quote=False))
            return
        for piece, href in split(text):
            opening = self._link(href) if href is not None else ""
            self.out.append(opening + escape(piece, quote=False) + ("</a>" if opening else ""))

    def _settle_direction(self, text: str) -> None:
        if self._undirected and (direction := _direction(text)):
            for place in self._undirected:
                if self.out[place]:
                    self.out[place] = self.out[place].replace(">", f' dir="{direction}">', 1)
            self._undirected.clear()

    # ------------------------------------------------------------ elements

    def _start(self, name: str, about: Event) -> None:
        if name == "Image":
            self._images.append(about["dest_url"])
            return
        opening, closing = self._element(name, about)
        if len(self._closings) >= MAX_NESTING:
            opening = closing = ""
        if name in _CONTAINERS:
            self._undirected.append(len(self.out))
        self._closings.append(closing)
        self.out.append(opening)

    def _end(self, name: str, about: Event) -> None:
        self.out.append(self._closings.pop())
        if name == "Link":
            self._links -= 1
        elif name == "CodeBlock":
            self._in_code = False
        elif name in _CONTAINERS and self._undirected:
            self._undirected.pop()

    def _element(self, name: str, about: Event) -> tuple[str, str]:
        """The tags of an element that begins."""
        match name:
            case "Link":
                self._links += 1
                email = "mailto:" if about["link_type"] == "Email" else ""
                opening = self._link(email + about["dest_url"])
                return opening, "</a>" if opening else ""
            case "CodeBlock":
                self._in_code = True
                info = about["Fenced"] if isinstance(about, dict) else ""
                language = _LANGUAGE.match(shown(info).strip())
                kind = f' class="language-{language.group()}"' if language else ""
                return f'<pre dir="auto"><code{kind}>', "</code></pre>\n"
            case "Heading":
                tag = _HEADINGS[about["level"]]
                return f'<{tag} dir="auto">', f"</{tag}>\n"
            case "List" if about is None:
                return "<ul>\n", "</ul>\n"
            case "List":
                return ("<ol>\n" if about == 1 else f'<ol start="{about}">\n'), "</ol>\n"
            case "TableCell":
                side = self._alignment[self._column].lower()
                self._column += 1
                align = "" if side == "none" else f' align="{side}"'
                return f'<{self._cell} dir="auto"{align}>', f"</{self._cell}>\n"
            case "Table":
                self._alignment = about
            case "TableHead" | "TableRow":
                self._cell = "th" if name == "TableHead" else "td"
                self._column = 0
        return _SIMPLE[name]

    def _write_in_image(self, kind: str, value: Event) -> None:
        """An uploaded file is shown, another image is a link to it, or its label where it can't be
        one."""
        if kind not in ("Start", "End"):
            self._label.append(value or " ")
            return
        name, about = unpacked(value)
        if name != "Image":
            return
        if kind == "Start":
            self._images.append(about["dest_url"])
            return
        href = self._images.pop()
        if self._images:
            return
        text = "".join(self._label)
        label = escape(text, quote=False)
        self._label.clear()
        own = own_path(href)
        if own is not None:
            self._picture(own, text)
            return
        is_web = href[:4].lower() == "http"
        opening = self._link(href) if is_web and not self._links else ""
        if opening:
            self.out += (opening, label or escape(href, quote=False), "</a>")
        else:
            self.out.append(label)

    def _picture(self, path: str, label: str) -> None:
        """A smaller copy, as few of those who read by phone want 10 MB; it leads to the whole."""
        self.has_pictures = True
        shown_path = f"{path}/thumbnails/{SHOWN_SIZE}"
        picture = f'<img src="{shown_path}" alt="{escape(label)}" loading="lazy">'
        self.out.append(picture if self._links else f'<a href="{path}">{picture}</a>')

    def _link(self, href: str) -> str:
        """The opening tag of a link; "" for an address that is refused."""
        own = own_path(href)
        if own is not None:
            return f'<a href="{own}">'
        if len(href) > MAX_HREF_CHARACTERS or _ALLOWED_LINK.match(href) is None:
            return ""
        safe = _NOT_IN_HREF.sub(lambda match: f"%{ord(match.group()):02X}", shown(href))
        return f'<a href="{escape(safe)}">'


def _direction(text: str) -> str | None:
    """Of the first strong character, as `dir="auto"` judges; None where there is none."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return None
