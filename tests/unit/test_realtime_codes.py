"""The table of the protocol's codes, and who says which."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from serve_app.gateway import codes
from serve_app.gateway.codes import Disconnect, ReplyError

SERVER = Path(codes.__file__).parent.parent


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


def test_whatever_can_be_said_is_said_somewhere() -> None:
    used: set[str] = set()
    for path in SERVER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
    makers = {
        name
        for name, function in inspect.getmembers(codes, inspect.isfunction)
        if not name.startswith("_") and not inspect.signature(function).parameters
    }
    pushed = {name for name in vars(codes) if name.startswith("UNSUBSCRIBE_")}
    assert makers and pushed and not (makers | pushed) - used
