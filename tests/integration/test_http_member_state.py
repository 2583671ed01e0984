"""The routes of a member's own state: what each asks of the backends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from actors import member_messages as m
from actors.messages import Reply
from serve_app.batched_handle import encode
from serve_app.gateway.gateway import HandleBackends
from tests.gateway_app import (
    AS_MEMBER,
    MEMBER,
    POST_ID,
    GatewayUnderTest,
    problem_of,
    running_gateway,
)

Running = tuple[GatewayUnderTest, aiohttp.ClientSession]
ID = UUID(POST_ID)
POST, COMMENT = f"/api/v1/posts/{POST_ID}", f"/api/v1/comments/{POST_ID}"
ME, DRAFT = "/api/v1/me", f"/api/v1/me/drafts/{POST_ID}"
MUTES = f"{ME}/mutes"


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with running_gateway() as made:
        yield made


ASKED: list[tuple[str, str, Any, Any]] = [
    ("PATCH", ME, {"languages": ["de"]}, m.UpdateMe(MEMBER, None, ("de",), None)),
    (
        "POST", f"{ME}/drafts",
        {"kind": "comment", "post_id": POST_ID, "parent_id": POST_ID, "body_markdown": ""},
        m.CreateDraft(MEMBER, "comment", None, ID, ID, "", "", None, (), "k 1"),
    ),
    (
        "PUT", DRAFT, {"revision": 3, "body_markdown": "b", "community_id": "de", "title": "x"},
        m.ReplaceDraft(MEMBER, ID, 3, "de", "x", "b", None, ()),
    ),
    ("GET", DRAFT, None, m.ReadDraft(MEMBER, ID)),
    ("DELETE", DRAFT, None, m.DeleteDraft(MEMBER, ID)),
    (
        "GET", f"{ME}/drafts?post_id={POST_ID}&limit=2&cursor=c", None,
        m.ListDrafts(MEMBER, ID, 2, "c"),
    ),
    ("PUT", f"{POST}/save", None, m.SetSaved(MEMBER, "post", ID, True)),
    ("DELETE", f"{POST}/save", None, m.SetSaved(MEMBER, "post", ID, False)),
    ("PUT", f"{COMMENT}/save", None, m.SetSaved(MEMBER, "comment", ID, True)),
    ("DELETE", f"{COMMENT}/save", None, m.SetSaved(MEMBER, "comment", ID, False)),
    ("GET", f"{ME}/saves", None, m.ListSaves(MEMBER, 30, None)),
    ("PUT", f"{POST}/follow", {"level": "none"}, m.FollowThread(MEMBER, ID, "none")),
    ("DELETE", f"{POST}/follow", None, m.FollowThread(MEMBER, ID, None)),
    (
        "PUT", "/api/v1/communities/DE/follow", {"level": "all"},
        m.FollowCommunity(MEMBER, "de", "all"),
    ),
    ("DELETE", "/api/v1/communities/de/follow", None, m.FollowCommunity(MEMBER, "de", None)),
    ("PUT", f"{POST}/read", {"comment_id": POST_ID}, m.MarkThreadRead(MEMBER, ID, ID)),
    ("PUT", f"{MUTES}/accounts/Amina_K", None, m.MuteAccount(MEMBER, "amina_k", True)),
    ("DELETE", f"{MUTES}/accounts/{POST_ID}", None, m.MuteAccount(MEMBER, POST_ID, False)),
    ("GET", f"{MUTES}/accounts", None, m.ListMutedAccounts(MEMBER, 30, None)),
    ("PUT", f"{MUTES}/communities/de", None, m.MuteCommunity(MEMBER, "de", True)),
    ("DELETE", f"{MUTES}/communities/de", None, m.MuteCommunity(MEMBER, "de", False)),
    ("GET", f"{MUTES}/communities?limit=1", None, m.ListMutedCommunities(MEMBER, 1, None)),
]  # fmt: skip


async def test_each_route_asks_once_for_what_was_sent(running: Running) -> None:
    gateway, session = running
    headers = {**AS_MEMBER, "Idempotency-Key": "k 1"}
    for method, path, body, expected in ASKED:
        gateway.backends.requests.clear()
        async with session.request(method, path, json=body, headers=headers) as response:
            assert response.status == 200, (method, path)
        assert gateway.backends.requests == [expected], (method, path)


async def test_what_cannot_be_meant_is_refused(running: Running) -> None:
    gateway, session = running
    refused: list[tuple[str, str, Any]] = [
        ("PATCH", ME, {}),
        ("PATCH", ME, {"display_name": ""}),
        ("PATCH", ME, {"handle": "other"}),
        ("PATCH", ME, {"default_follow_level": "some"}),
        ("POST", f"{ME}/drafts", {"kind": "poem", "body_markdown": ""}),
        ("POST", f"{ME}/drafts", {"kind": "post", "body_markdown": "w" * 40_001}),
        ("PUT", DRAFT, {"body_markdown": ""}),
        ("PUT", DRAFT, {"revision": 0, "body_markdown": ""}),
        ("PUT", f"{POST}/follow", {"level": None}),
        ("PUT", f"{POST}/read", {"comment_id": "x"}),
        ("GET", f"{ME}/saves?limit=101", None),
        ("GET", f"{ME}/drafts?post_id=x", None),
    ]
    for method, path, body in refused:
        async with session.request(method, path, json=body, headers=AS_MEMBER) as response:
            assert (await problem_of(response))["code"] == "invalid", (method, path, body)
    for path in (f"{MUTES}/accounts/a%00b", f"{MUTES}/accounts/a.b", "/api/v1/posts/x/save"):
        async with session.put(path, headers=AS_MEMBER) as response:
            assert (await problem_of(response))["code"] == "not_found", path
    assert gateway.backends.requests == []


async def test_a_draft_that_is_sent_again_by_the_gateway_is_still_one() -> None:
    """A batch whose replica died is sent once more: a key of the gateway's own makes it safe."""
    sent: list[bytes] = []

    async def send(payload: bytes) -> bytes:
        sent.append(payload)
        return encode([Reply(201)])

    backends = HandleBackends(send, send, send, send)
    request = m.CreateDraft(MEMBER, "post", None, None, None, "", "", None, (), None)
    assert (await backends.accounts_write(request)).status == 201
    assert b"gateway-" in sent[0]
