"""How checklists and progress on them are shown: encoded by the actors, described by OpenAPI."""

from __future__ import annotations

import msgspec

from actors import content
from actors.links.freshness import LinkState
from storage.checklists import ChecklistRow
from storage.stream_writer import rfc3339


class ChecklistSummary(msgspec.Struct, frozen=True):
    id: str
    country: str
    visa_type: str
    language: str
    title: str
    item_count: int
    updated_at: str


class ChecklistEntry(msgspec.Struct, frozen=True):
    """`id` is unique in its checklist and stays when the checklist is brought anew. `source`: the
    official page that says so."""

    id: str
    text: str
    source: LinkState | None


class ChecklistView(ChecklistSummary, frozen=True, kw_only=True):
    items: list[ChecklistEntry]


class DoneItem(msgspec.Struct, frozen=True):
    item_id: str
    done_at: str


class ChecklistProgress(msgspec.Struct, frozen=True):
    """The caller's. Items that the checklist has no longer are left out."""

    checklist_id: str
    done: int
    total: int
    items: list[DoneItem]


class BegunChecklist(msgspec.Struct, frozen=True):
    checklist: ChecklistSummary
    done: int
    total: int
    last_done_at: str


def summary(row: ChecklistRow) -> ChecklistSummary:
    country = content.alpha2(row.country_id)
    assert country is not None
    return ChecklistSummary(
        row.id, country, row.visa_type, row.language, row.title, len(row.items),
        rfc3339(row.updated_at),
    )  # fmt: skip
