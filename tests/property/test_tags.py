from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.tags import MAX_TAG_CHARACTERS, stored_tag, stored_tags


def tag_of(text: str) -> str | None:
    try:
        return stored_tag(text)
    except ValueError:
        return None


@given(st.text(max_size=60))
def test_a_stored_tag_is_its_own_stored_form(text: str) -> None:
    tag = tag_of(text)
    if tag is not None:
        assert stored_tag(tag) == tag
        assert 1 <= len(tag) <= MAX_TAG_CHARACTERS
        assert unicodedata.is_normalized("NFC", tag)


@given(st.text(max_size=30))
def test_what_reads_the_same_is_the_same_tag(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert tag_of(decomposed) == tag_of(unicodedata.normalize("NFC", text))
    assert tag_of(f"  #{text} ") == tag_of(text)


def test_case_spaces_and_repetitions_do_not_count() -> None:
    assert stored_tags(["Blocked  Account", "#blocked account", "ÜBERSICHT", "übersicht"]) == (
        "blocked account",
        "übersicht",
    )


@pytest.mark.parametrize("text", ["", " # ", "x" * 41, "a\u200bb", "\ud800"])
def test_what_is_no_tag_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Expected"):
        stored_tag(text)
