"""The repository's own promises: locks in step, nothing foreign in them, targets that exist."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = {
    "requirements.in": "requirements.lock",
    "requirements-dev.in": "requirements-dev.lock",
    "requirements-gpu.in": "requirements-gpu.lock",
    "tests/vllm/requirements.in": "tests/vllm/requirements.lock",
    "requirements-node.in": "requirements-node.lock",
    "requirements-uv.in": "requirements-uv.lock",
}
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?(.*)$")


def canonical(name: str) -> str:
    """PEP 503: names compare without case, and with `-`, `_` and `.` alike."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: str) -> dict[str, set[str]]:
    """A universal lock may pin a name more than once, by environment markers."""
    found: dict[str, set[str]] = {}
    for name, version in PIN.findall((ROOT / lock).read_text()):
        found.setdefault(canonical(name), set()).add(version)
    return found


def requirements(source: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw in (ROOT / source).read_text().splitlines():
        line = raw.split("#")[0].strip()
        if line and not line.startswith("-"):
            match = REQUIREMENT.match(line)
            assert match, line
            found[canonical(match[1])] = match[2].strip()
    return found


@pytest.mark.parametrize(("source", "lock"), LOCKS.items())
def test_every_requirement_is_pinned_as_it_was_asked_for(source: str, lock: str) -> None:
    locked = pins(lock)
    for name, specifier in requirements(source).items():
        assert name in locked, f"{lock} lacks {name}: run `make lock`"
        if specifier.startswith("==") and not specifier.endswith("*"):
            assert locked[name] == {specifier[2:]}, (
                f"{lock} is older than {source}: run `make lock`"
            )


def test_development_lock_is_a_superset_with_equal_pins() -> None:
    # `make run` after `make test` keeps the development environment: it must be the same server.
    development = pins("requirements-dev.lock")
    runtime = pins("requirements.lock")
    assert len(runtime) > 20
    assert {name: development.get(name) for name in runtime} == runtime


def test_gpu_nodes_can_join_the_cluster() -> None:
    # Ray refuses a node of another version; what else differs is vLLM's to ask for.
    gpu, runtime = pins("requirements-gpu.lock"), pins("requirements.lock")
    assert gpu["ray"] == runtime["ray"]
    assert runtime.keys() <= gpu.keys()


@pytest.mark.parametrize("lock", LOCKS.values())
def test_lock_is_hashed_and_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    entries = [block for block in blocks if PIN.match(block)]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert not re.search(r"^\s*--(index|extra|find|trusted)", text, re.MULTILINE)


@pytest.mark.parametrize("folder", [ROOT / "tests/e2e/js", ROOT / "frontend"])
def test_javascript_lock_names_no_host_and_holds_what_the_package_asks_for(folder: Path) -> None:
    package = json.loads((folder / "package.json").read_text())
    lock = json.loads((folder / "package-lock.json").read_text())
    for kind in ("dependencies", "devDependencies"):
        assert lock["packages"][""].get(kind) == package.get(kind)
    for path, entry in lock["packages"].items():
        assert "resolved" not in entry
        # What comes inside of another package is covered by that one.
        if path and not entry.get("inBundle"):
            assert entry["integrity"].startswith("sha512-")


def test_installation_takes_its_dependencies_from_the_one_list_and_no_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "dependencies" not in project["project"]
    assert project["project"]["dynamic"] == ["dependencies"]
    setuptools = project["tool"]["setuptools"]
    assert setuptools["packages"] == []
    assert setuptools["dynamic"]["dependencies"] == {"file": ["requirements.in"]}


def test_help_lists_every_target_that_people_call() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: ((?:.|\\\n)*?[^\\])$", makefile, re.MULTILINE)
    assert phony
    targets = set(phony[1].replace("\\\n", " ").split())
    answer = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    listed = {line.split()[0] for line in answer.stdout.splitlines()}
    assert {"run", "demo", "test", "bench", "lock"} <= targets
    assert listed == targets


def test_continuous_integration_runs_the_readers_command() -> None:
    script = (ROOT / ".ci/run").read_text().splitlines()
    assert script[-1] == "exec make test"
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    assert "run: make test" in (ROOT / ".github/workflows/ci.yml").read_text()
