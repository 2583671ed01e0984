"""What a member may do with all that is theirs: have a copy made of it, or have it erased.

Both take long, so they are jobs (erasing.py, exporting.py); here they are asked for and looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from actors.account_messages import EraseAccount, ReadErasure, ReadExport, StartExport
from actors.messages import Reply
from actors.pages import member
from actors.passwords import Passwords
from actors.signed_link import signed_link
from config.errors import AppError
from storage import account_tasks, accounts
from storage.account_tasks import Task
from storage.postgres import Connection, Pool, acquire, in_transaction_at
from storage.stream_writer import Appended, rfc3339

EXPORT_PATH: Final = "/api/v1/exports/"
LINK_SECONDS: Final = 900
# Making a copy costs much: the newest answers for so long.
_ANSWERS_FOR: Final = timedelta(hours=1)
_encode: Final = msgspec.json.Encoder().encode


class OwnData:
    """`publish` takes events that are committed."""

    def __init__(
        self,
        pool: Pool,
        secret: str,
        passwords: Passwords,
        publish: Callable[[Sequence[Appended]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._secret = secret
        self._passwords = passwords
        self._publish = publish
        self._clock = clock

    async def erase(self, request: EraseAccount) -> Reply:
        """Ends the account and its sessions at once; what was theirs is erased by a job. Idempotent
        as long as that has not finished. A suspended member may go as well.

        Raises AppError `invalid_credentials` for a wrong password, `unauthenticated`.
        """
        account_id = member(request.caller)
        async with acquire(self._pool) as connection:
            account = await accounts.find(connection, account_id)
        if account is None:
            raise accounts.no_account()
        verdict = await self._passwords.verify(account.password_hash, request.password)
        if not verdict.right:
            raise AppError("invalid_credentials", "The password is wrong.")

        async def work(connection: Connection) -> tuple[Task, Appended | None]:
            locked = await accounts.lock(connection, account_id)
            if locked.standing == "deleted":
                under_way = await account_tasks.newest(connection, account_id, "erasure")
                if under_way is None:
                    raise accounts.no_account()
                return under_way, None
            return await account_tasks.begin_erasure(
                connection, locked, erase_content=request.erase_content
            )

        (task, event), position = await in_transaction_at(self._pool, work)
        if event is not None:
            self._publish([event])
        return Reply(202, _encode(_progress(task)), position)

    async def read_erasure(self, request: ReadErasure) -> Reply:
        async with acquire(self._pool) as connection:
            task = await account_tasks.find(connection, request.task_id, "erasure")
        if task is None:
            raise AppError("not_found", "There is no such erasure.")
        return Reply(body=_encode(_progress(task)))

    async def start_export(self, request: StartExport) -> Reply:
        """The one under way, or made within the last hour, answers; else a new one is begun."""
        account_id = member(request.caller)

        async def work(connection: Connection) -> Task:
            account = await accounts.lock(connection, account_id)
            account.require_active()
            newest = await account_tasks.newest(connection, account_id, "export")
            if newest is not None and self._answers(newest):
                return newest
            return await account_tasks.start(connection, account_id, "export")

        task, position = await in_transaction_at(self._pool, work)
        return Reply(202, self._shown(task), position)

    async def read_export(self, request: ReadExport) -> Reply:
        """With a link to the file, once there is one: good for a quarter of an hour."""
        account_id = member(request.caller)
        async with acquire(self._pool) as connection:
            account = await accounts.find(connection, account_id)
            if account is None:
                raise accounts.no_account()
            account.require_active()
            task = await account_tasks.newest(connection, account_id, "export")
        if task is None:
            raise AppError("not_found", "No export was asked for, or it has expired.")
        return Reply(body=self._shown(task))

    def _answers(self, task: Task) -> bool:
        if task.finished_at is None:
            return task.status != "failed"
        return datetime.now(UTC) - task.finished_at < _ANSWERS_FOR

    def _shown(self, task: Task) -> bytes:
        link = None
        if task.status == "done":
            expires = int(self._clock()) + LINK_SECONDS
            link = signed_link(self._secret, f"{EXPORT_PATH}{task.id}", expires)
        shown = {
            **_progress(task),
            "created_at": rfc3339(task.created_at),
            "size_bytes": task.size_bytes,
            "expires_at": None if task.expires_at is None else rfc3339(task.expires_at),
            "download_url": link,
        }
        return _encode(shown)


def _progress(task: Task) -> dict[str, object]:
    return {"job_id": task.id, "status": task.status, "done": task.done, "total": task.total}
