"""The processes below one of ours, read from /proc (proc(5)); nothing where there is no /proc."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
# What a command line holds -> the role that `processes` shows.
_RAY_ROLES: Final = {
    "gcs_server": "gcs",
    "raylet/raylet": "raylet",
    "log_monitor": "ray_log_monitor",
    "runtime_env_agent": "ray_runtime_env_agent",
    "dashboard/agent": "ray_agent",
    "monitor.py": "ray_monitor",
    "dashboard/dashboard": "ray_dashboard",
    "ray::": "ray_worker",
}


def descendants(pid: int, *, without: set[int] | None = None) -> list[int]:
    """Children, their children and so on; `without` leaves these processes and all below out."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue  # it has just ended
        parent = int(stat.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in (without or ()):
                found.append(child)
                waiting.append(child)
    return found


def role_of(pid: int) -> str:
    try:
        command = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (OSError, UnicodeDecodeError):
        return "unknown"
    return next((role for mark, role in _RAY_ROLES.items() if mark in command), "child")
