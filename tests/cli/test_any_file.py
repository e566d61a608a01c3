"""A file of which nothing says that it is firmware is no firmware, whichever command it is given to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
RELEASE = ("--version", "1.2.0", "--release-counter", "9")
IDS = ("--hardware-id", "A", "--software-id", "B", *RELEASE, "--test-key", "image", "-o", "out.bin")
COMMANDS = [
    ("flash", "body={}", *RELEASE),
    ("flash", "body={}", *RELEASE, "--dry-run"),
    ("run", "healthy", "--image", "body={}"),
    ("image", "info", "{}"),
    ("image", "convert", "{}", "out.hex"),
    ("image", "merge", "{}", "good.bin@0x8000", "-o", "out.hex"),
    ("image", "diff", "good.bin", "{}"),
    ("image", "sign", "{}", *IDS),
    ("recipe", "from", "{}", "-o", "out.toml"),
]


@pytest.fixture(autouse=True)
def _files(folder: Path) -> None:
    (folder / "notes.toml").write_text("[todo]\nbuy = 'milk'\n")
    (folder / "README").write_text("what is here\n")
    (folder / "good.bin").write_bytes(bytes(range(256)))


@pytest.mark.parametrize("name", ["notes.toml", "README"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_any_file_is_refused_and_the_option_that_would_take_it_is_named(
    otabench: Cli, folder: Path, command: tuple[str, ...], name: str
) -> None:
    ended = otabench(*(word.format(name) for word in command))
    option = "--load-address" if "sign" in command else "--base"
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: nothing says that this file is firmware\n")
    assert f"key     {option}\n" in ended.err
    assert f"{option} 0x" in ended.err
    assert name in ended.err
    assert sorted(path.name for path in folder.iterdir()) == ["README", "good.bin", "notes.toml"]


@pytest.mark.parametrize(
    "command",
    [
        ("flash", "body=README", *RELEASE, "--base", "0x8000", "--dry-run"),
        ("image", "info", "README", "--base", "0"),
        ("image", "merge", "README@0x100", "good.bin@0x8000", "-o", "out.hex"),
        ("image", "sign", "README", *IDS, "--load-address", "0x8000"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_file_with_an_address_is_taken_as_the_binary_that_it_is_said_to_be(
    otabench: Cli, command: tuple[str, ...]
) -> None:
    ended = otabench(*command)
    assert ended.code == 0, ended.err


def test_signed_file_says_by_its_first_bytes_what_it_is(otabench: Cli, folder: Path) -> None:
    assert otabench("image", "sign", "good.bin", *IDS).code == 0
    (folder / "out.bin").rename("release-7")
    ended = otabench("image", "info", "release-7", "--json")
    assert (ended.code, ended.json["signed"]["version"]) == (0, "1.2.0")
