"""A disk that fills up: results are shown all the same, the code is 3, and nothing is touched where it shows early.

The limit of the longest file (RLIMIT_FSIZE) stands for the full disk: it needs no rights, and strikes at a byte.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cli.outputs import check_room
from bench.core.errors import InputError, OutputError
from tests.children import limited
from tests.cli.conftest import Ended

RELEASE = ("--version", "1.2.0", "--release-counter", "9")
IDS = ("--hardware-id", "A", "--software-id", "B")
SMALL_BYTES = 20_000
"""Longest file: the probe before a job and a header fit, the trace of a job does not."""
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv[1:] = sys.argv[2:]
from bench.__main__ import main
main()
"""
FLASH = ("flash", "body=body.bin", *RELEASE)
RUN = ("run", "forged_signature")
Command = Callable[..., Ended]


@pytest.fixture
def small_disk(folder: Path) -> Command:
    """Run `otabench ARGUMENTS` where no file may be longer than `SMALL_BYTES`."""
    (folder / "body.bin").write_bytes(bytes(range(256)) * 16)

    def run(*arguments: str, longest_bytes: int = SMALL_BYTES) -> Ended:
        done = subprocess.run(
            limited("-c", LIMITED, str(longest_bytes), *arguments), cwd=folder, capture_output=True, text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # the limit would cut bytecode short
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


def told(ended: Ended) -> None:
    """The message says what failed and what to do, and does not ask for --debug."""
    assert "File too large" in ended.err
    assert "next" in ended.err
    assert "--debug" not in ended.err
    assert "Traceback" not in ended.err


def test_result_of_a_flashed_ecu_is_shown_when_its_folder_cannot_be_written(small_disk: Command, folder: Path) -> None:
    ended = small_disk(*FLASH)
    assert ended.code == 3, ended.err
    told(ended)
    assert "flashed" in ended.out
    assert "folder: none, it could not be written" in ended.out
    assert list((folder / "reports").iterdir()) == []


def test_json_of_a_flashed_ecu_names_no_folder_that_is_not_there(small_disk: Command) -> None:
    ended = small_disk(*FLASH, "--json")
    assert ended.code == 3
    result = json.loads(ended.out)
    assert (result["outcome"], result["folder"]) == ("flashed", "")


@pytest.mark.parametrize("command", [FLASH, (*FLASH, "--json"), RUN, (*RUN, "--json"), ("demo",)], ids=" ".join)
def test_folder_without_room_is_refused_before_anything_is_touched(
    small_disk: Command, folder: Path, command: tuple[str, ...]
) -> None:
    ended = small_disk(*command, longest_bytes=1000)
    assert (ended.code, ended.out) == (3, "")
    told(ended)
    assert not (folder / "reports").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("image", "make", "two_ecu_car", "body", "--size", "64KiB", "-o", "out.bin"),
        ("image", "convert", "big.bin", "out.hex"),
        ("image", "merge", "big.bin", "-o", "out.hex"),
        ("image", "sign", "big.bin", *IDS, *RELEASE, "--test-key", "image", "-o", "out.bin"),
        ("canlog", "big.log", "out.log"),
        ("ecu", "--describe", "head_unit", "--svg", "out.svg"),
    ],
    ids=lambda command: " ".join(command[:2]),
)  # fmt: skip
def test_file_that_does_not_fit_ends_with_3_and_leaves_nothing(
    small_disk: Command, folder: Path, command: tuple[str, ...]
) -> None:
    (folder / "big.bin").write_bytes(bytes(64 << 10))
    (folder / "big.log").write_text("".join(f"({n}.000000) can0 123#0102030405060708\n" for n in range(2000)))
    before = sorted(path.name for path in folder.iterdir())
    ended = small_disk(*command, longest_bytes=2000)
    assert ended.code == 3, ended
    told(ended)
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    "command",
    [FLASH, (*FLASH, "--json"), ("flash", "--read"), (*FLASH, "--dry-run", "--full"), (*RUN, "--json"),
     ("image", "info", "body.bin"), ("canlog", "some.log"), ("ecu", "--list"), ("doctor",)],
    ids=" ".join,
)  # fmt: skip
def test_output_on_a_full_device_is_told_in_the_same_words_everywhere(folder: Path, command: tuple[str, ...]) -> None:
    (folder / "body.bin").write_bytes(bytes(4096))
    (folder / "some.log").write_text("(1.000000) can0 123#00\n")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            limited("-m", "bench", *command), cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3, done.stderr
    assert "error: the result could not be written: No space left on device\n  next    " in done.stderr
    assert "--debug" not in done.stderr
    assert "Traceback" not in done.stderr
    if "flash" in command and "--read" not in command and "--dry-run" not in command:
        assert len(list(folder.glob("reports/flash-*/result.json"))) == 1


def test_room_is_asked_of_the_disk_that_the_folder_will_be_on(tmp_path: Path) -> None:
    check_room(tmp_path / "not" / "there" / "yet", 1)
    with pytest.raises(OutputError, match="no room") as refused:
        check_room(tmp_path / "new", 1 << 60)
    assert refused.value.exit_code == 3
    assert "nothing has been touched" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_a_file_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a folder"):
        check_room(tmp_path / "file" / "reports", 1)
