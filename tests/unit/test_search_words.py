"""What becomes of words before they are compared."""

from __future__ import annotations

import pytest

from storage.search.words import MAX_WORD_CHARACTERS, folded_words, typos_of, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wie lange dauert's? C1/D_2", ["wie", "lange", "dauert", "s", "c1", "d", "2"]),
        ("Żółć Straße naïve Øre ıI", ["zolc", "strasse", "naive", "ore", "ii"]),
        ("Ёлка Йод", ["елка", "иод"]),
        ("छात्र वीज़ा", ["छात्र", "वीजा"]),
        ("والتأشيرة تأشِيرة", ["تاشيره", "تاشيره"]),
        ("ویزای کار", ["ويزاي", "كار"]),
        ("签证要多久", ["签证", "证要", "要多", "多久"]),
        ("签", ["签"]),
        ("B1签证", ["b1", "签证"]),
        ("ビザを申請", ["ビザ", "ザを", "を申", "申請"]),
        ("Ｖｉｓａ ２０２６", ["visa", "2026"]),
        ("😀 !? — ", []),
    ],
)
def test_spelling_variants_meet(text: str, expected: list[str]) -> None:
    assert folded_words(text) == expected


def test_offsets_are_those_of_the_text() -> None:
    text = "Der Straßenname, 学生签证 und Ärger"
    found = [(word.text, text[word.start : word.end], word.pair) for word in words(text)]
    assert found == [
        ("der", "Der", False),
        ("strassenname", "Straßenname", False),
        ("学生", "学生", True),
        ("生签", "生签", True),
        ("签证", "签证", True),
        ("und", "und", False),
        ("arger", "Ärger", False),
    ]


def test_words_without_end_are_cut() -> None:
    assert folded_words("x" * 1_000) == ["x" * MAX_WORD_CHARACTERS]


def test_typos_are_for_long_words() -> None:
    assert [typos_of(word) for word in ("visa", "visas", "apostille", "2026123456")] == [0, 1, 2, 0]
