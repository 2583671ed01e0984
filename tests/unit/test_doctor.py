"""The checks of `doctor` that need no server."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from config.errors import AppError
from serve_app import doctor
from serve_app.data_lock import DataDirLock
from storage.embedded import endpoint


def bound(port: int = 0, *, share: bool = False) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if share:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


@pytest.mark.parametrize("share", [False, True])
def test_a_taken_port_is_an_error_also_when_it_is_shared(share: bool) -> None:
    with bound(share=share) as listener:
        port = listener.getsockname()[1]
        finding = doctor.check_port("127.0.0.1", port)
        assert finding.level == "error" and f"port {port}" in finding.what
        assert "SERAI_GATEWAY__PORT" in finding.remedy
    assert doctor.check_port("127.0.0.1", port).level == "ok"


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("192.0.2.1", 8000, "cannot listen on 192.0.2.1"),  # TEST-NET-1 is nobody's address
        ("127.0.0.1", 70_000, "not an address"),
        ("no host at all", 8000, "not an address"),
    ],
)
def test_an_impossible_address_is_an_error(host: str, port: int, words: str) -> None:
    finding = doctor.check_port(host, port)
    assert finding.level == "error" and words in finding.what


def test_python() -> None:
    assert doctor.check_python().level == "ok"
    assert doctor.check_python((3, 11, 0)).level == "ok"
    assert doctor.check_python((3, 10, 14)).level == "error"
    assert "3.10.14 is too old" in doctor.check_python((3, 10, 14)).what


def test_packages() -> None:
    assert doctor.check_packages(doctor.REQUIRED_PACKAGES).level == "ok"
    finding = doctor.check_packages(["json", "a_package_that_is_not_there"])
    assert finding.level == "error" and finding.what.endswith(": a_package_that_is_not_there")


@pytest.mark.parametrize(
    ("free_bytes", "level"),
    [(1 << 30, "ok"), ((1 << 30) - 1, "warning"), ((256 << 20) - 1, "error"), (0, "error")],
)
def test_disk_space(tmp_path: Path, free_bytes: int, level: str) -> None:
    assert doctor.check_disk(tmp_path / "later", free_bytes).level == level


def test_disk_space_is_measured(tmp_path: Path) -> None:
    assert "GiB free" in doctor.check_disk(tmp_path / "a" / "b").what


def test_a_writable_directory_stays_as_it_was(tmp_path: Path) -> None:
    assert doctor.check_writable(tmp_path / "a" / "b").level == "ok"
    assert doctor.check_writable(tmp_path).level == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        assert doctor.check_writable(path).level == "error"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder nobody may write to")
def test_a_read_only_place_is_an_error() -> None:
    # Even root cannot make files in /proc.
    finding = doctor.check_writable(Path("/proc/serai"))
    assert finding.level == "error" and "not writable" in finding.what


def test_a_held_lock_names_the_holder(tmp_path: Path) -> None:
    assert doctor.check_lock(tmp_path).level == "ok"
    lock = DataDirLock(tmp_path).acquire()
    finding = doctor.check_lock(tmp_path)
    assert finding.level == "error" and f"process {os.getpid()}" in finding.what
    lock.release()
    assert doctor.check_lock(tmp_path).level == "ok"


def test_a_long_temporary_folder_is_replaced_by_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("d" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    assert endpoint.socket_parent(None) in (Path("/tmp"), Path("/run"))


def test_no_folder_for_sockets_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(account: object) -> Path:
        raise AppError("unavailable", "no folder for unix sockets")

    monkeypatch.setattr(doctor, "socket_parent", nowhere)
    finding = doctor.check_socket_path()
    assert finding.level == "error" and "TMPDIR" in finding.remedy


def test_missing_programs_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_embedded_postgres(tmp_path).level == "ok"
    assert doctor.check_embedded_valkey().level == "ok"

    monkeypatch.setattr(doctor, "package_directory", lambda: tmp_path)
    monkeypatch.setattr(doctor, "valkey_program", lambda: tmp_path / "valkey-server")
    for finding in (doctor.check_embedded_postgres(tmp_path), doctor.check_embedded_valkey()):
        assert finding.level == "error" and "cannot be executed" in finding.what


async def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    assert doctor.check_model(model).level == "warning"
    model.write_bytes(b"<html>")
    assert "no GGUF" in doctor.check_model(model).what
    model.write_bytes(b"GGUF\x03")
    assert doctor.check_model(model).level == "ok"


async def test_unreachable_servers_are_named_without_their_passwords(tmp_path: Path) -> None:
    with bound() as listener:
        port = listener.getsockname()[1]
    findings = await doctor.diagnose(
        host="127.0.0.1",
        port=port,
        data_dir=tmp_path,
        postgres_url=f"postgresql://me:secret@127.0.0.1:{port}/serai",
        redis_url=f"redis://me:secret@127.0.0.1:{port}/0",
    )
    errors = [finding for finding in findings if finding.level == "error"]
    assert [error.what.split(":")[0] for error in errors] == [
        "Postgres at 127.0.0.1",
        "Redis at 127.0.0.1",
    ]
    assert "secret" not in repr(findings)
    assert all(error.remedy for error in errors)


async def test_a_healthy_machine_has_no_error(tmp_path: Path) -> None:
    with bound() as listener:
        port = listener.getsockname()[1]
    findings = await doctor.diagnose(host="127.0.0.1", port=port, data_dir=tmp_path)
    assert [finding for finding in findings if finding.level == "error"] == []
    assert len(findings) == 9
