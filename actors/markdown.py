"""Markdown of members to HTML that is safe to put into any page, and to plain excerpts.

CommonMark with tables, strikethrough and bare links. Raw HTML is shown as the text it is. Two
independent walls: the token stream is rewritten to what we allow, then nh3 keeps an allow-list.

- Links: http, https and mailto only, `rel="nofollow noopener ugc"`; any other keeps its label.
- Images become links: a remote picture would tell its owner who reads the thread, and when.
- Headings start at h3, below the page's own title and the post's.
- Blocks of text carry `dir="auto"`; what contains blocks (lists, quotes, tables) cannot be judged
  by the browser, which skips children that have a `dir`, so it gets its direction from here.

Work is bounded: nesting stops at 20 levels, and the parser's known ways to blow up its work or its
output (brackets that nothing closes, references to one long address, empty table cells) have
budgets. Text is expected to be at most 40,000 characters (the contract's limit of a body).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_inline import StateInline, image, link
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from actors.bare_links import bare_links

MAX_HREF_CHARACTERS: Final = 2_048
# One definition `[a]: https://…` can be referred to 10,000 times: 2,000 characters each would
# make 20 MB out of 40 kB. What passes the budget keeps its label and loses its address.
HREF_BUDGET_CHARACTERS: Final = 200_000
MAX_TABLE_CELLS: Final = 5_000
# A bracket that opens no link after all costs ten times what other text does: after this many in a
# document brackets are text.
MAX_STRAY_BRACKETS: Final = 1_000
# The parser reads the label of an image once more for every image around it.
MAX_IMAGE_DEPTH: Final = 2
MENTION: Final = re.compile(r"@([A-Za-z0-9_]{3,30})(?![A-Za-z0-9_@])")

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_ALLOWED_LINK: Final = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9_+#.-]{1,32}(?!\S)")
_MENTION_NOT_AFTER: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-@/="
)
_LEAF_BLOCKS: Final = frozenset({"paragraph_open", "heading_open", "td_open", "th_open"})
_CONTAINERS: Final = frozenset(
    {"blockquote_open", "bullet_list_open", "ordered_list_open", "list_item_open", "table_open"}
)
_CONTAINER_ENDS: Final = frozenset(name.replace("_open", "_close") for name in _CONTAINERS)
_INLINE_TEXT: Final = frozenset({"text", "code_inline", "mention", "text_special"})

_ALIGNED: Final = {"left", "center", "right"}
_DIRECTIONS: Final = {"auto", "ltr", "rtl"}
_cleaner: Final = nh3.Cleaner(
    tags={
        *("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "em", "strong"),
        *("s", "a", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
    },
    clean_content_tags={"script", "style"},
    # Only our own renderer writes `class`, from a language name of letters, digits and -+#._
    attributes={"a": {"href"}, "code": {"class"}, "ol": {"start"}},
    tag_attribute_values={
        **{
            tag: {"dir": _DIRECTIONS}
            for tag in ("p", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "li", "table")
        },
        **{tag: {"dir": _DIRECTIONS, "align": _ALIGNED} for tag in ("th", "td")},
    },
    link_rel="nofollow noopener ugc",
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    strip_comments=True,
)

# One paragraph without anything that Markdown or HTML could mean: most comments of a live thread.
# The parser would return exactly this (a property test holds the two together), 50 times slower.
_PLAIN: Final = re.compile(
    r"[^\W\d_](?:[^\x00-\x1f\x7f\xa0\ud800-\udfff\\`*_\[\]<>&~|:@/.]|\.(?=[ ]|\Z))*"
)


def render(markdown: str) -> str:
    """Sanitised HTML, a sequence of block elements; "" for nothing visible. Never raises."""
    if _PLAIN.fullmatch(markdown):
        return f'<p dir="auto">{markdown.rstrip(" ")}</p>\n'
    return _rendered(markdown)


def _rendered(markdown: str) -> str:
    tokens = _rewrite(parse(markdown))
    return _cleaner.clean(_parser.renderer.render(tokens, _parser.options, {}))


def plain_text(markdown: str, limit: int) -> str:
    """One line of at most `limit` characters, "…" included where it was cut; for titles of
    notifications, descriptions and snippets. Not HTML: the reader escapes it."""
    if limit < 1:
        raise ValueError("limit must be at least 1")
    pieces: list[str] = []
    # Markup rarely takes more than this, and an excerpt need not pay for the whole body.
    for token in parse(markdown[: 20 * limit + 2_000]):
        if token.type == "inline":
            pieces.append(_text_of(token.children or ()))
        elif token.type in ("fence", "code_block"):
            pieces.append(token.content)
    text = " ".join(" ".join(pieces).split())
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    at_word = cut.rpartition(" ")[0]
    # Scripts without spaces, and one very long word, are cut where the limit falls.
    return (at_word if len(at_word) > limit // 2 else cut).rstrip() + "…"


def parse(markdown: str) -> list[Token]:
    """Block tokens; a mention is an inline token of type `mention` with the text as written."""
    # Lone surrogates have no UTF-8 and would stop nh3; NUL is replaced by the parser itself.
    return _parser.parse(_SURROGATES.sub("\ufffd", markdown))


def _mention(state: StateInline, silent: bool) -> bool:
    """Takes `@handle` as one token before emphasis can eat the underscores of `@_name_`."""
    position = state.pos
    if state.src[position] != "@":
        return False
    if position and state.src[position - 1] in _MENTION_NOT_AFTER:
        return False  # an e-mail address or a path
    match = MENTION.match(state.src, position, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("mention", "", 0).content = match.group()
    state.pos = match.end()
    return True


InlineRule = Callable[[StateInline, bool], bool]


def _bounded_brackets(rule: InlineRule, opening: str) -> InlineRule:
    """`rule` (link or image) where it can succeed at all, and while the document's budget lasts."""

    def bounded(state: StateInline, silent: bool) -> bool:
        if not state.src.startswith(opening, state.pos):
            return False
        if "references" not in state.env:
            # The label's end must be followed by an address.
            source, last = state.env.get("last_address", (None, -1))
            if source is not state.src:
                last = state.src.rfind("](")
                state.env["last_address"] = state.src, last
            if last < state.pos:
                return False
        strays = state.env.get("stray_brackets", 0)
        if strays >= MAX_STRAY_BRACKETS:
            return False
        if rule(state, silent):
            return True
        state.env["stray_brackets"] = state.env.get("stray_brackets", 0) + 1
        return False

    return bounded


