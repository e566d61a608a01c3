"""Running the command line in an empty folder: in this process, or as a process of its own that can be interrupted."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from bench.cli import exit_code_of
from tests.children import LIMIT_S, limited

IMPORT = "import time:"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def otabench(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `otabench ARGUMENTS` in the empty folder."""

    def run(*arguments: str) -> Ended:
        code = exit_code_of(list(arguments))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


class Process:
    """A running `otabench ARGUMENTS`, watched by its lines; `-X importtime` tells how far loading has come."""

    def __init__(self, folder: Path, *arguments: str, program: tuple[str, ...] = ("-m", "bench")) -> None:
        environment = {**os.environ, "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            limited("-X", "importtime", *program, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment,
            text=True,
        )
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue()
        self._kept: list[tuple[str, str]] = []
        self._readers = [self._reader("out", self._process.stdout), self._reader("err", self._process.stderr)]

    def _reader(self, name: str, stream: IO[str] | None) -> threading.Thread:
        assert stream is not None

        def read() -> None:
            with stream:
                for line in stream:
                    self._lines.put((name, line))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def until_loaded(self, module: str) -> None:
        """Wait until `module` has been imported."""
        self.until_line("err", lambda line: line.startswith(IMPORT) and line.split("|")[-1].strip() == module)

    def until_line(self, stream: str, wanted: object) -> None:
        """Wait for a line on `stream`: one that holds this text, or for which this function is true."""
        while True:
            name, line = self._lines.get(timeout=LIMIT_S)
            self._kept.append((name, line))
            if name == stream and (wanted(line) if callable(wanted) else str(wanted) in line):
                return

    def ended_within(self, seconds: float) -> bool:
        """Wait so long for the end; whether it came."""
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Press Ctrl-C, or send another signal."""
        self._process.send_signal(number)

    def end(self) -> Ended:
        """Wait for the end."""
        code = self._process.wait(timeout=LIMIT_S)
        for reader in self._readers:
            reader.join(timeout=LIMIT_S)
        while not self._lines.empty():
            self._kept.append(self._lines.get())
        out = "".join(line for name, line in self._kept if name == "out")
        err = "".join(line for name, line in self._kept if name == "err" and not line.startswith(IMPORT))
        return Ended(code, out, err)


Start = Callable[..., Process]


@pytest.fixture
def start(folder: Path) -> Start:
    """Start `otabench ARGUMENTS` in the empty folder as a process of its own."""

    def process(*arguments: str, program: tuple[str, ...] = ("-m", "bench")) -> Process:
        return Process(folder, *arguments, program=program)

    return process
