"""The files of a dump, streamed: lines, and batches of parsed lines. Never a whole file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from config.errors import AppError
from serve_app.dump import Refused

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_BATCH_LINES: Final = 500
_BATCH_BYTES: Final = 4 * 1024 * 1024

Item = TypeVar("Item")


class DumpFiles(NamedTuple):
    """By their names' beginnings: `accounts*.jsonl` and so on."""

    accounts: Sequence[Path] = ()
    threads: Sequence[Path] = ()
    guides: Sequence[Path] = ()
    checklists: Sequence[Path] = ()
    timelines: Sequence[Path] = ()

    @property
    def total_bytes(self) -> int:
        return sum(path.stat().st_size for paths in self for path in paths)


class Line(NamedTuple):
    file: str
    number: int


class Batch(NamedTuple, Generic[Item]):
    """`size_bytes` of the files lie behind it."""

    items: list[tuple[Line, Item]]
    refused: list[tuple[Line, Refused]]
    size_bytes: int


def find_files(directory: Path) -> DumpFiles:
    """In the order of their names. Raises AppError `invalid` where there are none."""
    if not directory.is_dir():
        raise AppError("invalid", f"{directory} is not a folder.")
    files = DumpFiles(*(sorted(directory.glob(f"{name}*.jsonl")) for name in DumpFiles._fields))
    if not any(files):
        *others, last = (f"{name}*.jsonl" for name in DumpFiles._fields)
        raise AppError("invalid", f"{directory} holds neither {', '.join(others)} nor {last}.")
    return files


def batches(paths: Sequence[Path], parse: Callable[[bytes], Item]) -> Iterator[Batch[Item]]:
    """Empty lines are no lines. `parse` raises Refused. Raises AppError `invalid` for a file that
    can't be read."""
    for path in paths:
        batch: Batch[Item] = Batch([], [], 0)
        size = 0
        for number, text, length in _lines(path):
            size += length
            line = Line(path.name, number)
            try:
                if text is None:
                    raise Refused(f"longer than {MAX_LINE_BYTES:,} bytes")
                if text.strip():
                    batch.items.append((line, parse(text)))
            except Refused as error:
                batch.refused.append((line, error))
            if len(batch.items) + len(batch.refused) >= _BATCH_LINES or size >= _BATCH_BYTES:
                yield batch._replace(size_bytes=size)
                batch, size = Batch([], [], 0), 0
        yield batch._replace(size_bytes=size)


def _lines(path: Path) -> Iterator[tuple[int, bytes | None, int]]:
    """(number from 1, the line or None where it is too long, its bytes in the file)."""
    try:
        with path.open("rb") as file:
            number = 0
            while text := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                length = len(text)
                if length <= MAX_LINE_BYTES:
                    yield number, text, length
                    continue
                while not text.endswith(b"\n") and (text := file.readline(MAX_LINE_BYTES)):
                    length += len(text)
                yield number, None, length
    except OSError as error:
        raise AppError("invalid", f"{path} can't be read: {error.strerror}.") from error
