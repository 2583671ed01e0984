"""The documented shapes are the shapes that actors encode."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from actors import groups
from actors.accounts import _shown
from actors.content import Comment, Post
from actors.directory_reads import CommunityView, _countries_page, _visa_types_page
from actors.drafts import _shown as _shown_draft
from actors.drafts import _summary
from actors.member_state import _muted, _saved
from actors.profile import _shown as _shown_account
from serve_app.api import group_schemas, member_schemas, schemas
from storage.accounts import Account
from storage.admissions import Invitation, Waiting
from storage.community_log import LogEntry
from storage.drafts import Draft
from storage.group_members import Member
from storage.marks import Marks
from storage.mutes import MutedAccount, MutedCommunity
from storage.notifications import Notification
from storage.read_positions import ReadTo
from storage.saves import Saved

ID = UUID("0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2b")


def _strict(kind: type, encoded: bytes) -> None:
    """Everything required is there with its type, and nothing more."""
    decoded: object = msgspec.json.decode(encoded, type=kind)
    assert json.loads(msgspec.json.encode(decoded)) == json.loads(encoded)


def test_directory() -> None:
    _strict(schemas.CountryList, _countries_page())
    _strict(schemas.VisaTypeList, _visa_types_page(None))
    view = CommunityView(
        ID, "de", "Germany", "DE", None, "country", 1, "", "public", "open", False, "t"
    )
    _strict(schemas.Community, msgspec.json.encode(view))


def test_own_state() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    draft = Draft(ID, "post", ID, None, None, "t", "b", None, ["tag"], 1, moment, moment)
    _strict(member_schemas.Draft, msgspec.json.encode(_shown_draft(draft)))
    _strict(member_schemas.DraftSummary, msgspec.json.encode(_summary(draft)))
    account = Account(ID, "mina", None, None, "Mina", ["de"], "member", "active", 1, moment, "all")
    _strict(schemas.Me, msgspec.json.encode(_shown_account(account)))
    _strict(
        schemas.Marks, msgspec.json.encode(Marks({str(ID): 1}, [ID], {}, {str(ID): 0}, {}, [ID]))
    )
    post = Post(
        ID, ID, "DE", None, None, "", "", "", "en", (), 0, 0, 0, 0, "t", None, False, False, None,
        True,
    )  # fmt: skip
    comment = Comment(ID, ID, None, 0, None, "", "", "en", 0, 0, 0, "t", None, True, 0)
    saves = [
        _saved(Saved(ID, True, moment, "T"), post),
        _saved(Saved(ID, False, moment, "T"), comment),
    ]
    _strict(member_schemas.SavePage, msgspec.json.encode({"items": saves, "next_cursor": None}))
    muted = [MutedAccount(ID, "noor", "Noor", moment)]
    _strict(
        list[member_schemas.MutedAccount], msgspec.json.encode([_muted(each) for each in muted])
    )
    _strict(
        member_schemas.MutedCommunity,
        msgspec.json.encode(_muted(MutedCommunity(ID, "de", "Germany", moment))),
    )
    _strict(member_schemas.ReadTo, msgspec.json.encode(ReadTo(ID, 3)._asdict()))


def test_notification() -> None:
    fields = {field.name for field in msgspec.structs.fields(Notification)}
    values = {
        "id": ID,
        "kind": "reply",
        "count": 1,
        "actor_id": ID,
        "actor_handle": "amina",
        "actor_display_name": "Amina",
        "post_id": ID,
        "comment_id": ID,
        "post_title": "Title",
        "community_id": ID,
        "community_slug": None,
        "community_name": None,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "read": False,
    }
    assert fields == set(values)
    shown = _shown(msgspec.convert(values, Notification))
    _strict(schemas.Notification, msgspec.json.encode(shown))


def test_groups() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    member = Member(ID, "amina", "Amina", "moderator", at)
    waiting = Waiting(ID, "amina", "Amina", "I am a nurse.", at)
    invitation = Invitation(ID, "n", "N", "private", 1, "", ID, "amina", "Amina", at)
    unknown = Invitation(ID, "n", "N", "private", 1, "", None, None, None, at)
    entry = LogEntry(
        1, "role", ID, "amina", "Amina", ID, "noor", "Noor", '{"from":"member","to":"admin"}', at
    )
    operators = LogEntry(2, "banned", None, None, None, None, None, None, "{}", at)
    for kind, shown in (
        (group_schemas.Member, groups._member_view(member)),
        (group_schemas.Invited, groups._invited_view(waiting)),
        (group_schemas.JoinRequest, groups._request_view(waiting)),
        (group_schemas.Invitation, groups._invitation_view(invitation)),
        (group_schemas.Invitation, groups._invitation_view(unknown)),
        (group_schemas.LogEntry, groups._log_view(entry)),
        (group_schemas.LogEntry, groups._log_view(operators)),
    ):
        _strict(kind, msgspec.json.encode(shown))
