"""llama.cpp's own server in a process of its own; run as `python -m` by llama_cpp.py.

Its parameters come as a line of JSON on stdin, so that the key is neither among the arguments nor
in the environment. It answers a line with its address, or why there is none, and ends with its
parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

import msgspec

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_NICE: Final = 5  # who waits for an answer waits longer than who reads a page
_ERRORS_ONLY: Final = 1


class Parameters(msgspec.Struct, frozen=True):
    model: str
    api_key: str
    context_tokens: int
    """Of each stream."""
    parallel: int
    threads: int
    """0: one a core but for one, which the rest of the machine keeps."""
    gpu_layers: int
    idle_seconds: int
    """After so long without a request the model leaves the memory, until the next; -1: never."""


class Started(msgspec.Struct, frozen=True):
    address: str = ""
    error: str = ""


def main(arguments: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(arguments[0]):
        sys.exit("the process that asked for this server is gone")
    os.nice(_NICE)
    # Ctrl-C reaches every process of the terminal; the parent ends this one when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parameters = msgspec.json.decode(sys.stdin.readline(), type=Parameters)
    try:
        started = Started(address=_serve(parameters))
    except (RuntimeError, ValueError) as error:
        started = Started(error=str(error) or type(error).__name__)
    sys.stdout.buffer.write(msgspec.json.encode(started) + b"\n")
    sys.stdout.flush()
    sys.stdin.read()  # until the parent closes it, or is gone
    os._exit(0)


def _serve(parameters: Parameters) -> str:
    import xllamacpp

    wanted = xllamacpp.CommonParams()
    wanted.model.path = parameters.model
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = 0
    wanted.api_keys = [parameters.api_key]
    wanted.n_parallel = parameters.parallel
    wanted.n_ctx = parameters.context_tokens * parameters.parallel
    wanted.n_gpu_layers = parameters.gpu_layers
    # Its threads wait for each other spinning: with one on every core of a busy machine each token
    # takes twenty times as long.
    threads = parameters.threads or max(1, (os.cpu_count() or 1) - 1)
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = threads
    wanted.cache_ram_mib = 0  # its default keeps up to 8 GiB of old prompts
    wanted.sleep_idle_seconds = parameters.idle_seconds
    wanted.ui = False
    wanted.endpoint_slots = False
    wanted.endpoint_metrics = True
    wanted.verbosity = _ERRORS_ONLY
    server = xllamacpp.Server(wanted)
    _kept.append(server)
    return str(server.listening_address)


_kept: Final[list[object]] = []

if __name__ == "__main__":
    main(sys.argv[1:])
