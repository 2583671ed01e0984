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
    return QuestionCase("q", "tune", "en", "How much?", ("DE",), expected)


def result(asked: QuestionCase, found: str, cited: str, right: bool, country: str = "DE") -> Result:
    sources = tuple(cited.split())
    countries = (country,) * len(sources)
    return Result(asked, tuple(found.split()), sources, countries, right, 0.1)


def test_figures_of_answerable_and_other_questions() -> None:
    figures = measured(
        [
            result(case("a", "b"), "x a y", "a x", True),
            result(case("c"), "1 2 3 4 5 c", "", False),
            result(case(), "x", "", True),
            result(case(), "x", "x", False, "FR"),
        ]
    )
    assert (figures["hit_rate_at_5"], figures["hit_rate_at_10"]) == (0.5, 1.0)
    assert (figures["recall_at_5"], figures["recall_at_10"]) == (0.25, 0.75)
    assert figures["mrr_at_10"] == pytest.approx((1 / 2 + 1 / 6) / 2, abs=0.001)
    of_two = (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    assert figures["ndcg_at_10"] == pytest.approx((of_two + 1 / math.log2(7)) / 2, abs=0.001)
    assert figures["citation_precision"] == 0.5
    assert (figures["cited_right"], figures["citation_recall"]) == (0.5, 0.25)
    assert figures["answered_right"] == 0.5
    assert figures["abstention"] == 0.5
    assert figures["wrong_country"] == 1.0


def test_the_cold_question_is_told_apart() -> None:
    first = msgspec.structs.replace(result(case("a"), "a", "a", True), seconds=9.0, cold=True)
    figures = measured([first, result(case("a"), "a", "a", True)])
    assert (figures["seconds_cold"], figures["seconds_p50"], figures["seconds_max"]) == (
        9.0, 0.1, 0.1,
    )  # fmt: skip
    assert "seconds_cold" not in measured([result(case("a"), "a", "a", True)])


def test_the_questions_name_sources_that_there_are() -> None:
    lines = [
        msgspec.json.decode(line)
        for name in ("guides", "threads")
        for line in (STARTER / f"{name}.jsonl").read_bytes().splitlines()
    ]
    known = {line["id"]: line["country"] for line in lines}
    known |= {c["id"]: line["country"] for line in lines for c in line.get("comments", ())}
    cases = read_cases()
    assert len({each.id for each in cases}) == len(cases) >= 90
    for each in cases:
        assert set(each.expected) <= known.keys(), each.id
        assert {known[name] for name in each.expected} - {None} <= set(each.countries), each.id
        assert each.country is None or each.countries == (each.country,), each.id
        assert set(each.countries) <= countries_by_alpha2().keys(), each.id
        assert bool(each.expected) is (each.trap is None), each.id
    languages = {each.language for each in cases if each.expected}
    assert {"en", "de", "es", "hi", "ar", "zh"} <= languages
