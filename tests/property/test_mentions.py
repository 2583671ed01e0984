from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from actors.mentions import MAX_MENTIONS, mentioned_handles

handles = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=3, max_size=30)


@given(
    st.lists(handles, max_size=15, unique=True), st.sampled_from([" ", "\n", ", ", "\n\n", " 和"])
)
def test_every_handle_is_found_in_order(names: list[str], between: str) -> None:
    assert mentioned_handles(between.join("@" + name for name in names)) == tuple(names)


@given(st.text("@ab_C .`*[]()\n>-:/", max_size=80))
def test_whatever_is_found_is_a_handle_of_the_text(text: str) -> None:
    found = mentioned_handles(text)
    assert len(set(found)) == len(found) <= MAX_MENTIONS
    for handle in found:
        assert re.fullmatch(r"[a-z0-9_]{3,30}", handle)
        assert "@" + handle in text.lower()


@given(handles)
def test_nothing_inside_code_is_found(name: str) -> None:
    assert mentioned_handles(f"`@{name}` and\n\n```\n@{name}\n```\n") == ()
