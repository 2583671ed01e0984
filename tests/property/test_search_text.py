"""Whatever members write and ask: nothing but marks is markup, and nothing of the text changes."""

from __future__ import annotations

import html

from hypothesis import given
from hypothesis import strategies as st

from storage.search.highlighting import SNIPPET_CHARACTERS, Highlighter, within
from storage.search.plain_text import plain_text
from storage.search.words import folded_words, words

TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("visa <mark>&\n学生签证 तैयारी ـالتأشيرة i̇İß"),
    ),
    max_size=400,
)


def bare(marked: str) -> str:
    return html.unescape(marked.replace("<mark>", "").replace("</mark>", ""))


@given(TEXTS)
def test_words_stand_where_they_say_in_order_and_hold_no_space(text: str) -> None:
    last = 0
    for word in words(text):
        assert last <= word.start < word.end <= len(text)
        assert not any(character.isspace() for character in word.text)
        last = word.start


@given(TEXTS)
def test_folding_again_changes_nothing_for_words_of_one_piece(text: str) -> None:
    for word in words(text):
        if not word.pair:
            again = folded_words(word.text)
            assert again == folded_words(" ".join(again))


@given(TEXTS, TEXTS)
def test_marks_are_the_only_markup_and_the_text_stays(question: str, text: str) -> None:
    marked = Highlighter(question).whole(text)
    assert bare(marked) == text
    rest = marked.replace("<mark>", "").replace("</mark>", "")
    assert "<" not in rest and ">" not in rest


@given(TEXTS, TEXTS)
def test_a_snippet_is_a_part_of_the_text(question: str, text: str) -> None:
    snippet = bare(Highlighter(question).snippet(text))
    flat = text.replace("\n", " ")
    quoted = snippet
    if quoted not in flat:
        quoted = quoted.removeprefix("… ")
    if quoted not in flat:
        quoted = quoted.removesuffix(" …")
    assert quoted in flat
    assert len(quoted) <= SNIPPET_CHARACTERS


@given(st.text("ab", max_size=7), st.text("ab", max_size=7), st.integers(0, 3))
def test_edits_are_symmetric_and_at_most_the_longer_length(
    one: str, other: str, edits: int
) -> None:
    assert within(one, other, edits) == within(other, one, edits)
    assert within(one, other, max(len(one), len(other)))


@given(st.text("abc", max_size=7), st.text("abc", max_size=7), st.integers(0, 2))
def test_edits_are_those_of_the_table_of_distances(one: str, other: str, edits: int) -> None:
    assert within(one, other, edits) == (alignment(one, other) <= edits)


def alignment(one: str, other: str) -> int:
    """The distance as it is defined, cell by cell."""
    table = {(i, 0): i for i in range(len(one) + 1)} | {(0, j): j for j in range(len(other) + 1)}
    for i, letter in enumerate(one, 1):
        for j, its in enumerate(other, 1):
            costs = [
                table[i - 1, j] + 1,
                table[i, j - 1] + 1,
                table[i - 1, j - 1] + (letter != its),
            ]
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                costs.append(table[i - 2, j - 2] + 1)
            table[i, j] = min(costs)
    return table[len(one), len(other)]


@given(TEXTS)
def test_what_was_escaped_comes_back(text: str) -> None:
    flat = " ".join(text.split())
    assert " ".join(plain_text(f"<p>{html.escape(flat)}</p>").split()) == " ".join(flat.split())
