"""`python -m serve_app guides`: guides from a file, and away again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from config.errors import AppError
from serve_app.dump_files import DumpFiles
from serve_app.importing import import_files
from storage import guides
from storage.postgres import Pool, in_transaction


async def import_guides(file: Path, url: str) -> int:
    """The exit code: 1 where lines were refused."""
    if not await asyncio.to_thread(file.is_file):
        raise AppError("invalid", f"{file} is not a file.")
    summary = await import_files(DumpFiles(guides=[file]), url)
    tally = summary.guides
    print(
        f"{tally.read} read: {tally.written} new or changed, {tally.there} as they were,"
        f" {tally.refused} refused"
    )
    return 1 if tally.refused else 0


async def withdraw_guide(reference: str, pool: Pool) -> None:
    """Raises AppError `not_found`."""
    withdrawn = await in_transaction(
        pool, lambda connection: guides.withdraw(connection, reference)
    )
    if withdrawn is None:
        raise AppError("not_found", f"No guide {reference!r} is shown.")
    print("withdrawn")
