"""The reference directory: countries, visa types, and the communities that follow from them.

Countries are ISO 3166-1 (pycountry); visa types stand in reference/visa_types.jsonl. Everything is
validated once at the first call, then cached and immutable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import msgspec
import pycountry

VISA_TYPES_FILE: Final = Path(__file__).parent / "reference" / "visa_types.jsonl"
SLUG: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
HTTPS_URL: Final = re.compile(r"https://[a-z0-9.-]+\.[a-z]{2,}(?:/\S*)?", re.IGNORECASE)
# Regional indicator symbols stand in the order of the alphabet: A is U+1F1E6.
REGIONAL_INDICATOR_A: Final = 0x1F1E6

Category = Literal["work", "study", "family", "settle", "visit", "other"]
CommunityKind = Literal["country", "visa"]


class ReferenceDataError(ValueError):
    """A line of the directory that cannot be used: the file, the line and the reason."""


class Country(msgspec.Struct, frozen=True):
    """`numeric` (1..894) is the number inside Serai, `alpha2` (upper case) the one outside."""

    numeric: int
    alpha2: str
    alpha3: str
    name: str

    @property
    def flag(self) -> str:
        """The flag as an emoji; systems without flags show the two letters."""
        return "".join(chr(REGIONAL_INDICATOR_A + ord(letter) - ord("A")) for letter in self.alpha2)


class VisaType(msgspec.Struct, frozen=True):
    """`code` is unique within its country, and part of the slug of its community."""

    country: Country
    code: str
    name_en: str
    name_local: str
    category: Category
    official_url: str


class CommunitySeed(msgspec.Struct, frozen=True):
    """A community that exists in every installation. `country_id` is the numeric code."""

    slug: str
    name: str
    country_id: int
    visa_type: str | None
    kind: CommunityKind


class _Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    en: str
    local: str


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    country: str
    code: str
    name: _Name
    category: Category
    official_url: str


@cache
def countries() -> tuple[Country, ...]:
    """All of ISO 3166-1, ordered by alpha-2 code, under their common names where there is one."""
    return tuple(
        sorted(
            (
                Country(
                    numeric=int(entry.numeric),
                    alpha2=entry.alpha_2,
                    alpha3=entry.alpha_3,
                    name=getattr(entry, "common_name", entry.name),
                )
                for entry in pycountry.countries
            ),
            key=lambda country: country.alpha2,
        )
    )


@cache
def countries_by_alpha2() -> MappingProxyType[str, Country]:
    return MappingProxyType({country.alpha2: country for country in countries()})


@cache
def countries_by_numeric() -> MappingProxyType[int, Country]:
    return MappingProxyType({country.numeric: country for country in countries()})


@cache
def visa_types() -> tuple[VisaType, ...]:
    """Ordered by country, then as in the file. Raises ReferenceDataError on a damaged file."""
    return parse_visa_types(VISA_TYPES_FILE.read_bytes(), VISA_TYPES_FILE.name)


def parse_visa_types(lines: bytes, file_name: str) -> tuple[VisaType, ...]:
    """JSON Lines to visa types. Raises ReferenceDataError naming the first bad line."""
    found: dict[tuple[str, str], VisaType] = {}
    for number, line in enumerate(lines.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            visa_type = _visa_type(msgspec.json.decode(line, type=_Line))
            key = (visa_type.country.alpha2, visa_type.code)
            if key in found:
                raise ValueError(f"{key[0]} has {key[1]!r} twice")
        except (ValueError, msgspec.DecodeError) as error:
            raise ReferenceDataError(f"{file_name}, line {number}: {error}") from error
        found[key] = visa_type
    return tuple(sorted(found.values(), key=lambda visa_type: visa_type.country.alpha2))


def community_seeds() -> Iterator[CommunitySeed]:
    """One community per country (`de`), each followed by those of its visa types (`de-student`).

    The order and the slugs are the same in every run: seeding twice finds what it made before.
    """
    types_of: dict[int, list[VisaType]] = {}
    for visa_type in visa_types():
        types_of.setdefault(visa_type.country.numeric, []).append(visa_type)
    for country in countries():
        slug = country.alpha2.lower()
        yield CommunitySeed(slug, country.name, country.numeric, None, "country")
        for visa_type in types_of.get(country.numeric, ()):
            yield CommunitySeed(
                slug=f"{slug}-{visa_type.code}",
                name=f"{country.name}: {visa_type.name_en}",
                country_id=country.numeric,
                visa_type=visa_type.code,
                kind="visa",
            )


def _visa_type(line: _Line) -> VisaType:
    country = countries_by_alpha2().get(line.country)
    if country is None:
        raise ValueError(f"no ISO 3166-1 country {line.country!r}")
    if not SLUG.fullmatch(line.code):
        raise ValueError(f"code {line.code!r} is not made of a-z, 0-9 and single hyphens")
    if not HTTPS_URL.fullmatch(line.official_url):
        raise ValueError(f"official_url {line.official_url!r} is no https address")
    if not line.name.en.strip() or not line.name.local.strip():
        raise ValueError("a name is empty")
    return VisaType(
        country=country,
        code=line.code,
        name_en=line.name.en,
        name_local=line.name.local,
        category=line.category,
        official_url=line.official_url,
    )
