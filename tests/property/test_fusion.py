from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai.fusion import OFFICIAL, RECENT, SAME_LANGUAGE, Merits, reciprocal_ranks, thinned, weighted

rankings = st.lists(st.lists(st.integers(0, 30), unique=True, max_size=20), max_size=4)
merits = st.builds(Merits, st.booleans(), st.floats(-10, 10_000), st.booleans())


@given(rankings)
def test_the_order_of_the_engines_means_nothing(given_rankings: list[list[int]]) -> None:
    scores = reciprocal_ranks(given_rankings)
    backwards = reciprocal_ranks(given_rankings[::-1])
    assert scores == pytest.approx(backwards)
    assert set(scores) == {item for ranking in given_rankings for item in ranking}


@given(rankings)
def test_who_is_nowhere_behind_is_not_behind_in_the_end(given_rankings: list[list[int]]) -> None:
    scores = reciprocal_ranks(given_rankings)
    places = [{item: place for place, item in enumerate(each)} for each in given_rankings]
    absent = 1_000
    for one in scores:
        for other in scores:
            if all(each.get(one, absent) <= each.get(other, absent) for each in places):
                assert scores[one] >= scores[other] - 1e-12


def test_two_good_places_beat_one_first_place() -> None:
    scores = reciprocal_ranks([["a", "b", "c"], ["d", "b", "e"]])
    assert max(scores, key=lambda item: scores[item]) == "b"


def test_an_item_twice_in_a_ranking_counts_once() -> None:
    assert reciprocal_ranks([["a", "b", "a"]]) == reciprocal_ranks([["a", "b"]])


@given(st.floats(0, 1), merits)
def test_merits_lift_a_little_and_never_push_down(score: float, one: Merits) -> None:
    top = 1 + OFFICIAL + RECENT + SAME_LANGUAGE
    assert score <= weighted(score, one) <= score * top * (1 + 1e-9)


@given(st.floats(0.001, 1), merits, st.floats(1, 5_000))
def test_the_older_of_two_alike_never_leads(score: float, one: Merits, days: float) -> None:
    older = one._replace(age_days=one.age_days + days)
    assert weighted(score, older) <= weighted(score, one)


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 3))
def test_thinning_keeps_order_and_the_best_of_each_thread(items: list[int], bound: int) -> None:
    numbered = list(enumerate(items))
    kept = thinned(numbered, lambda item: item[1], bound)
    assert kept == sorted(kept)
    for thread in set(items):
        of_thread = [item for item in numbered if item[1] == thread]
        assert [item for item in kept if item[1] == thread] == of_thread[:bound]
