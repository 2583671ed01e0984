"""The folder of files on a disk that is really full: a small tmpfs, which only root may mount."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from config.errors import AppError
from config.media import Objects as ObjectSettings
from storage.objects import Objects

pytestmark = pytest.mark.integration

_DISK_BYTES = 256 * 1024
_FITS = b"x" * (_DISK_BYTES // 2)
_TOO_MUCH = b"y" * (2 * _DISK_BYTES)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("A disk of its own can't be mounted here: that needs root.")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _files(disk: Path) -> list[str]:
    return sorted(path.name for path in disk.rglob("*") if path.is_file())


async def test_a_full_disk_is_told_keeps_nothing_and_harms_nothing(small_disk: Path) -> None:
    objects = Objects.open(ObjectSettings(url=small_disk.as_uri()))
    await objects.put("upload/first", _FITS, "image/png")

    with pytest.raises(AppError) as put:
        await objects.put("upload/second", _TOO_MUCH, "image/png")
    with pytest.raises(AppError) as received:
        await objects.receive("upload/third", _pieces(_TOO_MUCH), len(_TOO_MUCH))
    for refused in (put, received):
        assert (refused.value.code, refused.value.retryable) == ("unavailable", True)
        assert "full" in refused.value.detail
    assert _files(small_disk) == ["first"]
    assert await objects.read("upload/first") == _FITS

    await objects.delete(["upload/first"])
    await objects.receive("upload/third", _pieces(_FITS), len(_FITS))
    assert await objects.read("upload/third") == _FITS
