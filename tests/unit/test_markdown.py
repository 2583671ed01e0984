from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest

from actors.markdown import (
    MAX_HREF_CHARACTERS,
    _cleaner,  # the second wall must hold without the first
    plain_text,
    render,
)
from actors.markdown_events import MAX_TABLE_CELLS

FILE = "/media/0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2c"
REL = 'rel="nofollow noopener ugc"'


def link(href: str, label: str) -> str:
    return f'<a href="{href}" {REL}>{label}</a>'


def paragraph(inside: str) -> str:
    return f'<p dir="auto">{inside}</p>\n'


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("", ""),
        (" \n\t\n", ""),
        ("Plain. Really, it's plain!", paragraph("Plain. Really, it's plain!")),
        ("*a* **b** ~~c~~ `d`", paragraph("<em>a</em> <strong>b</strong> <s>c</s> <code>d</code>")),
        ("a\\\nb", paragraph("a<br>\nb")),
        ("x\n\n---\n\ny", paragraph("x") + "<hr>\n" + paragraph("y")),
    ],
)
def test_the_ordinary(markdown: str, html: str) -> None:
    assert render(markdown) == html


@pytest.mark.parametrize(
    ("hashes", "tag"), [("#", "h3"), ("##", "h4"), ("###", "h5"), ("####", "h6"), ("######", "h6")]
)
def test_headings_start_at_h3(hashes: str, tag: str) -> None:
    assert render(f"{hashes} T") == f'<{tag} dir="auto">T</{tag}>\n'


@pytest.mark.parametrize(
    "raw",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<div>\n\n**x**\n\n</div>",
        "<!-- x -->",
        "<a href='javascript:alert(1)'>x</a>",
        "<svg/onload=alert(1)>",
    ],
)
def test_raw_html_is_shown_as_text(raw: str) -> None:
    html = render(raw)
    assert "&lt;" in html
    for tag in ("<script", "<img", "<div", "<!--", "<a", "<svg"):
        assert tag not in html


@pytest.mark.parametrize(
    "markdown",
    [
        "![</noscript>](https://e.example/f.png)",
        "![](https://e.example/</noscript>)",
        "[</noscript>](https://e.example)",
        "[x](<https://e.example/</noscript>>)",
        "[x](https://e.example '</noscript>')",
        f"![</noscript>]({FILE})",
    ],
)
def test_nothing_ends_the_noscript_element_that_holds_it(markdown: str) -> None:
    """The shell's: a parser that runs scripts ends it at its end tag, wherever that stands."""
    html = render(markdown)
    assert "e.example" in html or FILE in html
    assert "</noscript" not in html.lower()


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        ("<script>x</script>", ""),
        ("<p onclick=x style=x id=x class=x dir=auto>a</p>", '<p dir="auto">a</p>'),
        ("<p dir=evil>a</p>", "<p>a</p>"),
        ("<img src=https://e.example>a<iframe></iframe>", "a"),
        ("<a href=javascript:x>a</a>", f"<a {REL}>a</a>"),
        ("<a href=/x target=x rel=x>a</a>", f"<a {REL}>a</a>"),
        ("<h1>a</h1><!-- b -->", "a"),
    ],
)
def test_the_allow_list_holds_by_itself(html: str, kept: str) -> None:
    assert _cleaner.clean(html) == kept


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java&#10;script:alert(1)",
        "&#106;avascript:alert(1)",
        "data:text/html;base64,PHNjcmlwdD4=",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example",
        "/relative",
        "#fragment",
        "https:evil",
        "https://e.example/" + "x" * MAX_HREF_CHARACTERS,
    ],
)
def test_links_that_are_not_allowed_keep_their_label_only(href: str) -> None:
    assert render(f"[label]({href})") == paragraph("label")
    assert render(f"![label]({href})") == paragraph("label")


def test_allowed_links() -> None:
    assert render("[a](https://e.example/x?y=1&z=2 'title')") == paragraph(
        link("https://e.example/x?y=1&amp;z=2", "a")
    )
    assert render("<mailto:a@e.example>") == paragraph(
        link("mailto:a@e.example", "mailto:a@e.example")
    )


def test_images_become_links() -> None:
    assert render("![the *form*](https://e.example/f.png)") == paragraph(
        link("https://e.example/f.png", "the form")
    )
    assert render("![](https://e.example/f.png)") == paragraph(
        link("https://e.example/f.png", "https://e.example/f.png")
    )
    # A link in a link is no HTML.
    assert render("[![alt](https://a.example/x.png)](https://b.example)") == paragraph(
        link("https://b.example", "alt")
    )
    assert render("![x](mailto:a@e.example)") == paragraph("x")


@pytest.mark.parametrize(
    ("text", "href", "rest"),
    [
        ("https://e.example/a_b_c", "https://e.example/a_b_c", ""),
        ("https://e.example/_x_/y", "https://e.example/_x_/y", ""),
        ("https://e.example.", "https://e.example", "."),
        ("https://e.example/x_(y)", "https://e.example/x_(y)", ""),
        ("https://e.example/x)", "https://e.example/x", ")"),
        ("https://e.example/办理", "https://e.example/", "办理"),
        ("https://e.example。", "https://e.example", "。"),
        ("https://e.example에서", "https://e.example", "에서"),
        ("https://e.example/\u202egpj.exe", "https://e.example/", "\u202egpj.exe"),
    ],
)
def test_bare_addresses_are_links_up_to_where_the_sentence_goes_on(
    text: str, href: str, rest: str
) -> None:
    assert render(text) == paragraph(link(href, href) + rest)


