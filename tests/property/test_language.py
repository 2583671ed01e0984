from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ai.language import detect


@given(st.one_of(st.text(max_size=200), st.text("`~[]()<>@ab. \n", max_size=200)))
def test_every_text_has_a_well_formed_language(text: str) -> None:
    assert re.fullmatch(r"[a-z]{2,3}", detect(text))
