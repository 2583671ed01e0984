from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from actors.text_diff import DiffPart, diff

words = st.lists(
    st.sampled_from(["one", "two", " ", "\n", ",", "ä", "申", "请", "<b>"]), max_size=40
)
texts = st.one_of(st.text(max_size=60), words.map("".join))


def joined(parts: list[DiffPart], *ops: str) -> str:
    return "".join(part.text for part in parts if part.op in ops)


@given(texts, texts)
def test_the_parts_are_both_texts(old: str, new: str) -> None:
    parts = diff(old, new)
    assert joined(parts, "equal", "delete") == old
    assert joined(parts, "equal", "insert") == new
    assert all(part.text for part in parts)
    assert all(first.op != second.op for first, second in pairwise(parts))


def test_words_are_not_cut() -> None:
    assert diff("It took two months.", "It took three months, sadly.") == [
        DiffPart("equal", "It took "),
        DiffPart("delete", "two"),
        DiffPart("insert", "three"),
        DiffPart("equal", " months"),
        DiffPart("insert", ", sadly"),
        DiffPart("equal", "."),
    ]


def test_signs_without_spaces_between_are_words() -> None:
    assert diff("我申请签证", "我申请居留") == [
        DiffPart("equal", "我申请"),
        DiffPart("delete", "签证"),
        DiffPart("insert", "居留"),
    ]


def test_long_texts_are_compared_in_lines_and_longer_ones_as_a_whole() -> None:
    lines = [f"line {n} of many\n" for n in range(140)]
    changed = ["first\n", *lines[1:-1], "last"]
    parts = diff("".join(lines), "".join(changed))
    assert [part.op for part in parts].count("equal") == 1
    words = " ".join(str(n) for n in range(6_000))
    backwards = " ".join(str(n) for n in reversed(range(6_000)))
    assert {part.op for part in diff(words, backwards)} == {"delete", "insert"}
