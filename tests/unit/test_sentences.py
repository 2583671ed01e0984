"""Where sentences end, and which heading they stand under."""

from __future__ import annotations

import pytest

from ai.sentences import Sentence, of_document, split


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("It costs EUR 37.50. Pay by card.", ["It costs EUR 37.50.", "Pay by card."]),
        ("Seit dem 1. Juli 2025. Mehr nicht.", ["Seit dem 1. Juli 2025.", "Mehr nicht."]),
        ("Siehe § 81 Abs. 4 AufenthG. Danke.", ["Siehe § 81 Abs. 4 AufenthG.", "Danke."]),
        ("यह 75 यूरो है। ठीक है।", ["यह 75 यूरो है।", "ठीक है।"]),
        ("这是75欧元。可以刷卡！", ["这是75欧元。", "可以刷卡！"]),
        ("هل هذا صحيح؟ نعم.", ["هل هذا صحيح؟", "نعم."]),
        ("It is 11,904. [1] Plan ahead [2].", ["It is 11,904. [1]", "Plan ahead [2]."]),
        ("Documents, e.g. a passport. No more", ["Documents, e.g. a passport.", "No more"]),
    ],
)  # fmt: skip
def test_split(line: str, sentences: list[str]) -> None:
    assert split(line) == sentences


def test_headings_of_markdown_and_of_plain_text() -> None:
    text = "## Money\n- EUR 992 a month\n- or a sponsor\n"
    text += "\nFees\n\nVisa: EUR 75.\n\nPapers\n\nPassport\nPhoto"
    assert of_document(text) == [
        Sentence("EUR 992 a month", "Money"),
        Sentence("or a sponsor", "Money"),
        Sentence("Visa: EUR 75.", "Fees"),
        Sentence("Passport", "Papers"),
        Sentence("Photo", "Papers"),
    ]


def test_a_text_of_one_line_has_no_heading() -> None:
    assert of_document("Top it up") == [Sentence("Top it up", "")]
