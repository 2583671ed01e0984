"""Which sentences stand for a thread."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ai.summaries import Candidate, choose, count_for, is_candidate


def unit(*rows: list[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    array = np.asarray(rows, dtype=np.float32)
    normalised: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    normalised = array / np.linalg.norm(array, axis=1, keepdims=True)
    return normalised


def test_what_most_say_comes_in_and_is_not_said_twice() -> None:
    vectors = unit([1, 0.1, 0], [1, 0.12, 0], [1, 0, 0.1], [0.3, 1, 0], [0, 0.1, 1])
    candidates = [Candidate(str(n), n, 1.0) for n in range(5)]
    chosen = choose(candidates, vectors, 2)
    assert len(set(chosen) & {0, 1, 2}) == 1
    assert len(chosen) == 2


def test_readers_votes_count() -> None:
    vectors = unit([1, 0], [1, 0.01], [0.9, 0.5])
    light = [Candidate("a", 0, 1.0), Candidate("b", 1, 1.0), Candidate("c", 2, 1.0)]
    heavy = [light[0], light[1]._replace(weight=2.0), light[2]]
    assert choose(light, vectors, 1) in ([0], [1])
    assert choose(heavy, vectors, 1) == [1]


def test_at_most_two_of_a_comment() -> None:
    vectors = unit([1, 0.1], [1, 0.2], [1, 0.3], [0.1, 1])
    candidates = [Candidate(str(n), 0, 1.0) for n in range(3)] + [Candidate("x", 1, 1.0)]
    assert len(choose(candidates, vectors, 4)) == 3


@given(st.integers(0, 12), st.integers(1, 6), st.randoms(use_true_random=False))
def test_any_input_gives_distinct_places_in_order(size: int, count: int, random: object) -> None:
    generator = np.random.default_rng(size * 31 + count)
    vectors = unit(*generator.standard_normal((max(1, size), 8)).tolist())
    candidates = [Candidate(str(n), n % 4, 1.0 + n % 2) for n in range(size)]
    chosen = choose(candidates, vectors, count)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= min(size, count)
    assert chosen or not size


def test_equal_sentences_are_no_reason_to_fail() -> None:
    vectors = unit([1, 0], [1, 0], [1, 0])
    assert len(choose([Candidate("x", n, 1.0) for n in range(3)], vectors, 3)) == 3


def test_questions_thanks_and_addresses_are_no_candidates() -> None:
    assert is_candidate("The consulate took six weeks for my visa.")
    assert is_candidate("领事馆用了六个星期才发签证。")
    assert not is_candidate("Thanks, that helped!")
    assert not is_candidate("Did the consulate in Mumbai take six weeks for you too?")
    assert not is_candidate("领事馆用了六个星期才发签证吗？")
    assert not is_candidate("See https://example.org/a/very/long/address/of/a/page/somewhere")
    assert not is_candidate("word " * 100)


def test_longer_threads_get_more_sentences() -> None:
    assert [count_for(n) for n in (10, 19, 20, 39, 40, 4_000)] == [3, 3, 4, 4, 5, 5]
