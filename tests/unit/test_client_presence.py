from __future__ import annotations

from actors.client_presence import ClientPresence
from actors.shard_messages import KIND_JOIN, KIND_LEAVE, ClientChange, Publication


def come(client: str, info: bytes = b"i") -> ClientChange:
    return ClientChange("c", client, info)


def leave(client: str) -> ClientChange:
    return ClientChange("c", client, b"")


JOIN, LEAVE = Publication("c", 0, b"i", kind=KIND_JOIN), Publication("c", 0, b"i", kind=KIND_LEAVE)


def test_newer_info_is_listed_and_told_to_nobody() -> None:
    presence = ClientPresence()
    assert presence.change("g", [come("ann")]) == [JOIN]
    assert presence.change("g", [come("ann", b"new")]) == []
    assert presence.clients("c", 10) == {"ann": b"new"}
    assert presence.change("g", [leave("ann")]) == [Publication("c", 0, b"new", kind=KIND_LEAVE)]
    assert len(presence) == 0


def test_a_client_belongs_to_the_gateway_that_spoke_last() -> None:
    presence = ClientPresence()
    presence.change("g", [come("ann")])
    assert presence.change("h", [come("ann")]) == []
    assert presence.change("g", [leave("ann")]) == []
    assert presence.forget("g") == []
    assert presence.count("c") == 1
    assert presence.forget("h") == [LEAVE]
    assert presence.forget("h") == []


def test_who_came_and_left_between_two_hellos_is_no_news() -> None:
    presence = ClientPresence()
    presence.change("g", [come("ann")])
    assert presence.replace("g", [come("ann"), come("bob"), leave("bob")]) == []
    assert presence.replace("g", [come("bob"), come("cyd")], known={"c"}) == [LEAVE]
    assert presence.clients("c", 1) == {"bob": b"i"}
    assert presence.count("c") == 2
    assert presence.replace("g", [come("bob")], known={"d"}) == [LEAVE]
