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


def test_what_an_introduction_does_not_repeat_has_left() -> None:
    presence = ClientPresence()
    presence.change("g", [come("ann"), come("bob")])
    presence.begin_introduction("g")
    assert presence.change("g", [come("ann")]) == []
    assert presence.count("c") == 2, "not all is said yet"
    assert presence.change("g", [come("cyd"), leave("cyd")]) == [JOIN, LEAVE]
    assert presence.end_introduction("g") == [LEAVE]
    assert presence.clients("c", 1) == {"ann": b"i"}
    presence.begin_introduction("g", restored=True)
    assert presence.change("g", [come("dan"), ClientChange("d", "dan", b"i")]) == []
    presence.begin_introduction("g")
    assert presence.change("g", [come("dan"), come("eve")]) == [JOIN]
    assert presence.end_introduction("g") == [
        LEAVE,
        Publication("d", 0, b"i", kind=KIND_LEAVE),
    ]
    assert list(presence.clients("c", 10)) == ["dan", "eve"]


def test_one_that_moved_while_its_gateway_introduces_itself_stays() -> None:
    presence = ClientPresence()
    presence.change("g", [come("ann")])
    presence.begin_introduction("g")
    presence.change("h", [come("ann")])
    assert presence.end_introduction("g") == []
    assert presence.count("c") == 1
