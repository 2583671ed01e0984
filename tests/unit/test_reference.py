from __future__ import annotations

import json
from typing import Any

import pytest

from config.reference import (
    SLUG,
    ReferenceDataError,
    community_seeds,
    countries,
    countries_by_alpha2,
    countries_by_numeric,
    parse_visa_types,
    visa_types,
)

GOOD: dict[str, Any] = {
    "country": "DE",
    "code": "student",
    "name": {"en": "Student visa", "local": "Visum zum Studium"},
    "category": "study",
    "official_url": "https://www.example.org/en/",
}


def lines(*rows: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def test_countries_are_all_of_iso_3166_and_fit_an_identifier() -> None:
    assert len(countries()) == 249
    assert len(countries_by_alpha2()) == len(countries_by_numeric()) == 249
    # Twelve bits of every id hold the number; 0 means "no country".
    assert all(0 < country.numeric <= 894 for country in countries())
    assert [country.alpha2 for country in countries()] == sorted(countries_by_alpha2())


@pytest.mark.parametrize(
    ("alpha2", "alpha3", "numeric", "name"),
    [
        ("DE", "DEU", 276, "Germany"),
        ("AF", "AFG", 4, "Afghanistan"),
        ("TZ", "TZA", 834, "Tanzania"),
        ("ZM", "ZMB", 894, "Zambia"),
    ],
)
def test_country_has_its_codes_and_its_common_name(
    alpha2: str, alpha3: str, numeric: int, name: str
) -> None:
    country = countries_by_alpha2()[alpha2]
    assert (country.alpha3, country.numeric, country.name) == (alpha3, numeric, name)
    assert countries_by_numeric()[numeric] is country


def test_flag_is_the_pair_of_regional_indicators() -> None:
    assert countries_by_alpha2()["DE"].flag == "\U0001f1e9\U0001f1ea"
    assert countries_by_alpha2()["AZ"].flag == "\U0001f1e6\U0001f1ff"


def test_directory_file_is_valid_and_complete() -> None:
    assert len(visa_types()) == 280
    assert len({visa_type.country for visa_type in visa_types()}) == 43


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"country": "XX"}, "no ISO 3166-1 country 'XX'"),
        ({"country": "de"}, "no ISO 3166-1 country 'de'"),
        ({"code": "Student"}, "code 'Student'"),
        ({"code": "a--b"}, "code 'a--b'"),
        ({"code": ""}, "code ''"),
        ({"code": "student\n"}, "code"),
        ({"official_url": "http://www.example.org"}, "no https address"),
        ({"official_url": "javascript:alert(1)"}, "no https address"),
        ({"official_url": "https://www.example.org/a b"}, "no https address"),
        ({"category": "fun"}, "category"),
        ({"name": {"en": " ", "local": "x"}}, "a name is empty"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_bad_line_is_refused_with_file_line_and_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ReferenceDataError, match=r"^types\.jsonl, line 2: ") as caught:
        parse_visa_types(lines(GOOD, GOOD | {"code": "other"} | change), "types.jsonl")
    assert reason in str(caught.value)


def test_same_code_twice_in_a_country_is_refused_but_not_in_two_countries() -> None:
    assert len(parse_visa_types(lines(GOOD, GOOD | {"country": "FR"}), "f")) == 2
    with pytest.raises(ReferenceDataError, match="line 2: DE has 'student' twice"):
        parse_visa_types(lines(GOOD, GOOD), "f")


def test_broken_json_is_refused_and_blank_lines_are_not() -> None:
    with pytest.raises(ReferenceDataError, match="line 1"):
        parse_visa_types(b'{"country": ', "f")
    assert len(parse_visa_types(b"\n" + lines(GOOD) + b"\n\n", "f")) == 1


def test_seeds_are_one_per_country_and_one_per_visa_type() -> None:
    seeds = list(community_seeds())
    slugs = [seed.slug for seed in seeds]
    assert len(set(slugs)) == len(slugs) == len(countries()) + len(visa_types())
    assert all(SLUG.fullmatch(slug) for slug in slugs)
    assert seeds == list(community_seeds())


def test_seed_carries_country_visa_type_and_kind() -> None:
    by_slug = {seed.slug: seed for seed in community_seeds()}
    germany, student = by_slug["de"], by_slug["de-student"]
    assert (germany.kind, germany.country_id, germany.visa_type) == ("country", 276, None)
    assert (student.kind, student.country_id, student.visa_type) == ("visa", 276, "student")
    assert student.name == "Germany: Student visa (section 16b)"
