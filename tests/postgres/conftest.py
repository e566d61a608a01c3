"""A PostgreSQL server of our own for the tests: Debian's programs, a folder of its own, a socket and no port."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

OWNER = "postgres"
MISSING = "PostgreSQL is missing; next: apt-get install postgresql"


def programs() -> Path:
    """Return the folder of the newest installed server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    assert found, MISSING
    return found[-1].parent


def as_owner(*words: str) -> None:
    """Run a program as a user whom PostgreSQL accepts: it refuses to run as root."""
    change_user = ["runuser", "-u", OWNER, "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*change_user, *words], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr or done.stdout}"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """Start a server; return the folder of its socket."""
    folder = Path(tempfile.mkdtemp(prefix="otabench-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, OWNER)
        data, tools = folder / "data", programs()
        as_owner(str(tools / "initdb"), "-D", str(data), "-A", "trust", "-N", "--locale=C.UTF-8", "-U", OWNER)
        control = (str(tools / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"))
        as_owner(*control, "-o", f"-k {folder} -c listen_addresses=''", "start")
        yield folder
        as_owner(*control, "-m", "fast", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def store_url(cluster: Path, _numbers: Iterator[int]) -> str:
    """Return the URL of a new, empty database."""
    name = f"dm{next(_numbers)}"
    as_owner(str(programs() / "createdb"), "-h", str(cluster), "-U", OWNER, name)
    return f"postgresql+psycopg://{OWNER}@/{name}?host={cluster}"


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)
