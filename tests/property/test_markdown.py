from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from actors.markdown import plain_text, render

TAGS = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "em", "strong", "s"),
    *("a", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "img"),
}
VOID = {"br", "hr", "img"}
ATTRIBUTES = {"dir", "align", "href", "rel", "class", "start", "src", "alt", "loading"}
FILE = "/media/0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2c"

# Text that the grammar reacts to, far more often than random characters would be.
FRAGMENTS = [
    *(
        "*",
        "**",
        "_",
        "`",
        "```",
        "~~",
        "[",
        "]",
        "(",
        ")",
        "![",
        "](",
        "<",
        ">",
        "|",
        "\n",
        "\n\n",
    ),
    *(
        "    ",
        "- ",
        "1. ",
        "# ",
        "> ",
        "&",
        "&#x6a;",
        "&lt;",
        "\\",
        '"',
        "'",
        "@",
        "@bob_",
        ":",
        "//",
    ),
    *("|a|b|\n|-|-|\n", "[a]: ", "javascript:", "JavaScript:alert(1)", "data:text/html,x", "www."),
    *("https://e.example", "http://", "mailto:a@b.example", "<script>", "</script>", "<img src=x"),
    *(
        " onerror=alert(1)",
        "<a href=",
        "<!--",
        "-->",
        "<style>",
        "<svg/onload=x>",
        "סלאם",
        "a",
        " ",
    ),
    *(FILE, f"/api/v1{FILE}", f"![x]({FILE})", f"[![x]({FILE})](", f"[x]({FILE})"),
    *("\x00", "\r", "\ud800", "\u202e", "\xa0", "<p>", "</p>", "<math>", "]]>", "<![CDATA["),
]
hostile = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join)
texts = st.one_of(st.text(max_size=80), hostile)


class Strict(HTMLParser):
    """Reads HTML and fails at anything that may not be in a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, name
            if name == "href":
                assert value is not None
                allowed = ("http://", "https://", "mailto:")
                assert value.lower().startswith(allowed) or value == f"/api/v1{FILE}"
            elif name == "src":
                assert value == f"/api/v1{FILE}/thumbnails/960"
            elif name == "class":
                assert tag == "code"
                assert value is not None
                assert value.startswith("language-")
        if tag == "a":  # without an href where its host is none: then it is no link
            assert "a" not in self.open, "a link in a link"
            assert dict(attrs)["rel"] == "nofollow noopener ugc"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"comment {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"declaration {decl!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"instruction {data!r}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"declaration {data!r}")


@given(texts)
@example("[a](<javascript:x> 'y')")
@example("[![x](https://e.example)](https://e.example)")
@example("[www.e.example](https://e.example) https://e.example")
@example("[![https://e.example](https://f.example)](javascript:x)")
def test_only_what_is_allowed_comes_out(text: str) -> None:
    html = render(text)
    html.encode("utf-8")
    reader = Strict()
    reader.feed(html)
    reader.close()
    assert reader.open == []


@given(texts, st.integers(1, 60))
def test_plain_text_is_one_line_within_its_limit(text: str, limit: int) -> None:
    line = plain_text(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert line == line.strip()
