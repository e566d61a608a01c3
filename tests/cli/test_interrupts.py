"""Ctrl-C at any instant of a real process: 130 and nothing half written, or the whole result with its exit code."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.children import limited

if TYPE_CHECKING:
    from tests.cli.conftest import Ended, Start

FIRST = "click.globals"
"""Loaded after the first handler is in place."""
STORY = ("demo", "--json")
ONE_RUN = ("run", "power_cut_ecu", "--json")
REAL_TIME = ("run", "healthy", "--bench", "realtime", "--json")


def clean(ended: Ended, folder: Path, code: int = 130) -> None:
    """The end is one of the two that `docs/contracts.md` allows: whole, or ended with the signal's code."""
    assert "Traceback" not in ended.err
    assert "Exception ignored" not in ended.err
    left = [path.name for path in folder.iterdir() if path.name != "reports"]
    assert left == []
    runs = sorted((folder / "reports").glob("*/")) if (folder / "reports").exists() else []
    assert [run.name for run in runs if run.name.startswith(".") or not (run / "report.html").is_file()] == []
    if ended.code == code:
        assert ended.out == ""
        assert "interrupted" in ended.err
    else:
        assert ended.code == 0, ended.err
        assert len(json.loads(ended.out)["runs"]) == len(runs)


def interrupted(start: Start, arguments: tuple[str, ...], seconds: float, number: int = signal.SIGINT) -> Ended:
    process = start(*arguments)
    process.until_loaded(FIRST)
    if not process.ended_within(seconds):
        process.interrupt(number)
    return process.end()


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("demo", FIRST), ("demo", "pydantic"), ("demo", "cryptography"), ("demo", "rich.progress"),
        ("demo", "bench.rig.job"), ("demo", "bench.process.pipes"), ("dashboard", "flask"),
    ],
)  # fmt: skip
def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback(
    start: Start, folder: Path, command: str, module: str
) -> None:
    process = start(command)
    process.until_loaded(module)
    process.interrupt()
    ended = process.end()
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.strip() == "interrupted: nothing half written is left"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("seconds", [0.02, 0.3, 0.6, 1.0, 1.4, 1.8, 2.5])
def test_ctrl_c_at_any_instant_of_the_demo(start: Start, folder: Path, seconds: float) -> None:
    clean(interrupted(start, STORY, seconds), folder)


@pytest.mark.parametrize("seconds", [0.7, 1.2, 2.0])
def test_ctrl_c_at_any_instant_of_a_run_in_real_time(start: Start, folder: Path, seconds: float) -> None:
    clean(interrupted(start, REAL_TIME, seconds), folder)


@pytest.mark.parametrize("arguments", [STORY, ONE_RUN, REAL_TIME], ids=["demo", "run", "realtime"])
@pytest.mark.parametrize("seconds", [0.02, 0.9, 1.6])
def test_sigterm_ends_a_command_as_ctrl_c_does_with_143(
    start: Start, folder: Path, arguments: tuple[str, ...], seconds: float
) -> None:
    clean(interrupted(start, arguments, seconds, signal.SIGTERM), folder, 143)


def test_sigterm_while_the_program_is_loaded_ends_it_with_143(start: Start, folder: Path) -> None:
    process = start("demo")
    process.until_loaded("pydantic")
    process.interrupt(signal.SIGTERM)
    ended = process.end()
    assert (ended.code, ended.out, ended.err.strip()) == (143, "", "interrupted: nothing half written is left")
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("hundredths", range(2, 251, 4))
@pytest.mark.parametrize("arguments", [STORY, ONE_RUN, REAL_TIME], ids=["demo", "run", "realtime"])
def test_ctrl_c_at_many_instants(start: Start, folder: Path, arguments: tuple[str, ...], hundredths: int) -> None:
    clean(interrupted(start, arguments, hundredths / 100), folder)


@pytest.mark.parametrize("line", ["id:", "report:"])
def test_ctrl_c_after_the_result_is_printed_keeps_the_exit_code_of_the_verdict(
    start: Start, folder: Path, line: str
) -> None:
    process = start("run", "forged_signature")
    process.until_line("out", line)
    process.interrupt()
    ended = process.end()
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert "report:" in ended.out
    assert len(list((folder / "reports").glob("*/report.html"))) == 1


def test_ctrl_c_while_the_result_is_being_printed_does_not_cut_it(folder: Path) -> None:
    """The pipe holds less than the result, and nobody reads more than one byte before Ctrl-C."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        limited("-m", "bench", "demo", "--json"), stdout=writer, stderr=subprocess.PIPE, cwd=folder
    )
    os.close(writer)
    with open(reader, "rb", buffering=0) as result:
        first = result.read(1)
        process.send_signal(signal.SIGINT)
        text = first + result.readall()
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert len(json.loads(text)["runs"]) == 6
    assert b"Traceback" not in errors


def test_ctrl_c_of_a_program_started_in_the_background_stays_ignored(start: Start, folder: Path) -> None:
    """A shell script that starts us with `&` has SIGINT ignored: Ctrl-C is not meant for us."""
    code = "import signal, bench.__main__ as program; signal.signal(signal.SIGINT, signal.SIG_IGN); program.main()"
    process = start("run", "forged_signature", "--json", program=("-c", code))
    process.until_loaded(FIRST)
    process.interrupt()
    process.until_loaded("bench.process.pipes")
    process.interrupt()
    ended = process.end()
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["runs"][0]["verdict"] == "pass"


def test_third_ctrl_c_ends_a_process_that_does_not_stop(start: Start, folder: Path) -> None:
    code = (
        "import signal, threading, bench.process.command as program\n"
        "from bench.core.stop import STOP\n"
        "signal.signal(signal.SIGINT, program._asking())\n"
        "with STOP.telling(lambda: print('asked', flush=True)):\n"
        "    print('stuck', flush=True)\n"
        "    threading.Event().wait()\n"
    )
    process = start(program=("-c", code))
    process.until_line("out", "stuck")
    for _ in range(2):
        process.interrupt()
        process.until_line("out", "asked")
    process.interrupt()
    ended = process.end()
    assert ended.code == 130
    assert "once more ends it at once" in ended.err
    assert "interrupted at once" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dashboard_ends_with_0(start: Start, folder: Path, number: int) -> None:
    (folder / "reports").mkdir()
    process = start("dashboard", "--port", "0")
    process.until_line("err", "dashboard: http://")
    process.interrupt(number)
    ended = process.end()
    assert (ended.code, ended.out) == (0, "")
    assert "Traceback" not in ended.err
