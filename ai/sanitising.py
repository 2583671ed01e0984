"""Text of members on its way to a model or into an answer: data that can't pass for anything else.

Invisible characters, markup and whatever looks like the frame of a prompt go; what is left says the
same to a person. Sentences that speak to the assistant instead of to people are told apart by
`addresses_the_assistant`; a passage that holds one is not used at all (docs/adr/0020).
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache
from typing import Final

from ai.numbers import fold
from ai.tables import read

# Joiners belong to words of these scripts; anywhere else they only hide something.
_JOINERS: Final = "\u200c\u200d"
_JOINED: Final = re.compile(
    "(?<=[\u0600-\u06ff\u0750-\u077f\u0900-\u0dff])[\u200c\u200d]"
    "(?=[\u0600-\u06ff\u0750-\u077f\u0900-\u0dff])"
)
_KEPT: Final = "\n\t"
_VARIATIONS: Final = re.compile(
    "[\ufe00-\ufe0f\U000e0100-\U000e01ef\u3164\uffa0\u115f\u1160\u2800]"
)
_LINE_ENDS: Final = re.compile("\r\n?|[\u2028\u2029\u0085\v\f]")
_MARK: Final = r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
_PILED_MARKS: Final = re.compile(f"({_MARK}{{3}}){_MARK}+")

_HTML_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_HTML_HIDDEN: Final = re.compile(
    r"<(script|style|template|noscript|svg|title|details)\b.*?(?:</\1\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_ADDRESS_TAG: Final = re.compile(
    r"<((?:https?://|mailto:)[^\s<>]{1,2000}|[^\s<>@]{1,100}@[^\s<>@]{1,200})>", re.IGNORECASE
)
_HTML_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]{0,500}>|<[!?][^<>]{0,500}>")
_IMAGE: Final = re.compile(r"!\[[^\]\n]{0,500}\]\([^()\n]{0,2000}\)")
_LINK: Final = re.compile(r"\[([^\[\]\n]{0,500})\]\([^()\n]{0,2000}\)")
_REFERENCE: Final = re.compile(r"^ {0,3}\[[^\]\n]{1,200}\]:[^\n]*$", re.MULTILINE)
_EMPHASIS: Final = re.compile(r"\*{1,3}|_{2,3}|`+|~~")

# The frame of chat templates, of our own prompt, and citations that are not ours.
_TEMPLATE_TOKEN: Final = re.compile(
    r"<\|[^|<>]{0,60}\|>(?:\s*(?:system|user|assistant|tool)\b)?|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<\|?endoftext\|?>",
    re.IGNORECASE,
)
_ANGLES: Final = re.compile("[<>\u2039\u203a\u2329\u232a\u27e8\u27e9\u3008\u3009\uff1c\uff1e]{2,}")
_FENCE: Final = re.compile(r"(?:^|(?<=\n))\s*(?:-{3,}|={3,}|#{4,}|~{3,}|\+{3,})[^\n]*")
_ROLE: Final = re.compile(
    r"(?:^|(?<=\n))\s*(?:system|user|assistant|human|developer|tool|ai|bot)\s*[:\uff1a>]\s*",
    re.IGNORECASE,
)
_CITATION: Final = re.compile(
    r"[\[\u3010\uff3b]\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\s*[\]\u3011\uff3d]"
)

_BLANKS: Final = re.compile(r"[^\S\n]+")
_BLANK_LINES: Final = re.compile(r"\n\s*\n\s*")


def plain(text: str) -> str:
    """Without invisible characters, HTML, link targets, emphasis and frames of prompts. Headings
    and bullets stay as Markdown writes them: they give sentences their context. Linear."""
    text = visible(text)
    for _ in range(3):  # an entity may stand for a tag, and its text for another entity
        stripped = visible(_without_markup(html.unescape(text)))
        if stripped == text:
            break
        text = stripped
    text = _REFERENCE.sub("", _LINK.sub(r"\1", _IMAGE.sub(" ", text)))
    text = _EMPHASIS.sub("", text)
    text = _ANGLES.sub(" ", _ROLE.sub("", _FENCE.sub("", text)))
    text = _CITATION.sub(r"(\1)", text)
    return _BLANK_LINES.sub("\n\n", _BLANKS.sub(" ", text)).strip()


def plain_markdown(text: str) -> str:
    """Markdown as it is, its line breaks too, without invisible characters, HTML and frames of chat
    templates; `<https://…>` without its brackets. Entities stay: in addresses they are none."""
    text = visible(text)
    for _ in range(3):  # what is taken out may leave the halves of another one together
        stripped = _without_markup(_ADDRESS_TAG.sub(r"\1", text))
        if stripped == text:
            break
        text = stripped
    return text


def _without_markup(text: str) -> str:
    text = _HTML_HIDDEN.sub(" ", _HTML_COMMENT.sub(" ", text))
    return _HTML_TAG.sub(" ", _TEMPLATE_TOKEN.sub(" ", text))


def visible(text: str) -> str:
    """Without what no reader sees: format and control characters, tag characters, variation
    selectors, private use, piled-up marks. Joiners stay inside words that need them."""
    text = _VARIATIONS.sub("", _LINE_ENDS.sub("\n", text))
    kept = {match.start() for match in _JOINED.finditer(text)}
    shown = "".join(
        character
        for index, character in enumerate(text)
        if character in _KEPT or _is_shown(character) or (character in _JOINERS and index in kept)
    )
    return _PILED_MARKS.sub(r"\1", shown)


def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cs", "Cn")


# ---------------------------------------------------------------- who is spoken to

_CONFUSABLE: Final = str.maketrans(
    "аеорсухіјѕԁһӏνοαερτυικ013457@$", "aeopcyxijsdhlvoaeptuikoieastas"
)
_LATIN: Final = re.compile(r"[a-z]")
_NOT_WORD: Final = re.compile(r"[^\w]+")
_SPACED: Final = re.compile(r"(?<!\w)(?:\w[ .\-_*]){4,}\w(?!\w)")
_BLOB: Final = re.compile(r"[A-Za-z0-9+/]{48,}={0,2}|(?:\\x[0-9a-f]{2}){8,}|(?:[01]{8}\s?){6,}")


def addresses_the_assistant(text: str) -> bool:
    """Whether some of it is an instruction to whoever answers, not a word to people. Errs on the
    side of yes: a passage less is cheaper than one that was obeyed."""
    text = html.unescape(text)
    if _TEMPLATE_TOKEN.search(text) or _BLOB.search(text):
        return True  # nobody writes the frames of prompts to people
    folded = fold(visible(text))
    words = _NOT_WORD.sub(" ", folded)
    forms = [folded, words]  # marks are parts of words in Hindi and none to `\w`
    if _LATIN.search(folded):
        # Letters of other alphabets and digits that stand for letters, and letters set apart.
        forms.append(_NOT_WORD.sub(" ", folded.translate(_CONFUSABLE)))
        forms.append(_SPACED.sub(lambda match: _NOT_WORD.sub("", match[0]), folded))
    return any(pattern.search(form) for pattern in _to_assistant() for form in forms)


@cache
def _to_assistant() -> tuple[re.Pattern[str], ...]:
    patterns: list[str] = read("instructions")["patterns"]
    return tuple(re.compile(_folded_pattern(pattern)) for pattern in patterns)


def _folded_pattern(pattern: str) -> str:
    """Letters as `fold` leaves them; what belongs to the expression is ASCII and stays."""
    return re.sub(r"[^\x00-\x7f]+", lambda match: fold(match[0]), pattern)
