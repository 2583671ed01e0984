"""The documented shapes are the shapes that actors encode."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from actors.accounts import _shown
from actors.directory_reads import CommunityView, _countries_page, _visa_types_page
from serve_app.api import schemas
from storage.notifications import Notification

ID = UUID("0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2b")


def _strict(kind: type, encoded: bytes) -> None:
    """Everything required is there with its type, and nothing more."""
    decoded: object = msgspec.json.decode(encoded, type=kind)
    assert json.loads(msgspec.json.encode(decoded)) == json.loads(encoded)


def test_directory() -> None:
    _strict(schemas.CountryList, _countries_page())
    _strict(schemas.VisaTypeList, _visa_types_page(None))
    view = CommunityView(ID, "de", "Germany", "DE", None, "country", 1, "", "public", "t")
    _strict(schemas.Community, msgspec.json.encode(view))


def test_notification() -> None:
    fields = {field.name for field in msgspec.structs.fields(Notification)}
    values = {
        "id": ID,
        "kind": "reply",
        "actor_id": ID,
        "actor_handle": "amina",
        "actor_display_name": "Amina",
        "post_id": ID,
        "comment_id": ID,
        "post_title": "Title",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "read": False,
    }
    assert fields == set(values)
    shown = _shown(msgspec.convert(values, Notification))
    _strict(schemas.Notification, msgspec.json.encode(shown))
