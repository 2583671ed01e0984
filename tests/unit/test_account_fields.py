"""Names that people give themselves."""

from __future__ import annotations

import pytest

from actors.account_fields import MAX_DISPLAY_NAME_CHARACTERS, clean_display_name

LONGEST = "n" * MAX_DISPLAY_NAME_CHARACTERS


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  Amina \t K. ", "Amina K."),
        ("Ame\u0301lie", "Amélie"),
        ("می\u200cنا", "می\u200cنا"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("陳 大文", "陳 大文"),
        (LONGEST, LONGEST),
        ("7", "7"),
        (LONGEST + "n", None),
        ("", None),
        (" \u3000\n", None),
        ("\u200d", None),
        ("\u0301", None),
        ("admin\u202eanima", None),
        ("a\x00b", None),
        ("a\ud800", None),
        ("\ue000", None),
    ],
)
def test_display_names(text: str, name: str | None) -> None:
    assert clean_display_name(text) == name
