"""A foreground program like `serve_app up`: `python -m tests.integration.supervised_program DIR`.

Prints one JSON line with its URLs and processes, then runs until SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from serve_app.supervisor import Supervisor
from storage.embedded.postgres import EmbeddedPostgres
from storage.embedded.valkey import EmbeddedValkey


async def main(data_dir: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    postgres = EmbeddedPostgres(data_dir / "postgres", durable=False)
    valkey = EmbeddedValkey(data_dir / "valkey")
    supervisor = Supervisor(data_dir, [postgres, valkey])
    urls = await supervisor.start()
    try:
        print(json.dumps({"urls": urls, "processes": supervisor.processes()}), flush=True)
        await stop.wait()
    finally:
        await supervisor.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
