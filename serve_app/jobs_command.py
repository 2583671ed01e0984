"""`python -m serve_app jobs`: what operators do about jobs that failed for good."""

from __future__ import annotations

import argparse
from typing import Final

from storage import dead_letters
from storage.dead_letters import ListedJob
from storage.postgres import Pool

_SHOWN: Final = 200
_STATUS: Final = {"failed": "held", "picked": "running", "queued": "waiting"}


async def run(options: argparse.Namespace, pool: Pool) -> None:
    """Prints what there is, or what was done. Raises AppError for a job that is not there."""
    match options.action:
        case "list":
            listed = await dead_letters.list_jobs(pool, only_failed=options.failed, limit=_SHOWN)
            for job in listed:
                print(_line(job))
            if len(listed) == _SHOWN:
                print(f"(there may be more than these {_SHOWN})")
        case "retry":
            count = await dead_letters.retry(pool, None if options.all else options.id)
            print(f"{count} put back")
        case "drop":
            await dead_letters.drop(pool, options.id)
            print("dropped")


def _line(job: ListedJob) -> str:
    parts = [
        f"{job.id:<10} {_STATUS.get(job.status, job.status):8} {job.entrypoint:20}",
        f"{job.created:%Y-%m-%d %H:%M:%S}",
        job.payload,
    ]
    return "  ".join([*parts, job.error] if job.error else parts)