def _bounded_image(state: StateInline, silent: bool) -> bool:
    if silent:
        return image(state, silent)
    depth = state.env.get("image_depth", 0)
    if depth >= MAX_IMAGE_DEPTH:
        return False
    state.env["image_depth"] = depth + 1
    found = image(state, silent)
    state.env["image_depth"] = depth
    return found


def _bounded_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The parser fills short rows with empty cells, so that 1,400 characters can become 65,536
    cells, as often as they are repeated: here a document has `MAX_TABLE_CELLS`, and a table that
    reaches the limit goes on as a paragraph."""
    columns = state.getLines(start, start + 1, 0, False).count("|") + 1
    rows = (MAX_TABLE_CELLS - state.env.get("cells", 0)) // columns
    if rows < 2 or not table(state, start, min(end, start + rows), silent):
        return False
    if not silent:
        state.env["cells"] = state.env.get("cells", 0) + columns * (state.line - start)
    return True


def _code_block(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    token = tokens[index]
    language = _LANGUAGE.match(token.info.strip())
    kind = f' class="language-{language.group()}"' if language else ""
    return f'<pre dir="auto"><code{kind}>{escapeHtml(token.content)}</code></pre>\n'


def _mention_text(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    return tokens[index].content  # "@", letters, digits and underscores


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20})
    parser.enable(["table", "strikethrough"])
    parser.block.ruler.at("table", _bounded_table, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.at("link", _bounded_brackets(link, "["))
    parser.inline.ruler.at("image", _bounded_brackets(_bounded_image, "!["))
    parser.use(bare_links)
    parser.inline.ruler.before("emphasis", "mention", _mention)
    parser.add_render_rule("mention", _mention_text)
    parser.add_render_rule("fence", _code_block)
    parser.add_render_rule("code_block", _code_block)
    # Judged in _rewrite instead: the parser would show a refused link's address as text.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    # The parser puts its lists of rules together when they are first used: were two threads to do
    # that at once, one of them would go on with half a list.
    parser.render("*a*")
    return parser


_parser: Final = _make_parser()


def _rewrite(tokens: list[Token]) -> list[Token]:
    budget = HREF_BUDGET_CHARACTERS
    containers: list[Token] = []  # open ones whose direction no text has settled yet
    for token in tokens:
        if token.type == "inline":
            token.children, budget = _rewrite_inline(token.children or [], budget)
            if containers and (direction := _direction(token.content)):
                for container in containers:
                    container.attrSet("dir", direction)
                containers.clear()
        elif token.type in _LEAF_BLOCKS:
            token.attrSet("dir", "auto")
            style = token.attrs.pop("style", None)
            if style is not None:  # the parser's "text-align:left"
                token.attrSet("align", str(style).rpartition(":")[2])
        elif token.type in _CONTAINERS:
            containers.append(token)
        elif token.type in _CONTAINER_ENDS and containers:
            containers.pop()
        if token.tag in _HEADINGS:
            token.tag = _HEADINGS[token.tag]
    return tokens


_HEADINGS: Final = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}


def _rewrite_inline(tokens: Sequence[Token], budget: int) -> tuple[list[Token], int]:
    """Drops refused links (their labels stay) and turns images into links."""
    kept: list[Token] = []
    link_depth = 0
    refused_depth = 0
    for token in tokens:
        if token.type == "link_open":
            href = str(token.attrs.get("href", ""))
            if not _allowed(href, budget):
                refused_depth += 1
                continue
            budget -= len(href)
            token.attrs = {"href": href}
            link_depth += 1
        elif token.type == "link_close":
            if refused_depth:
                refused_depth -= 1
                continue
            link_depth -= 1
        elif token.type == "image":
            href = str(token.attrs.get("src", ""))
            label = Token("text", "", 0, content=_text_of(token.children or ()))
            is_web = href[:4].lower() == "http"
            if link_depth or not is_web or not _allowed(href, budget):
                kept.append(label)
                continue
            budget -= len(href)
            label.content = label.content or href
            kept += (
                Token("link_open", "a", 1, attrs={"href": href}),
                label,
                Token("link_close", "a", -1),
            )
            continue
        kept.append(token)
    return kept, budget


def _allowed(href: str, budget: int) -> bool:
    return len(href) <= min(MAX_HREF_CHARACTERS, budget) and _ALLOWED_LINK.match(href) is not None


def _text_of(tokens: Sequence[Token]) -> str:
    pieces: list[str] = []
    for token in tokens:
        if token.type in _INLINE_TEXT:
            pieces.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            pieces.append(" ")
        elif token.type == "image":
            pieces.append(_text_of(token.children or ()))
    return "".join(pieces)


def _direction(text: str) -> str | None:
    """Of the first strong character, as `dir="auto"` judges; None where there is none."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return None
