from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from storage.identity import (
    MAX_COUNTRY,
    MAX_TIME_MS,
    country_of,
    is_v7,
    lowest_id_at,
    new_id,
    parse_id,
    time_ms_of,
)

countries = st.integers(0, MAX_COUNTRY)
times = st.integers(0, MAX_TIME_MS)


@given(countries, times)
def test_an_id_gives_back_what_it_was_made_of(country: int, at_ms: int) -> None:
    id = new_id(country, at_ms)
    assert (country_of(id), time_ms_of(id), is_v7(id)) == (country, at_ms, True)
    assert parse_id(str(id)) == id


@given(countries, countries, times, times)
def test_ids_sort_by_time_across_countries(a: int, b: int, earlier: int, later: int) -> None:
    if earlier < later:
        assert new_id(a, earlier) < new_id(b, later)


@given(countries, times)
def test_the_lowest_id_bounds_its_millisecond(country: int, at_ms: int) -> None:
    assert lowest_id_at(at_ms) <= new_id(country, at_ms)
    if at_ms:
        assert new_id(country, at_ms - 1) < lowest_id_at(at_ms)


@given(st.integers(0, (1 << 128) - 1))
def test_any_uuid_is_parsed_exactly_if_it_is_version_7(value: int) -> None:
    id = UUID(int=value)
    try:
        parsed = parse_id(str(id))
    except ValueError:
        assert not is_v7(id)
    else:
        assert parsed == id
        assert is_v7(id)
