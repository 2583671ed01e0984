"""The lines of a guides file: decoded, checked, rendered, given their ids. No I/O."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from actors.markdown import render
from config.language_tags import canonical_language
from config.reference import HTTPS_URL, countries_by_alpha2, visa_types
from serve_app.api.fields import Language, PostText, Title
from serve_app.dump import Key, Refused, decoded, require_plain
from storage.guides import GuideToImport, guide_id

# Somewhere it is tomorrow already.
_AHEAD: Final = timedelta(days=1)


class GuideLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`id` is the operator's: a later file with the same one brings the next version. `as_of`: the
    day that the facts are of; `last_checked`: when somebody last compared them with the source."""

    id: Key
    country: str
    language: Language
    title: Title
    body_markdown: PostText
    authority: Annotated[str, Meta(min_length=1, max_length=200)]
    source_url: Annotated[str, Meta(max_length=2_000)]
    as_of: date
    last_checked: date
    visa_type: str | None = None


_decode: Final = msgspec.json.Decoder(GuideLine).decode


def parse_guide(line: bytes, today: date) -> GuideToImport:
    """Raises Refused."""
    guide = decoded(_decode, line)
    country = countries_by_alpha2().get(guide.country)
    if country is None:
        raise Refused(f"country: no ISO 3166-1 country {guide.country!r}")
    known = {visa.code for visa in visa_types() if visa.country is country}
    if guide.visa_type is not None and guide.visa_type not in known:
        raise Refused(f"visa_type: the country has no visa type {guide.visa_type!r}")
    for path, text in (
        ("id", guide.id), ("title", guide.title), ("body_markdown", guide.body_markdown),
        ("authority", guide.authority), ("source_url", guide.source_url),
    ):  # fmt: skip
        require_plain(path, text)
    if not guide.body_markdown.strip():
        raise Refused("body_markdown: is empty")
    if HTTPS_URL.fullmatch(guide.source_url) is None:
        raise Refused(f"source_url: {guide.source_url[:80]!r} is no https address")
    for path, day in (("as_of", guide.as_of), ("last_checked", guide.last_checked)):
        if day > today + _AHEAD:
            raise Refused(f"{path}: lies in the future")
    if guide.last_checked < guide.as_of:
        raise Refused("last_checked: lies before as_of")
    return GuideToImport(
        id=guide_id(country.numeric, guide.id),
        country_id=country.numeric,
        reference=guide.id,
        visa_type=guide.visa_type,
        language=canonical_language(guide.language),
        title=guide.title,
        body_markdown=guide.body_markdown,
        body_html=render(guide.body_markdown),
        authority=guide.authority,
        source_url=guide.source_url,
        as_of=guide.as_of,
        last_checked=guide.last_checked,
    )
