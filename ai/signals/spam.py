"""How much a text looks like spam, and how foreign it is where it stands. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ai.signals.scam import Score

_READ_CHARACTERS: Final = 6_000
_LINK: Final = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_RUN: Final = re.compile(r"([^\s\w])\1{5,}|(\w)\2{7,}")
_MANY_LINKS: Final = 3
_WORDS_A_LINK: Final = 8
_NEW_HOURS: Final = 24.0
_SHOUTED: Final = 0.7
_MIN_SHOUTED_LETTERS: Final = 25
_MIN_REPEATED_WORDS: Final = 30
_VARIED: Final = 0.3

# Where fewer posts are known a community has no habit; a language below this share is a rare one.
MIN_KNOWN_POSTS: Final = 20
_USUAL_SHARE: Final = 0.05
# Members may write as they please: it says where a reader of the language is needed, and must not
# come before scams.
_MOST_FOR_LANGUAGE: Final = 0.4
# By trial with multilingual-e5 on the 26 threads of a community of the starter content: its own lie
# up to 2.5 standard deviations from the mean, six about other things 2.3 to 5.
_USUAL_DEVIATIONS: Final = 1.5
_FULL_DEVIATIONS: Final = 5.0


class Writing(NamedTuple):
    """`copies`: how often the author has posted this very text within a day before."""

    text: str
    author_age_hours: float
    copies: int = 0


def score_spam(writing: Writing) -> Score:
    """Witnesses are joined as in ai/signals/scam.py."""
    found: dict[str, float] = {}
    text = writing.text[:_READ_CHARACTERS]
    links = len(_LINK.findall(text))
    words = [word.casefold() for word in _WORD.findall(_LINK.sub(" ", text))]
    is_new = writing.author_age_hours < _NEW_HOURS
    if writing.copies:
        found["copies"] = 0.85 if writing.copies > 2 else 0.6
    if links >= _MANY_LINKS or (links and len(words) < _WORDS_A_LINK * links):
        found["links"] = 0.4
    if links and is_new:
        found["new_account_links"] = 0.35
    letters = [letter for letter in text if letter.isalpha()]
    if len(letters) >= _MIN_SHOUTED_LETTERS:
        upper = sum(letter.isupper() for letter in letters)
        if upper > _SHOUTED * len(letters):
            found["shouting"] = 0.25
    long = len(words) >= _MIN_REPEATED_WORDS
    if (long and len(set(words)) < _VARIED * len(words)) or _RUN.search(text):
        found["repetition"] = 0.4
    doubt = 1.0
    for weight in found.values():
        doubt *= 1.0 - weight
    reasons = sorted(found, key=lambda name: -found[name])
    return Score(round(1.0 - doubt, 3), tuple(reasons))


def score_language(same: int, known: int) -> Score:
    """`same` of the `known` newest posts of the community are in the text's language."""
    share = same / known if known >= MIN_KNOWN_POSTS else 1.0
    if share >= _USUAL_SHARE:
        return Score(0.0, ())
    return Score(round(_MOST_FOR_LANGUAGE * (1.0 - share / _USUAL_SHARE), 3), ("rare_language",))


def score_off_topic(own: float, mean: float, deviation: float, known: int) -> Score:
    """Distances to the centre of a community's posts: `own`, and mean and standard deviation of the
    `known` others."""
    if known < MIN_KNOWN_POSTS or deviation <= 0.0:
        return Score(0.0, ())
    above = (own - mean) / deviation - _USUAL_DEVIATIONS
    value = min(1.0, max(0.0, above / (_FULL_DEVIATIONS - _USUAL_DEVIATIONS)))
    return Score(round(value, 3), ("unlike_others",) if value > 0.0 else ())
