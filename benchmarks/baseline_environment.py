"""The Python environment of bar 5's FastAPI baseline, made when it is missing or out of date."""

from __future__ import annotations

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

from benchmarks.machine import ROOT, BenchmarkError

LOCK: Final = ROOT / "benchmarks" / "requirements-baseline.lock"
_PLACE: Final = ROOT / ".tools" / "baseline"


def baseline_python() -> Path:
    """Its interpreter. Raises BenchmarkError when the lock could not be installed."""
    python = _PLACE / "bin" / "python"
    stamp = _PLACE / ".lock"
    wanted = sha256(LOCK.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise BenchmarkError("uv is needed to install the FastAPI baseline (make bench brings it)")
    print("Installing the FastAPI baseline into .tools/baseline", file=sys.stderr, flush=True)
    try:
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(_PLACE)], check=True
        )
        subprocess.run(
            [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(LOCK)],
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise BenchmarkError("the FastAPI baseline could not be installed") from error
    stamp.write_text(wanted)
    return python
