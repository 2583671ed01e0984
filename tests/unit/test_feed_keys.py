from __future__ import annotations

import pytest

from config.language_tags import canonical_language
from storage.feed_keys import Languages


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("DE", "de"), ("pt-br", "pt-BR"), ("ZH-HANT-tw", "zh-Hant-TW"), ("sl-ROZAJ", "sl-rozaj")],
)
def test_a_language_has_one_spelling(given: str, canonical: str) -> None:
    assert canonical_language(given) == canonical


def test_a_whole_language_takes_its_regions_in() -> None:
    assert Languages.of(()) is None
    assert Languages.of(("pt-br", "pt", "en-GB", "DE")) == (
        ("de", "en", "pt"),
        ("de", "pt"),
        ("en-GB",),
    )
