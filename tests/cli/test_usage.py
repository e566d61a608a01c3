"""Wrong usage is told in our form: what, key, found, allowed, next; exit code 2."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from bench.cli.usage import explained, with_next_step
from bench.core.errors import InputError

Cli = Callable[..., Any]
PROGRESS = re.compile(r"\d+ s: ")
"""On a slow machine a run that takes long says how far it has come, before its error."""


def rows(ended: Any) -> dict[str, str]:
    lines = [line for line in ended.err.splitlines() if not PROGRESS.match(line)]
    assert lines[0].startswith("error: "), ended.err
    return {"problem": lines[0].removeprefix("error: "), **{line[2:9].strip(): line[10:] for line in lines[1:]}}


@pytest.mark.parametrize(
    ("arguments", "problem", "key", "found", "allowed", "step"),
    [
        (
            ["run", "healthy", "--seed", "abc"],
            "--seed has a wrong value",
            "--seed",
            "abc",
            "a whole number from 0 to 9223372036854775807",
            "otabench run --help",
        ),
        (["run", "healthy", "--seed=-1"], "--seed has a wrong value", "--seed", "-1", "from 0", "otabench run --help"),
        (
            ["dashboard", "--port", "80000"],
            "--port has a wrong value",
            "--port",
            "80000",
            "a whole number from 0 to 65535",
            "otabench dashboard --help",
        ),
        (
            ["run"],
            "argument SCENARIO... is missing",
            "SCENARIO...",
            "nothing",
            "otabench run [OPTIONS] SCENARIO...",
            "otabench run --help",
        ),
        (
            ["image", "convert", "a.hex", "b.hex", "--to", "elf"],
            "--to has a wrong value",
            "--to",
            "elf",
            "ihex",
            "otabench image convert --help",
        ),
        (["run", "healthy", "--sed", "1"], "no such option", None, "--sed", "--seed", "write --seed in its place"),
        (["runn"], "no such command", None, "runn", "dashboard", "write run in its place"),
        (["fly"], "no such command", None, "fly", "replay", "otabench --help"),
        (
            ["replay", "v1.x", "more"],
            "unexpected extra argument",
            None,
            "otabench replay v1.x more",
            "otabench replay [OPTIONS] ID",
            "otabench replay --help",
        ),
        (
            ["run", "healthy", "--seed"],
            "requires an argument",
            "--seed",
            "otabench run healthy --seed",
            "--seed VALUE",
            "--help",
        ),
    ],
)
def test_wrong_usage_has_all_rows(
    otabench: Cli, arguments: list[str], problem: str, key: str | None, found: str, allowed: str, step: str
) -> None:
    ended = otabench(*arguments)
    assert (ended.code, ended.out) == (2, "")
    told = rows(ended)
    assert problem in told["problem"]
    assert told.get("key") == key
    assert told["found"] == found
    assert allowed in told["allowed"]
    assert step in told["next"]
    assert "Usage:" not in ended.err


@pytest.mark.parametrize(
    ("typed", "step"),
    [
        ("--nosuch", "otabench run --help"),
        ("--benhc=sim", "write --bench in its place; otabench run --help"),
        ("--jsno", "write --json in its place; otabench run --help"),
    ],
)
def test_option_is_proposed_only_for_a_word_that_is_much_like_it(otabench: Cli, typed: str, step: str) -> None:
    assert rows(otabench("run", "healthy", typed))["next"] == step


def test_command_without_arguments_shows_its_help(otabench: Cli) -> None:
    ended = otabench("image")
    assert ended.code == 2
    assert "Usage: otabench image" in ended.err


def test_message_that_names_no_next_step_gets_the_plain_one() -> None:
    assert with_next_step(InputError("wrong", file="x.toml", key="a")).endswith("  next    correct a in x.toml")
    assert with_next_step(InputError("wrong", key="--a")).endswith("  next    correct --a, then run it again")
    assert with_next_step(InputError("wrong", file="x")).endswith("  next    correct x, or name another file")
    assert with_next_step(InputError("wrong")).endswith("  next    correct it, then run it again")
    assert with_next_step(InputError("wrong", hint="wait")).endswith("  next    wait")


def test_error_of_click_without_context_is_told_too() -> None:
    assert str(explained(click.ClickException("Broken."), ["x"])).startswith("broken\n  found   otabench x")


@pytest.mark.parametrize(
    ("arguments", "problem", "words"),
    [
        (["run", "healthy", "--crop"], "--crop without --image", ["--crop"]),
        (["run", "healthy", "--base", "0x8000"], "--base without --image", ["--base", "0x8000"]),
        (["replay", "v1.healthy.none.1.0123456789ab.0123456789ab", "--crop"], "--crop without --image", ["--crop"]),
    ],
)
def test_option_that_only_firmware_needs_is_refused_without_firmware(
    otabench: Cli, arguments: list[str], problem: str, words: list[str]
) -> None:
    ended = otabench(*arguments)
    assert ended.code == 2
    told = rows(ended)
    assert problem in told["problem"]
    assert "--image ECU=FILE" in told["allowed"]
    assert "--image" in told["next"]
    assert all(word in told["found"] for word in words)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.hex", None, ["no such file", "a file", "name another file; that folder has: other.hex"]),
        ("folder.hex", "", ["a folder", "a file", "name"]),
        ("bad.hex", b":0100000061FF\n", ["line 1", "next"]),
        ("empty.bin", b"", ["empty", "next"]),
    ],
)
def test_firmware_that_cannot_be_read_is_told_with_option_and_next_step(
    otabench: Cli, folder: Path, name: str, content: bytes | str | None, words: list[str]
) -> None:
    (folder / "other.hex").write_text(":00000001FF\n")
    if content == "":
        (folder / name).mkdir()
    elif content is not None:
        (folder / name).write_bytes(bytes(content, "ascii") if isinstance(content, str) else content)
    ended = otabench("run", "healthy", "--image", f"body={name}")
    assert ended.code == 2
    told = rows(ended)
    assert name in told["file"]
    assert told["key"] == "--image"
    assert told["next"]
    assert all(word in ended.err for word in words), ended.err


@pytest.mark.parametrize("arguments", [["run", "x.toml"], ["run", "healthy", "--bench", "x.toml"], ["run", "."]])
def test_missing_scenario_or_bench_file_has_a_next_step(otabench: Cli, arguments: list[str]) -> None:
    told = rows(otabench(*arguments))
    assert {"file", "found", "allowed", "next"} <= set(told)


def test_unknown_defect_names_the_file(otabench: Cli, folder: Path) -> None:
    (folder / "s.toml").write_text(
        'schema = 1\nname = "s"\ntitle = "S"\ndefect = "nosuch"\n[order]\npackage = "p"\n'
        '[[order.images]]\necu = "body"\nversion = "9"\nrelease_counter = 9\nsize_bytes = 20\n'
    )
    told = rows(otabench("run", "s.toml"))
    assert (told["file"], told["key"], told["found"]) == ("s.toml", "defect", '"nosuch"')
    assert told["next"] == "name one of these, or remove the key"


@pytest.mark.parametrize(
    ("command", "loaded", "spared"),
    [
        ("canlog", "bench.cli.canlog", "bench.runs.runner"),
        ("image", "bench.cli.image", "bench.runs.runner"),
        ("run", "bench.rig.job", "bench.dashboard"),
    ],
)
def test_command_loads_what_it_needs_and_no_other_command(command: str, loaded: str, spared: str) -> None:
    """Loading everything takes a second, which nobody who looks at a log should wait for."""
    code = "import sys; from bench.cli.commands import load_command; load_command(sys.argv[1:]); print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=True)
    modules = ended.stdout.split()
    assert loaded in modules
    assert spared not in modules
