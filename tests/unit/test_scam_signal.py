"""Scams are told from warnings, questions and honest services; how well, is printed (`-s`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from ai.signals.scam import fold, score_scam
from ai.tables import read

HERE = Path(__file__).parent
SHOWN_FROM = 0.5


class Example(msgspec.Struct):
    text: str
    language: str
    label: str


class Counts(NamedTuple):
    hits: int
    false_alarms: int
    missed: int

    @property
    def precision(self) -> float:
        return self.hits / (self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        return self.hits / (self.hits + self.missed)


def examples(name: str) -> list[Example]:
    lines = (HERE / name).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Example) for line in lines]


def counted(found: list[Example]) -> Counts:
    flagged = [each.label for each in found if score_scam(each.text).value >= SHOWN_FROM]
    hits = flagged.count("scam")
    return Counts(hits, len(flagged) - hits, sum(e.label == "scam" for e in found) - hits)


@pytest.mark.parametrize(
    ("name", "precision", "recall"),
    [
        # The first three were looked at while the patterns were written: floors, no estimates. Seen
        # for the first time, recall was 0.65 on the second, and 0.06 on the third, whose authors
        # took care to say none of the usual words.
        ("scams.jsonl", 0.95, 0.9),
        ("scam_examples.jsonl", 0.95, 0.9),
        ("scam_examples_harder.jsonl", 0.95, 0.9),
        # Written afterwards, and no pattern was made for it: what to expect of careful swindlers.
        ("scam_examples_later.jsonl", 0.9, 0.3),
    ],
)
def test_precision_and_recall_stay_above_their_floors(
    name: str, precision: float, recall: float
) -> None:
    found = examples(name)
    counts = counted(found)
    print(f"\n{name}: {counts}, precision {counts.precision:.2f}, recall {counts.recall:.2f}")
    for language in sorted({each.language for each in found}):
        print(f"  {language}: {counted([e for e in found if e.language == language])}")
    assert counts.precision >= precision
    assert counts.recall >= recall


def test_the_starter_threads_raise_few_alarms() -> None:
    starter = HERE.parents[1] / "config" / "starter" / "threads.jsonl"
    texts: list[str] = []
    for line in starter.read_bytes().splitlines():
        thread = msgspec.json.decode(line)
        texts.append(f"{thread['title']}\n{thread['body_markdown']}")
        texts += [comment["body_markdown"] for comment in thread["comments"]]
    alarms = [text for text in texts if score_scam(text).value >= SHOWN_FROM]
    # The spam accounts of the starter content have written six such comments.
    assert 5 <= len(alarms) <= 8, alarms


def test_what_is_hidden_between_letters_is_found() -> None:
    plain = score_scam("Guaranteed visa, pay by crypto")
    hidden = score_scam("ＧＵＡＲＡＮ\u200bＴＥＥＤ visa,\u00a0pay by cry\u00adpto")
    assert hidden == plain
    assert plain.value > SHOWN_FROM
    assert {"guarantee", "payment"} <= set(plain.reasons)


def test_a_warning_that_quotes_it_is_none() -> None:
    quoted = score_scam("Warning, reported: he writes 'guaranteed visa, pay by crypto'")
    assert quoted.value < 0.2


@pytest.mark.parametrize("text", ["", " ", "\u200b", "x" * 10_000, "visa " * 3_000, "\0"])
def test_any_text_has_a_score(text: str) -> None:
    assert score_scam(text).value < 0.3


def test_folding_keeps_the_letters_of_all_scripts() -> None:
    assert fold("Randevu SATILIK, Załatwię") == "randevu satilik, zalatwie"
    assert fold("गारंटी  مـضمون") == "गारंटी مضمون"


def test_no_pattern_repeats_without_a_bound() -> None:
    """Else a text of thousands of equal words would hold a worker up for seconds."""
    for name, group in read("scams").items():
        for pattern in group["patterns"]:
            bare = re.sub(r"\\.", "", pattern.removesuffix(r"\s*$"))
            assert not re.search(r"[*+]|,\}", bare), (name, pattern)
