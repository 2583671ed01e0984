"""The table of the protocol's codes, and who says which."""

from __future__ import annotations

import inspect

from serve_app.gateway import codes
from serve_app.gateway.codes import Disconnect, ReplyError


def test_the_table_follows_the_ranges_of_the_protocol() -> None:
    numbers = [c.number for c in (*codes.ERRORS, *codes.UNSUBSCRIBES, *codes.DISCONNECTS)]
    assert numbers == sorted(set(numbers))
    assert {c.number for c in codes.ERRORS} == set(range(100, 114))
    assert {c.number for c in codes.ERRORS if c.retried} == {100, 111, 113}
    for code in codes.UNSUBSCRIBES:
        assert code.retried == (code.number >= 2500)
    for code in codes.DISCONNECTS:
        assert code.retried == (code.number < 3500)
        assert len(code.reason.encode()) < 124


def test_whatever_is_said_is_in_the_table_and_whatever_is_sent_is_said() -> None:
    said: set[int] = set()
    for name, function in inspect.getmembers(codes, inspect.isfunction):
        if not name.startswith("_") and not inspect.signature(function).parameters:
            made = function()
            assert isinstance(made, ReplyError | Disconnect), name
            said.add(made.code)
    table = {c.number: c for c in (*codes.ERRORS, *codes.DISCONNECTS)}
    by_the_server_api = {3011}
    assert said | by_the_server_api == {number for number, code in table.items() if code.sent}
    ends = (codes.UNSUBSCRIBE_DENIED, codes.UNSUBSCRIBE_INSUFFICIENT, codes.UNSUBSCRIBE_EXPIRED)
    assert {end[0] for end in ends} == {c.number for c in codes.UNSUBSCRIBES if c.sent}