def test_bare_www_addresses() -> None:
    assert render("(see www.e.example/a_b), www.x") == paragraph(
        f"(see {link('http://www.e.example/a_b', 'www.e.example/a_b')}), www.x"
    )
    assert render("[www.a.example](https://b.example)") == paragraph(
        link("https://b.example", "www.a.example")
    )
    assert "<a" not in render("`www.a.example https://b.example`")


@pytest.mark.parametrize(
    "text", ["xhttps://e.example", "https://", "ftp://e.example", "a@e.example"]
)
def test_what_is_no_bare_address(text: str) -> None:
    assert "<a" not in render(text)


def test_code_keeps_its_language() -> None:
    assert render("```c++ x\na < b\n```") == (
        '<pre dir="auto"><code class="language-c++">a &lt; b\n</code></pre>\n'
    )
    assert render('```"onload=x\na\n```') == '<pre dir="auto"><code>a\n</code></pre>\n'
    assert render("    a") == '<pre dir="auto"><code>a\n</code></pre>\n'


def test_tables_keep_their_alignment() -> None:
    html = render("|a|b|\n|:-|-:|\n|1|2|")
    assert '<th dir="auto" align="left">a</th>' in html
    assert '<td dir="auto" align="right">2</td>' in html


def test_containers_get_the_direction_of_their_first_letter() -> None:
    assert render("- (1) سلام\n- b").startswith('<ul dir="rtl">\n<li dir="rtl">')
    assert render("> hello\n>\n> سلام").startswith('<blockquote dir="ltr">')
    # A list without any letter takes nothing from the text after it.
    assert render("- 1\n\nסלאם").startswith("<ul>\n<li>1</li>")


def test_mentions_are_text_and_no_emphasis() -> None:
    assert render("@_name_ *@name*") == paragraph("@_name_ <em>@name</em>")


def test_what_has_no_utf8_is_replaced() -> None:
    assert render("a\ud800b\x00c") == paragraph("a\ufffdb\ufffdc")


def test_output_of_repeated_references_is_bounded() -> None:
    target = "https://e.example/" + "x" * 1_900
    source = f"[a]: {target}\n\n" + "[a] " * 9_000
    html = render(source)
    assert 0 < html.count("href") < 100_000 // len(target) + 10
    assert len(html) < 250_000


def test_empty_cells_of_tables_are_bounded_over_the_whole_document() -> None:
    table = "|a" * 180 + "|\n" + "|-" * 180 + "|\n" + "|\n" * 364 + "\n"
    html = render(table * 25)
    assert html.count("<td") + html.count("<th") <= MAX_TABLE_CELLS


def calls(work: Callable[[], object]) -> int:
    """Calls of Python and C functions: work that no other process of the machine can change."""
    count = 0

    def seen(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(
    "pattern",
    [
        *("[", ">", "*", "_", "`", "<", "![", "[a](", "](", "~~", "|\n", "- ", "> ", "1. ", "&#"),
        *(
            "*a_",
            "**a *",
            "`a``",
            "[[]]",
            "[x][",
            "<a",
            "<!--",
            "http://",
            "www.a.",
            "://",
            "@",
            "@bob",
        ),
        *("http://a.b/(", "[a]: x\n", "a|b\n-|-\n", "> - ", "```\n", "=\na\n", "\\", "\t"),
    ],
)
def test_twice_the_hostile_text_is_about_twice_the_work(pattern: str) -> None:
    half, whole = (calls(partial(render, (pattern * length)[:length])) for length in (2_500, 5_000))
    # Per character: the nesting limit allows 20 levels of some steps each, and no more.
    assert whole < 5_000 * 400
    assert whole < 2.6 * half + 2_000


@pytest.mark.parametrize("pattern", ["[", "![", "*[", "[!["])
@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("", "](b)"), ("[r]: https://e.example\n\n", "]")]
)
def test_brackets_that_nothing_closes_cost_little_more_than_text(
    pattern: str, before: str, after: str
) -> None:
    text = before + (pattern * 40_000)[:40_000] + after
    # 20-45 a character; 120-200 without the budget.
    assert calls(partial(render, text)) < 40_000 * 60


def test_images_in_images_are_not_read_over_and_over() -> None:
    nested = "![" * 19 + "a" + "](https://e.example)" * 19
    assert calls(partial(render, nested * 80)) < len(nested) * 80 * 40
    inner = "![see ![this](https://a.example)](https://b.example)"
    assert render(inner) == paragraph(link("https://b.example", "see this"))


def test_links_go_on_after_a_hundred_stray_brackets() -> None:
    html = render("[x] [ ] a[0] " * 100 + "[label](https://e.example)")
    assert html.endswith(link("https://e.example", "label") + "</p>\n")


def test_the_whole_body_may_be_hostile() -> None:
    for pattern in ("[", ">", "*"):
        html = render(pattern * 40_000)
        assert len(html) < 10 * 40_000


@pytest.mark.parametrize(
    ("markdown", "limit", "text"),
    [
        ("", 10, ""),
        ("# A *b*\n\n> c `d`\n- e", 20, "A b c d e"),
        ("one two three", 9, "one two…"),
        ("abcdefghij", 5, "abcd…"),
        ("申请材料需要翻译成德语", 5, "申请材料…"),
        ("[label](https://e.example) ![alt](https://e.example/x)", 20, "label alt"),
        ("```py\nx = 1\n```", 20, "x = 1"),
        ("a <b>c</b> & d", 20, "a <b>c</b> & d"),
        ("hi @_bob_", 20, "hi @_bob_"),
    ],
)
def test_plain_text(markdown: str, limit: int, text: str) -> None:
    assert plain_text(markdown, limit) == text


def test_plain_text_has_room_for_one_character_at_least() -> None:
    with pytest.raises(ValueError, match="limit"):
        plain_text("x", 0)
