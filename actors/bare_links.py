"""Bare `https://…` and `www.…` in running text as links, in linear time.

Written here because linkify-it looks back over the whole paragraph at every "://": 40,000 such
characters hold it for ten seconds. Trimming follows GFM's extended autolinks; beyond that, an
address ends where a script without spaces goes on ("https://example.org/x。谢谢").
"""

from __future__ import annotations

import re
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MAX_ADDRESS_CHARACTERS: Final = 2_048

# Ends an address: space, delimiters, curly quotes, invisible and bidirectional controls (they make
# an address read as another), and the scripts that are written without spaces or with particles
# attached: CJK with its punctuation, kana, Hangul, full-width forms.
_END: Final = (
    r"\s<>\"`\x00-\x1f\u200b-\u200f\u2018-\u201f\u202a-\u202e\u2060-\u206f"
    r"\u3000-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
)
_REST: Final = rf"[^\W_][^{_END}]{{0,{MAX_ADDRESS_CHARACTERS}}}"
_WEB: Final = re.compile(rf"://{_REST}")
_WWW: Final = re.compile(rf"(?<![\w.@/:+-])www\.{_REST}", re.IGNORECASE)
_TRAILING: Final = frozenset("?!.,:;*_~'|")
_PAIRS: Final = {")": "(", "]": "[", "}": "{"}


def bare_links(parser: MarkdownIt) -> None:
    """A markdown-it plugin. The links' tokens have the markup `bare`."""
    parser.inline.ruler.before("emphasis", "bare_link", _web_link)
    parser.core.ruler.push("bare_www", lambda state: _www_links(state.tokens, parser))


def _web_link(state: StateInline, silent: bool) -> bool:
    """At the colon of `http(s)://`, as an inline rule, so that `_` in an address stays its own."""
    position = state.pos
    if state.linkLevel or not state.src.startswith("://", position):
        return False
    scheme = _scheme_before(state.src, position)
    if scheme is None:
        return False
    match = _WEB.match(state.src, position, state.posMax)
    # `pending` is looked at last: reading it costs its length. It lacks the scheme where another
    # rule has taken that already ("@http://…" is a mention).
    if match is None or not state.pending.endswith(scheme):
        return False
    address = _trimmed(scheme + match.group())
    if not silent:
        state.pending = state.pending[: -len(scheme)]
        for token in _link(address, address, state.md):
            state.push(token.type, token.tag, token.nesting).content = token.content
            state.tokens[-1].attrs = token.attrs
            state.tokens[-1].markup = token.markup
    state.pos += len(address) - len(scheme)
    return True


def _scheme_before(source: str, colon: int) -> str | None:
    for length in (5, 4):
        start = colon - length
        if start >= 0 and source[start:colon].lower() in ("https", "http"):
            before = source[start - 1] if start else " "
            return None if before.isascii() and before.isalnum() else source[start:colon]
    return None


def _www_links(tokens: list[Token], parser: MarkdownIt) -> None:
    for block in tokens:
        if block.type != "inline" or "www." not in block.content.lower():
            continue
        children: list[Token] = []
        link_depth = 0
        for token in block.children or ():
            link_depth += {"link_open": 1, "link_close": -1}.get(token.type, 0)
            if token.type == "text" and not link_depth:
                children += _split(token, parser)
            else:
                children.append(token)
        block.children = children


def _split(text: Token, parser: MarkdownIt) -> list[Token]:
    pieces: list[Token] = []
    done = 0
    for match in _WWW.finditer(text.content):
        address = _trimmed(match.group())
        if "." not in address[4:]:
            continue
        pieces.append(_text(text.content[done : match.start()]))
        pieces += _link("http://" + address, address, parser)
        done = match.start() + len(address)
    if not done:
        return [text]
    pieces.append(_text(text.content[done:]))
    return pieces


def _link(href: str, label: str, parser: MarkdownIt) -> tuple[Token, Token, Token]:
    attributes: dict[str, str | int | float] = {"href": parser.normalizeLink(href)}
    return (
        Token("link_open", "a", 1, attrs=attributes, markup="bare"),
        _text(label),
        Token("link_close", "a", -1, markup="bare"),
    )


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _trimmed(address: str) -> str:
    """Without the punctuation that belongs to the sentence; closing brackets stay if opened."""
    surplus = {
        close: address.count(close) - address.count(opening) for close, opening in _PAIRS.items()
    }
    end = len(address)
    while end:
        last = address[end - 1]
        if last in _PAIRS and surplus[last] > 0:
            surplus[last] -= 1
        elif last not in _TRAILING:
            break
        end -= 1
    return address[:end]
