"""The job 'erase_account': takes away all that is an account's, in steps, and last its names.

    rounds until one finds nothing ─▶ names, finished ─▶ LAST_LOOK_SECONDS later: rounds, names

The account ended when the job was enqueued (own_data.py): what begins afterwards is refused. What
had begun before asked without a lock and may commit after a short erasure, hence the last look. A
run that is cut off goes on where it was, since what is settled is no longer found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from actors.erasers import ERASERS, Eraser
from actors.job_tools import JobTools
from storage import account_tasks, erasure
from storage.account_tasks import Task, TaskJob
from storage.anonymous import ensure_deleted_author
from storage.postgres import Connection, acquire, in_transaction

_decode = msgspec.json.Decoder(TaskJob).decode

# Beyond the time limits of statements, those of jobs included, that may have begun before.
LAST_LOOK_SECONDS: Final = 120.0


class AccountEraser:
    def __init__(self, tools: JobTools, erasers: Sequence[Eraser] = ERASERS) -> None:
        self._tools = tools
        self._erasers = erasers

    async def run(self, payload: bytes) -> None:
        """Idempotent. Raises msgspec.DecodeError, AppError."""
        job = _decode(payload)
        async with acquire(self._tools.pool) as connection:
            task = await account_tasks.find(connection, job.task_id, "erasure")
        if task is None or (task.finished_at is not None) != job.last_look:
            return
        await in_transaction(self._tools.pool, ensure_deleted_author)
        if not task.total:
            await self._count(task)
        while await self._round(task):
            pass

        async def finish(connection: Connection) -> None:
            await erasure.account(connection, task.account_id)
            if not job.last_look:
                await account_tasks.finish(connection, task.id)
                await account_tasks.look_again(connection, task.id, LAST_LOOK_SECONDS)

        await in_transaction(self._tools.pool, finish)

    async def _count(self, task: Task) -> None:
        """The names that are taken last count as one, so that there is always something to do."""
        total = 1
        async with acquire(self._tools.pool) as connection:
            for eraser in self._erasers:
                table, _, column = eraser.rows.partition(".")
                if table:
                    total += await erasure.count_rows(connection, table, column, task.account_id)
            await account_tasks.set_total(connection, task.id, total)

    async def _round(self, task: Task) -> int:
        settled = 0
        for eraser in self._erasers:
            while count := await eraser.step(self._tools, task):
                settled += count
        return settled
