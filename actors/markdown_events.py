"""Markdown of members as a list of events: CommonMark with tables and strikethrough.

The parser is pulldown-cmark (pyromark), which is linear in the text. What it does not know is kept
out of its sight: characters of raw tags, mentions and bare addresses stand in the source as
noncharacters that no text may hold, so that `<b>` stays text, `@_name_` no emphasis and
`https://e.example/_x_` one address. Whoever shows an event's text passes the end result through
`shown`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pyromark

from actors.bare_links import map_addresses, may_hold_address

# The parser fills short rows with empty cells, so that 1,400 characters can become 65,536 cells, as
# often as they are repeated: a document with more has its tables shown as they were written.
MAX_TABLE_CELLS: Final = 5_000
_MENTION: Final = re.compile(r"(?<![A-Za-z0-9_.+\-@/=\\])@[A-Za-z0-9_]{3,30}(?![A-Za-z0-9_@])")

_UNDERSCORE: Final = "\ufdd0"
_STAR: Final = "\ufdd1"
_TILDE: Final = "\ufdd2"
_LESS_THAN: Final = "\ufdd3"
_AT: Final = "\ufdd4"
_NO_TEXT: Final = re.compile(f"[\x00\ud800-\udfff{_UNDERSCORE}-{_AT}]")
# All but those that open a link's target, an address in angle brackets, or are escaped anyway.
_TAG: Final = re.compile(
    r"(?<!\]\()(?<!\]: )(?<!\\)<(?!(?:[A-Za-z][A-Za-z0-9+.-]{1,31}:|[\w.+-]{1,64}@)[^\s<>]*>)"
)
_HIDDEN: Final = str.maketrans({"_": _UNDERSCORE, "*": _STAR, "~": _TILDE, "@": _AT})
_HIDDEN_MENTION: Final = re.compile(f"{_AT}[A-Za-z0-9{_UNDERSCORE}]+")
_DELIMITER_ROW: Final = re.compile(
    r"[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*"
)

Event = Any  # str, or a dict of one member: {"Text": "…"}, {"Start": …}, {"End": …}

_TEXT: Final = pyromark.Options.ENABLE_STRIKETHROUGH
_WITH_TABLES: Final = _TEXT | pyromark.Options.ENABLE_TABLES


def parse(markdown: str) -> list[Event]:
    """pulldown-cmark's events in order. Never raises."""
    # Lone surrogates have no UTF-8; NUL is to be replaced, as CommonMark says.
    source = _NO_TEXT.sub("\ufffd", markdown)
    if "<" in source:
        source = _TAG.sub(_LESS_THAN, source)
    if "@" in source:
        source = _MENTION.sub(lambda match: match.group().translate(_HIDDEN), source)
    if may_hold_address(source):
        source = map_addresses(source, lambda address: address.translate(_HIDDEN))
    options = _WITH_TABLES if "|" in source and _cells(source) <= MAX_TABLE_CELLS else _TEXT
    # With an end of line the last line of code is as the others.
    return list(pyromark.events(source + "\n", options=options))


def mentions(text: str) -> list[str]:
    """The handles in an event's text, as they were written."""
    return [shown(match.group()[1:]) for match in _HIDDEN_MENTION.finditer(text)]


def shown(text: str, less_than: str = "<") -> str:
    """What was hidden from the parser, as it was written."""
    return (
        text.replace(_UNDERSCORE, "_")
        .replace(_STAR, "*")
        .replace(_TILDE, "~")
        .replace(_AT, "@")
        .replace(_LESS_THAN, less_than)
    )


def _cells(source: str) -> int:
    """At least as many as the tables of `source` can have, empty ones included."""
    cells = columns = 0
    for line in source.splitlines():
        if not line.strip():
            columns = 0
        elif "-" in line and _DELIMITER_ROW.fullmatch(line):
            columns = max(columns, line.count("|") + 1)
            cells += columns  # the heading, the line before
        cells += columns
    return cells


def unpacked(event: Event) -> tuple[str, Event]:
    """(kind, value) of an event, (name, about) of a tag; what is a name alone has the value ""
    (an event) or None (a tag's member)."""
    if isinstance(event, str):
        return event, ""
    ((kind, value),) = event.items()
    return kind, value
