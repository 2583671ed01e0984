"""The table of namespaces: what a row may say, and which one a channel belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from config.channels import DEFAULT, OWN, Namespace, Namespaces, personal_channel, users_of
from config.settings import SettingsError, load

MEMORY: dict[str, Any] = {"history": "memory", "history_size": 1, "history_ttl_seconds": 1.0}
ROOM, FREE = Namespace(subscribe="token"), Namespace(subscribe="anyone")


@pytest.mark.parametrize(
    ("channel", "row"),
    [
        ("news", FREE),
        ("$news", FREE),
        ("#42", FREE),
        ("#auth0:42", FREE),
        ("talk#a:1,b:2", FREE),
        ("room:1", ROOM),
        ("$room:1", ROOM),
        ("room:1#42", ROOM),
        ("room:", ROOM),
        ("default:news", None),
        ("rooms:1", None),
        (":1", None),
        ("$$room:1", None),
        ("thread:1", OWN["thread"]),
    ],
)
def test_which_row_a_channel_belongs_to(channel: str, row: Namespace | None) -> None:
    assert Namespaces({"room": ROOM, DEFAULT: FREE}).of(channel) is row


@pytest.mark.parametrize(
    ("channel", "users"),
    [
        ("news", None),
        ("#42", {"42"}),
        ("room:a#b#7,42,", {"7", "42"}),
        ("#", set()),
        ("#alice,bob", {"alice", "bob"}),
        ("#x#alice", {"alice"}),
    ],
)
def test_whom_a_channel_is_limited_to(channel: str, users: set[str] | None) -> None:
    assert users_of(channel) == users


@pytest.mark.parametrize("user", ["", "alice,bob", "x#alice", "alice,", ",", "#"])
def test_ids_that_would_name_the_channel_of_others_have_none(user: str) -> None:
    assert personal_channel(user) == ""
    assert user not in (users_of(f"#{user}") or ())


def test_without_a_default_row_there_are_no_bare_names() -> None:
    assert Namespaces({"room": ROOM}).of("news") is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"history": "memory"}, "history_size"),
        ({"history": "memory", "history_size": 5}, "history_ttl_seconds"),
        ({"recovery": "stream"}, "recovery: needs history"),
        ({"force_recovery": True, **MEMORY}, "force_recovery"),
        ({"join_leave": True, "presence": "counts"}, "presence = clients"),
        ({"throttle_seconds": 1.0, **MEMORY}, "throttle_seconds"),
    ],
)
def test_contradictions_in_a_row_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Namespace(**fields)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("thread", FREE),
        ("Room", FREE),
        ("r" * 33, FREE),
        ("a:b", FREE),
        ("room", Namespace(subscribe="content")),
        ("room", Namespace(publish="typing")),
    ],
)
def test_rows_that_no_operator_may_add(name: str, row: Namespace) -> None:
    with pytest.raises(ValueError, match=name):
        Namespaces.check({name: row})


def test_the_sandbox_is_open_and_holds_no_secret() -> None:
    settings = load({"SERAI_PROFILE": "sandbox"})
    row = settings.channels[DEFAULT]
    assert (row.subscribe, row.publish, row.recovery) == ("anyone", "subscribers", "stream")
    assert row.join_leave and row.delta and row.user_limited
    assert not settings.realtime.token_secret and not settings.realtime.api_key
    laptop = load({"SERAI_PROFILE": "laptop"})
    assert settings.rate_limit == laptop.rate_limit
    with pytest.raises(SettingsError, match="32 characters"):
        load({"SERAI_PROFILE": "sandbox", "SERAI_REALTIME__TOKEN_SECRET": "short"})
