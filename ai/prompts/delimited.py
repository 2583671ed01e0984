"""What the prompts share: texts between marks that nobody can guess, and names of languages."""

from __future__ import annotations

import pycountry

from ai.sanitising import plain, plain_markdown


def data(text: str, mark: str, limit: int) -> str:
    """Sanitised, without the mark that ends it."""
    return plain(text).replace(mark, "")[:limit]


def markdown_data(text: str, mark: str) -> str:
    """As `data`, with its Markdown."""
    return plain_markdown(text).replace(mark, "").replace("<<<", " ")


def language_name(language: str) -> str:
    """In English, by ISO 639; what has no name is called by its tag."""
    return _name(language.partition("-")[0]) or language


def has_name(language: str) -> bool:
    return _name(language.partition("-")[0]) is not None


def _name(primary: str) -> str | None:
    found = pycountry.languages.get(alpha_2=primary) or pycountry.languages.get(alpha_3=primary)
    return found.name if found else None
