"""What an answer says beside the words of its sources, in the language of the question."""

from __future__ import annotations

from typing import Final, Literal

from ai.tables import read

Code = Literal[
    "not_legal_advice", "not_found", "verbatim", "disagree", "stale", "only_community",
    "model_away", "name_country", "too_many_countries",
]  # fmt: skip
FALLBACK: Final = "en"


def text_of(code: Code, language: str) -> str:
    """In English where there is no text in `language` (BCP 47)."""
    texts: dict[str, str] = read("notices")[code]
    return texts.get(language.partition("-")[0].lower(), texts[FALLBACK])
