"""What a child runs before it becomes the server: drop privileges, die with the parent, exec.

Run as a script by `process.py` (`python -I -S launch.py PARENT_PID SIGNAL UID GID PROGRAM ARGS…`),
standard library only. A script of its own because the parent has threads: Python code between fork
and exec (`preexec_fn`) can deadlock there.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> None:
    parent_pid, death_signal, uid, gid = (int(argument) for argument in arguments[:4])
    command = arguments[4:]
    os.umask(0o077)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid: the kernel forgets the death signal when credentials change.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("the process that asked for this server is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
