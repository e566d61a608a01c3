"""Run the demo under every supported Python that is installed and compare the traces (`make pythons`).

Each interpreter gets a virtual environment of its own below build/pythons; versions that are not installed are
named and left out. Exit code 1 when two traces differ.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13")
PROJECT = Path(__file__).resolve().parents[2]
BUILD = PROJECT / "build" / "pythons"


def candidates(version: str) -> list[str]:
    """Return commands that may be this Python: on the path, or one that pyenv keeps."""
    found = [shutil.which(f"python{version}") or ""]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for path in sorted(versions.glob(f"{version}.*/bin/python3"))]
    return [command for command in found if command]


def interpreter(version: str) -> str | None:
    """Return a Python of this version that starts and can make environments, or None."""
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for command in candidates(version):
        done = subprocess.run([command, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return command
    return None


def environment(version: str, command: str) -> Path:
    """Return the python of an environment with this project installed, made when missing or out of date."""
    folder = BUILD / version
    stamp, python = folder / ".installed", folder / "bin" / "python"
    if not stamp.exists() or stamp.stat().st_mtime < (PROJECT / "pyproject.toml").stat().st_mtime:
        print(f"installing otabench for Python {version} ...", flush=True)
        subprocess.run([command, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "-qq", "--disable-pip-version-check", "install", "-e", str(PROJECT)], check=True
        )
        stamp.touch()
    return python


def traces(python: Path, version: str) -> dict[str, str]:
    """Run the demo; returns the trace hash by run id."""
    command = [str(python), "-m", "bench.cli", "demo", "--json", "--out", str(BUILD / f"reports-{version}")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=BUILD)
    return {run["id"]: run["trace_sha256"] for run in json.loads(done.stdout)["runs"]}


def main() -> int:
    """Compare all that are installed."""
    BUILD.mkdir(parents=True, exist_ok=True)
    seen: dict[str, dict[str, str]] = {}
    for version in VERSIONS:
        command = interpreter(version)
        if command is None:
            print(f"Python {version}: not installed, left out")
            continue
        seen[version] = traces(environment(version, command), version)
        print(f"Python {version}: {len(seen[version])} runs")
    first = next(iter(seen.values()), {})
    different = [version for version, found in seen.items() if found != first]
    if different:
        print(f"traces differ from Python {next(iter(seen))}: {', '.join(different)}")
        return 1
    print(f"equal traces under Python {', '.join(seen)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
