"""The lines of timelines and checklists in a dump: decoded, checked, given their ids. No I/O."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from actors.timeline_rules import place_faults
from actors.timelines import checked_text
from config.errors import AppError
from config.language_tags import canonical_language
from config.reference import HTTPS_URL, countries_by_alpha2
from serve_app.api.fields import CountryCode, Language, Title, VisaType
from serve_app.api.timelines import ConsulateText, Events
from serve_app.dump import Name, Refused, decoded, dump_id, require_plain
from storage.checklists import Checklist, ChecklistItem
from storage.visa_importing import TimelineToImport

MAX_ITEMS: Final = 100
_EPOCH: Final = dt.date(1970, 1, 1)
_DAY_MS: Final = 86_400_000
_KEY: Final = r"^[a-z0-9]+(-[a-z0-9]+)*\Z"
ChecklistKey = Annotated[str, Meta(pattern=_KEY, max_length=100)]
ItemKey = Annotated[str, Meta(pattern=_KEY, max_length=40)]


class TimelineLine(msgspec.Struct, frozen=True):
    """`account`: a handle of the dump."""

    account: Name
    country: CountryCode
    visa_type: VisaType
    consulate: ConsulateText
    events: Events


class ItemLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: ItemKey
    text: Annotated[str, Meta(min_length=1, max_length=1_000)]
    source_url: Annotated[str, Meta(max_length=2_000)] | None = None


class ChecklistLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A later file with the same `id` replaces it; progress goes by the items' ids."""

    id: ChecklistKey
    country: CountryCode
    visa_type: VisaType
    language: Language
    title: Title
    items: Annotated[tuple[ItemLine, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


_decode_timeline: Final = msgspec.json.Decoder(TimelineLine).decode
_decode_checklist: Final = msgspec.json.Decoder(ChecklistLine).decode


def parse_timeline(line: bytes, now: dt.datetime) -> TimelineToImport:
    """Raises Refused."""
    timeline = decoded(_decode_timeline, line)
    for path, text in (("account", timeline.account), ("consulate", timeline.consulate)):
        require_plain(path, text)
    try:
        text_ = checked_text(
            timeline.country, timeline.visa_type, timeline.consulate, timeline.events, now
        )
    except AppError as error:
        raise Refused("; ".join(f"{path}: {reason}" for path, reason in error.errors)) from None
    # The month alone: everybody sees the id.
    month = timeline.events[-1].date.replace(day=1)
    id = dump_id(
        countries_by_alpha2()[timeline.country].numeric, (month - _EPOCH).days * _DAY_MS,
        "timeline", timeline.account, text_.visa_type, text_.consulate_key,
        text_.submitted_on.isoformat(),
    )  # fmt: skip
    return TimelineToImport(id, timeline.account, text_)


def parse_checklist(line: bytes) -> Checklist:
    """Raises Refused."""
    checklist = decoded(_decode_checklist, line)
    for path, reason in place_faults(checklist.country, checklist.visa_type):
        raise Refused(f"{path}: {reason}")
    require_plain("title", checklist.title)
    known: set[str] = set()
    for place, item in enumerate(checklist.items):
        require_plain(f"items[{place}].text", item.text)
        if item.id in known:
            raise Refused(f"items[{place}].id: {item.id!r} is there twice")
        if item.source_url is not None and HTTPS_URL.fullmatch(item.source_url) is None:
            raise Refused(f"items[{place}].source_url: is no https address")
        known.add(item.id)
    return Checklist(
        checklist.id,
        countries_by_alpha2()[checklist.country].numeric,
        checklist.visa_type,
        canonical_language(checklist.language),
        checklist.title,
        tuple(ChecklistItem(item.id, item.text, item.source_url) for item in checklist.items),
    )
