"""Slugs of groups: readable, and never one of the directory's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.group_slugs import MAX_CHARACTERS, slug_of, slugs_for
from config.reference import community_seeds
from storage.communities import lookup_key
from storage.identity import new_id

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def letters(count: int) -> str:
    return "x" * count


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Nurses in Leipzig", "nurses-in-leipzig"),
        ("  Zürich & Genève!  ", "zurich-geneve"),
        ("Straße 7", "strasse-7"),
        ("DE", "g-de"),
        ("De Student", "g-de-student"),
        ("de-anything-new", "g-de-anything-new"),
        ("Den Haag", "den-haag"),
        ("签证互助", "group"),
        ("—", "group"),
    ],
)
def test_slug_of_a_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug


def test_the_slugs_of_the_directory_are_never_made() -> None:
    for seed in community_seeds():
        for name in (seed.slug, seed.slug.upper(), seed.slug.replace("-", " "), seed.name):
            assert slug_of(name) != seed.slug


def test_a_name_that_is_an_id_is_found_by_its_slug() -> None:
    id = str(new_id(0))
    assert lookup_key(slug_of(id)) == ("slug", f"g-{id}")


def test_what_is_tried() -> None:
    assert slugs_for("Nurses", letters) == (
        "nurses", "nurses-2", "nurses-3", *["nurses-xxxxxxxx"] * 3,
    )  # fmt: skip
    # "group" says nothing: without a Latin letter every group has letters of its own.
    assert set(slugs_for("签证互助", letters)) == {"group-xxxxxxxx"}


@given(st.text(max_size=200))
def test_every_name_has_slugs_that_can_be_looked_up(name: str) -> None:
    for slug in slugs_for(name, letters):
        assert SLUG.fullmatch(slug) and len(slug) <= MAX_CHARACTERS + 12
        assert lookup_key(slug) == ("slug", slug)
