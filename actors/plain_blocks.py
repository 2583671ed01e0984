"""Markdown of members as blocks of plain text, for what reads it without showing it."""

from __future__ import annotations

from typing import Final, NamedTuple

from actors.markdown_events import parse, shown, unpacked

_INLINE: Final = frozenset({"Emphasis", "Strong", "Strikethrough", "Link", "Image", "TableCell"})
_LINES: Final = frozenset({"Item", "TableRow", "TableHead"})  # lines of one block
_GROUPS: Final = frozenset({"List", "Table"})


class PlainBlock(NamedTuple):
    text: str
    heading: bool


def plain_blocks(markdown: str) -> list[PlainBlock]:
    """Paragraphs, headings, code; a list or table is one block of lines. Targets of links are left
    out, raw HTML stands as it was written. Never raises; linear in the text."""
    blocks: list[PlainBlock] = []
    pieces: list[str] = []
    depth = 0  # of lists and tables

    def close(heading: bool = False) -> None:
        lines = (" ".join(line.split()) for line in shown("".join(pieces)).splitlines())
        if text := "\n".join(line for line in lines if line):
            blocks.append(PlainBlock(text, heading))
        pieces.clear()

    for event in parse(markdown):
        kind, value = unpacked(event)
        if kind not in ("Start", "End"):
            pieces.append("\n" if kind in ("HardBreak", "Rule") else value or " ")
            continue
        name, _ = unpacked(value)
        if name == "TableCell" and kind == "End":
            pieces.append(" | ")
        if name in _INLINE:
            continue
        if name in _GROUPS:
            if depth == 0 and kind == "Start":
                close()
            depth += 1 if kind == "Start" else -1
            if depth == 0:
                close()
        elif depth or name in _LINES:
            pieces.append("\n")
        else:
            close(heading=kind == "End" and name == "Heading")
    close()
    return blocks
