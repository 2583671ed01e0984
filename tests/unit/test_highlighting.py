"""What is marked, and which part of a text is quoted."""

from __future__ import annotations

from itertools import islice, permutations

import pytest

from storage.search import highlighting
from storage.search.highlighting import SNIPPET_CHARACTERS, Highlighter, within
from storage.search.plain_text import plain_text


@pytest.mark.parametrize(
    ("question", "text", "marked"),
    [
        ("visa", "My VISA, your visas", "My <mark>VISA</mark>, your <mark>visas</mark>"),
        ("visa letter", "visas and a letter", "visas and a <mark>letter</mark>"),
        ("studnet", "A student", "A <mark>student</mark>"),
        ("vsia", "A visa", "A visa"),
        ("<b>", "a <b> & b", "a &lt;<mark>b</mark>&gt; &amp; <mark>b</mark>"),
        ("学生签证", "办学生签证了", "办<mark>学生签证</mark>了"),
        ("تأشيرة", "التأشيرة الدراسية", "<mark>التأشيرة</mark> الدراسية"),
        ("वीजा", "छात्र वीज़ा", "छात्र <mark>वीज़ा</mark>"),
        ("", "anything", "anything"),
        ("!?", "anything", "anything"),
    ],
)
def test_words_are_marked_as_the_index_compares_them(question: str, text: str, marked: str) -> None:
    assert Highlighter(question).whole(text) == marked


def test_a_long_text_is_quoted_where_the_words_are() -> None:
    text = f"{'many words before it ' * 40}the apostille of the court is here {'and after ' * 60}"
    snippet = Highlighter("apostille court").snippet(text)
    assert snippet.startswith("… ") and snippet.endswith(" …")
    assert "<mark>apostille</mark> of the <mark>court</mark>" in snippet
    bare = snippet.replace("<mark>", "").replace("</mark>", "").strip("… ")
    assert bare in text
    assert len(bare) <= SNIPPET_CHARACTERS


def test_a_text_without_the_words_is_quoted_from_its_beginning() -> None:
    snippet = Highlighter("apostille").snippet("one two " * 100)
    assert snippet.startswith("one two ") and snippet.endswith(" …")
    assert Highlighter("apostille").snippet("one\ntwo") == "one two"


def test_the_denser_place_is_quoted() -> None:
    text = f"visa {'x ' * 300} visa office, visa fee {'x ' * 300}"
    assert Highlighter("visa").snippet(text).count("<mark>") == 2


def test_planted_texts_are_compared_with_a_question_so_many_times_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Words of the same letters, which nothing cheaper than a comparison tells apart."""
    made = ["".join(letters) for letters in islice(permutations("abcdefghi"), 12_020)]
    asked, planted = made[:20], made[20:]
    texts = [" ".join(planted[n::6]) for n in range(6)]
    assert all(len(text) >= 19_999 for text in texts)
    comparisons = 0

    def compare(*_: object) -> bool:
        nonlocal comparisons
        comparisons += 1
        return False

    monkeypatch.setattr(highlighting, "within", compare)
    marker = Highlighter(" ".join(asked))
    for text in texts:
        marker.snippet(text)
    assert 0 < comparisons <= 510 * len(texts)


def test_a_planted_text_takes_no_marks_from_the_next_one() -> None:
    planted = " ".join("".join(letters) for letters in islice(permutations("yxtneduts"), 600))
    marker = Highlighter("studentxy")
    assert "<mark>" not in marker.snippet(f"{planted} studnetxy")
    assert marker.whole("a studnetxy") == "a <mark>studnetxy</mark>"


@pytest.mark.parametrize(
    ("one", "other", "edits", "expected"),
    [
        ("visas", "visas", 0, True),
        ("student", "studnet", 1, True),
        ("student", "studen", 1, True),
        ("student", "sttudent", 1, True),
        ("student", "studfnt", 1, True),
        ("student", "stuednt", 1, True),
        ("student", "sutdnet", 1, False),
        ("student", "sutdnet", 2, True),
        ("student", "stu", 2, False),
        ("", "a", 1, True),
    ],
)
def test_edits_are_counted_with_swaps(one: str, other: str, edits: int, expected: bool) -> None:
    assert within(one, other, edits) is expected


def test_markup_becomes_lines_of_text() -> None:
    rendered = (
        '<p>One <a href="https://x.org/?a=1&amp;b=2">li<strong>nk</strong></a><br>two</p>\n'
        "<ul>\n<li>a &lt;b&gt;</li>\n<li>c</li>\n</ul><h2>Head</h2>"
        "<table><tr><td>x</td></tr></table>"
    )
    assert plain_text(rendered) == "One link\ntwo\na <b>\nc\nHead\nx"
    assert plain_text("") == ""
