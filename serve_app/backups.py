"""`python -m serve_app backup` and `restore`: what the commands do and print."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import datetime
from pathlib import Path

from config.errors import AppError
from serve_app.data_lock import DataDirLock
from storage.embedded.backup import Follower, back_up, restore


async def make_backup(url: str, target: Path, *, follow: bool) -> int:
    """With `follow` in the foreground until SIGINT or SIGTERM."""
    if not follow:
        await back_up(url, target)
        print(f"Backed up to {target}.")
        return 0
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    follower = Follower(url, target)
    try:
        await follower.start()
        await back_up(url, target)
        print(f"Backed up to {target}; what is written now follows until Ctrl-C.", flush=True)
        ended = asyncio.ensure_future(follower.wait())
        stopped = asyncio.ensure_future(stopping.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if ended.done():
            ended.result()
        ended.cancel()
    finally:
        await follower.stop()
    return 0


async def restore_backup(source: Path, data_dir: Path, until: str | None) -> int:
    """Into the embedded database of `data_dir`, whose server does not run."""
    try:
        moment = datetime.fromisoformat(until) if until else None
    except ValueError:
        raise AppError("invalid", f"{until} is no time such as 2026-11-20T08:15:30Z.") from None
    if moment is not None and moment.tzinfo is None:
        raise AppError("invalid", "The time must name its offset, as in 2026-11-20T08:15:30Z.")
    lock = DataDirLock(data_dir).acquire()
    try:
        print("Replaying …", file=sys.stderr)
        await restore(source, data_dir / "postgres", until=moment)
    finally:
        lock.release()
    print("Restored. Clients will read their pages anew.")
    return 0
