"""`python -m serve_app checklists`: checklists from a file, and away again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from config.errors import AppError
from serve_app.dump_files import DumpFiles
from serve_app.importing import import_files
from storage import checklists
from storage.postgres import Pool, acquire


async def import_checklists(file: Path, url: str) -> int:
    """The exit code: 1 where lines were refused."""
    if not await asyncio.to_thread(file.is_file):
        raise AppError("invalid", f"{file} is not a file.")
    tally = (await import_files(DumpFiles(checklists=[file]), url)).checklists
    print(
        f"{tally.read} read: {tally.written} new or changed, {tally.there} as they were,"
        f" {tally.refused} refused"
    )
    return 1 if tally.refused else 0


async def withdraw_checklist(id: str, pool: Pool) -> None:
    """Raises AppError `not_found`."""
    async with acquire(pool) as connection:
        if not await checklists.withdraw(connection, id):
            raise AppError("not_found", f"No checklist {id!r} is shown.")
    print("withdrawn")
