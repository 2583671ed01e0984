"""docs/realtime-guarantees.md: each sentence names tests that exist, each number is the code's; and
docs/realtime.md lists the codes as the server says them."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from config.channels import INTERNAL, OWN, Namespace
from config.settings import Settings
from serve_app.gateway import codes

ROOT: Final = Path(__file__).resolve().parents[2]
DOCUMENT: Final = (ROOT / "docs" / "realtime-guarantees.md").read_text()
GUIDE: Final = (ROOT / "docs" / "realtime.md").read_text()
NOTE: Final = re.compile(r"^\[\^([\w-]+)\]: (.+)$", re.MULTILINE)
MARK: Final = re.compile(r"\[\^([\w-]+)\](?!:)")
TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
# A full stop between a word, closing bracket or backtick and a blank, the end or a footnote.
SENTENCE_END: Final = re.compile(r"[\w)`]\.(?=\s|$|\[\^)")


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, kinds))


def blocks(text: str) -> list[str]:
    """Paragraphs, list items and rows of tables below the first heading of a section, on one line
    each."""
    _, *sections = re.split(r"^## .+$", NOTE.sub("", text), flags=re.MULTILINE)
    found = []
    for section in sections:
        for part in re.split(r"\n\n|\n(?=- )|\n(?=\|)", section):
            line = " ".join(part.split())
            if line:
                found.append(line)
    return found


def statements(text: str) -> list[str]:
    """What must be proven: sentences, and rows of tables without their heads."""
    found = []
    lines = blocks(text)
    for number, line in enumerate(lines):
        if not line.startswith("|"):
            start = 0
            for end in SENTENCE_END.finditer(line):
                marks = re.match(r"(\[\^[\w-]+\])*", line[end.end() :])
                assert marks is not None
                found.append(line[start : end.end() + marks.end()])
                start = end.end() + marks.end()
            if line[start:].strip():
                found.append(line[start:])
        elif not set(line) <= set("|- ") and not is_head(lines, number):
            found.append(line)
    return found


def is_head(lines: list[str], number: int) -> bool:
    return number + 1 < len(lines) and set(lines[number + 1]) <= set("|- ")


def rows(text: str) -> list[list[str]]:
    """Cells of all rows whose first one is code."""
    table = (line for line in text.splitlines() if line.startswith("| `"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_reader_of_the_document_finds_what_is_wrong() -> None:
    text = (
        "# T\n\nFree.\n\n## A\n\n- One.[^a]\n- Two\n  goes on.[^a] Three.\n\n| h |\n|---|\n| r |\n"
    )
    unproven = [s.strip() for s in statements(text) if not MARK.search(s)]
    assert unproven == ["Three.", "| r |"]
    assert len(statements(text)) == 4


def test_every_sentence_ends_with_its_proof() -> None:
    found = statements(DOCUMENT)
    assert len(found) > 80
    assert [statement for statement in found if not MARK.search(statement)] == []


def test_every_proof_is_a_test_that_exists() -> None:
    notes = dict(NOTE.findall(DOCUMENT))
    marks = set(MARK.findall(DOCUMENT))
    assert marks == set(notes), "footnotes without a mark, or marks without a footnote"
    for name, note in notes.items():
        tests = TEST.findall(note)
        assert tests and TEST.sub("", note).strip(", ") == "", name
        for path, test in tests:
            assert test in names_in(path), f"[^{name}]: {path} has no {test}"


def default_of(path: str) -> Any:
    value: Any = Settings()
    steps = path.split(".")
    if steps[:2] == ["channels", "*"]:
        value, steps = Namespace(), steps[2:]
    for step in steps:
        value = getattr(value, step)
    return value


def test_limits_are_those_of_the_code() -> None:
    seen = 0
    for name, value, *_ in rows(DOCUMENT):
        path = name.strip("`")
        if path.startswith(("serve_app.", "actors.")):
            module, _, constant = path.rpartition(".")
            current = getattr(importlib.import_module(module), constant)
        else:
            current = default_of(path)
        assert float(value) == current, f"{path} is {current}"
        seen += 1
    assert seen > 25


# ---------------------------------------------------------------- docs/realtime.md


def test_the_guide_lists_every_code_that_is_sent() -> None:
    listed = {int(cells[0].strip("`")): cells[1:] for cells in rows(GUIDE) if is_number(cells[0])}
    table = [c for c in (*codes.ERRORS, *codes.UNSUBSCRIBES, *codes.DISCONNECTS) if c.sent]
    by_rpc = 404
    assert set(listed) == {*(code.number for code in table), by_rpc}
    for code in table:
        reason, retried, meaning = listed[code.number]
        assert (reason, meaning) == (code.reason, code.meaning), code.number
        assert retried == ("yes" if code.retried else "no"), code.number


def is_number(cell: str) -> bool:
    return cell.strip("`").isdigit()


def test_the_guide_lists_every_option_of_a_namespace() -> None:
    table = GUIDE.partition("| option | default |")[2].partition("\n\n")[0]
    listed = {cells[0].strip("`"): cells[1] for cells in rows(table)}
    assert set(listed) == {field.name for field in msgspec.structs.fields(Namespace)}
    for field in msgspec.structs.fields(Namespace):
        default = str(field.default).lower().removesuffix(".0")
        assert listed[field.name].strip("`") == default, field.name


def test_the_guide_names_serais_own_channels() -> None:
    for name in sorted({*OWN} - INTERNAL):
        assert f"`{name}:" in GUIDE, name
