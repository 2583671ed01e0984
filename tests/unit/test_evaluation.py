"""The arithmetic of the evaluation, and its questions."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from benchmarks.evaluation import QuestionCase, Result, measured, read_cases
from config.reference import countries_by_alpha2

STARTER = Path(__file__).resolve().parents[2] / "config" / "starter"


def case(*expected: str) -> QuestionCase:
    return QuestionCase("q", "tune", "en", "How much?", expected)


def result(asked: QuestionCase, found: str, cited: str, right: bool, country: str = "DE") -> Result:
    sources = tuple(cited.split())
    countries = (country,) * len(sources)
    return Result(asked, tuple(found.split()), sources, countries, ("DE",), right, 0.1)


def test_figures_of_answerable_and_other_questions() -> None:
    figures = measured(
        [
            result(case("a", "b"), "x a y", "a x", True),
            result(case("c"), "1 2 3 4 5 c", "", False),
            result(case(), "x", "", True),
            result(case(), "x", "x", False, "FR"),
        ]
    )
    assert figures["recall_at_5"] == 0.5
    assert figures["recall_at_10"] == 1.0
    assert figures["ndcg_at_10"] == pytest.approx(
        (1 / math.log2(3) + 1 / math.log2(7)) / 2, abs=0.001
    )
    assert figures["citation_precision"] == 0.5
    assert figures["citation_recall"] == 0.5
    assert figures["answered_right"] == 0.5
    assert figures["abstention"] == 0.5
    assert figures["wrong_country"] == 1.0


def test_the_questions_name_sources_that_there_are() -> None:
    lines = [
        msgspec.json.decode(line)
        for name in ("guides", "threads")
        for line in (STARTER / f"{name}.jsonl").read_bytes().splitlines()
    ]
    known = {line["id"] for line in lines}
    known |= {comment["id"] for line in lines for comment in line.get("comments", ())}
    cases = read_cases()
    assert len({each.id for each in cases}) == len(cases) >= 90
    for each in cases:
        assert set(each.expected) <= known, each.id
        assert bool(each.expected) is (each.trap is None), each.id
        assert each.country is None or each.country in countries_by_alpha2()
    languages = {each.language for each in cases if each.expected}
    assert {"en", "de", "es", "hi", "ar", "zh"} <= languages
