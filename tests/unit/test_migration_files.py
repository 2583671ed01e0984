"""Reading migration files and cutting them into statements."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import AppError
from storage.migrate import read_migrations, split_statements


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("", []),
        ("-- only a remark; really\n/* nothing; */", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\nSELECT 2;\n", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';'; SELECT 'it''s;'", ["SELECT ';'", "SELECT 'it''s;'"]),
        (r"SELECT E'\';'; SELECT 2", [r"SELECT E'\';'", "SELECT 2"]),
        ('CREATE TABLE "a;b" (n int);', ['CREATE TABLE "a;b" (n int)']),
        ("DO $$ BEGIN; END $$; SELECT 1", ["DO $$ BEGIN; END $$", "SELECT 1"]),
        ("DO $f$ SELECT $$;$$; $f$; SELECT 1", ["DO $f$ SELECT $$;$$; $f$", "SELECT 1"]),
        ("SELECT 1 -- a; b\n; SELECT 2", ["SELECT 1 -- a; b", "SELECT 2"]),
    ],
)
def test_split_statements(sql: str, statements: list[str]) -> None:
    assert split_statements(sql) == statements


def test_reads_the_up_part_and_orders_by_number(tmp_path: Path) -> None:
    (tmp_path / "10_late.sql").write_text(
        "-- migrate:up transaction:false\nA\n-- migrate:down\nB\n"
    )
    (tmp_path / "9_early.sql").write_text("-- a remark\n--migrate:up\nC\n")
    (tmp_path / "README.md").write_text("ignored")
    early, late = read_migrations(tmp_path)
    assert (early.version, early.name, early.up.strip(), early.transaction) == (
        "9", "9_early", "C", True,
    )  # fmt: skip
    assert (late.version, late.name, late.up.strip(), late.transaction) == (
        "10", "10_late", "A", False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ({"first.sql": "-- migrate:up\n"}, "first.sql: migrations are named"),
        ({"1_first.sql": "SELECT 1"}, "1_first.sql: no line"),
        ({"1_a.sql": "-- migrate:up\n", "01_b.sql": "-- migrate:up\n"}, "the same version"),
    ],
)
def test_faulty_files_are_named(tmp_path: Path, names: dict[str, str], complaint: str) -> None:
    for name, text in names.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(AppError, match=complaint):
        read_migrations(tmp_path)
