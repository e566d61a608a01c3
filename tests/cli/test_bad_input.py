"""Bad input: one clear message naming file, key, found, allowed; exit code 2; nothing half written."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.config import data_root
from tests.children import LIMIT_S, limited

Cli = Callable[..., Any]


def changed(kind: str, name: str, old: str, new: str, folder: Path) -> Path:
    """Write a built-in file with one text replaced, in a tree of its own."""
    text = (data_root() / kind / f"{name}.toml").read_text()
    assert old in text
    path = folder / "mine" / kind / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace(old, new, 1))
    return path


def refused(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nothing"], ["nothing", "healthy", "power_cut_ecu"]),
        (["run", "nothing.toml"], ["nothing.toml", "does not exist"]),
        (["run", "."], ["the folder has no scenario files", "*.toml"]),
        (["run", "healthy", "--bench", "space"], ["space", "realtime", "sim"]),
        (["run", "healthy", "--image", "body"], ["--image", "ECU=FILE"]),
        (["run", "healthy", "--image", "body=missing.hex"], ["missing.hex", "does not exist"]),
        (["run", "healthy", "--image", "trunk=x.bin"], ["trunk", "body, gateway"]),
        (["run", "healthy", "--base", "-1"], ["--base", "-1"]),
        (["run", "healthy", "--bench", "sim_van"], ["gateway", "one_ecu_van", "body"]),
        (["replay", "nonsense"], ["nonsense", "v1.<scenario>"]),
        (["run"], ["argument SCENARIO... is missing"]),
        (["fly"], ["no such command", "fly"]),
        (["run", "healthy", "--seed", "x"], ["--seed"]),
        (["dashboard", "--out", "nowhere"], ["nowhere", "--out", "otabench demo"]),
        (["dashboard", "--host", "0.0.0.0"], ["0.0.0.0", "--host", "127.0.0.1"]),
    ],
)
def test_wrong_arguments_are_refused(otabench: Cli, folder: Path, arguments: list[str], words: list[str]) -> None:
    (folder / "reports").mkdir()
    refused(otabench(*arguments), *words)


@pytest.mark.parametrize(
    ("kind", "name", "old", "new", "words"),
    [
        ("benches", "sim", 'clock = "virtual"', 'clock = "lunar"', ["clock", '"lunar"', '"virtual"']),
        ("benches", "sim", "500_000", "500_000_000", ["channels.0.bitrate_bit_s", "500_000_000", "1000000"]),
        (
            "benches",
            "sim",
            "500_000",
            "500_000\ndata_bitrate_bit_s = 400_000",
            ["channels.0", "data_bitrate_bit_s is below bitrate_bit_s (500000)"],
        ),
        ("benches", "sim", 'vehicle = "two_ecu_car"', 'vehicle = "tank"', ["tank", "two_ecu_car"]),
        ("benches", "sim", 'name = "sim"', 'name = "sim"\ncolour = 1', ["colour", "channels"]),
        ("benches", "sim", 'name = "sim"', "name = sim", ["not valid TOML", "line"]),
        ("benches", "sim", "schema = 1\n", "", ["schema", "lacks a key"]),
        ("benches", "sim", "schema = 1", "schema = 2", ["schema", "2", "1"]),
        ("benches", "sim", 'driver = "sim"\nbitrate', 'driver = "warp"\nbitrate', ["channels.0.driver", '"warp"']),
        ("benches", "sim", 'driver = "sim"\nlatency', 'driver = "tls"\nlatency', ["virtual", "server"]),
        ("vehicles", "two_ecu_car", "0x7A9", "0x7A8", ["0x7A8", "twice"]),
        ("vehicles", "two_ecu_car", "0x7A9", "0x8A9", ["ecus.1.response_id", "0x8A9", "2047"]),
        ("vehicles", "two_ecu_car", 'id = "gateway"', 'id = "agent"', ["ecus.1.id", "belong to the bench"]),
        ("vehicles", "two_ecu_car", "ZZZ00TABENCH00001", "SHORT", ["vin", "SHORT"]),
        ("vehicles", "two_ecu_car", 'recipe = "dual_bank"', 'recipe = "magic"', ["magic", "single_bank"]),
        ("vehicles", "two_ecu_car", 'channel = "can0"', 'channel = "can9"', ["can9", "can0"]),
        ("vehicles", "two_ecu_car", "size_bytes = 32768", "size_bytes = 3276800", ["size_bytes", "262144"]),
        ("recipes", "single_bank", "check_memory", "chek_memory", ["single_bank.toml"]),
        (
            "ecus",
            "body_controller",
            "max_attempts = 3",
            'max_attempts = "3"',
            ["security.max_attempts", '"3"', "whole number"],
        ),
    ],
)
def test_wrong_file_of_the_bench_is_refused_with_file_key_found_and_allowed(
    otabench: Cli, folder: Path, kind: str, name: str, old: str, new: str, words: list[str]
) -> None:
    bench = folder / "mine" / "benches" / "sim.toml"
    bench.parent.mkdir(parents=True)
    bench.write_text((data_root() / "benches" / "sim.toml").read_text())
    for other in ("ecus", "recipes", "vehicles"):
        (folder / "mine" / other).mkdir()
        for path in (data_root() / other).glob("*.toml"):
            (folder / "mine" / other / path.name).write_text(path.read_text())
    path = changed(kind, name, old, new, folder)
    refused(otabench("run", "healthy", "--bench", str(bench)), path.name, *words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('ecu = "body"', 'ecu = "boot"', ["boot", "body, gateway"]),
        ("size_bytes = 32768", "size_bytes = 0", ["order.images.0.size_bytes", "0"]),
        ("size_bytes = 32768", "size_bytes = 262145", ["size_bytes", "262145", "262144"]),
        ('version = "2.0.0"', "version = 2", ["order.images.0.version", "2"]),
        ("power.ecu:body:program:middle", "power.ecu:body:program:9999", ["9999"]),
        ("phase=transfer", "phase=dance", ["dance", "transfer"]),
        ("power.ecu:body", "power.toaster:body", ["faults.point", "power.toaster", "power.ecu"]),
        ("torn=3", "torn=300", ["300"]),
        ("restore_after_ms = 200", 'restore_after_ms = "soon"', ["restore_after_ms", "soon"]),
        ("restore_after_ms = 200", "resume = 1", ["resume", "restore_after_ms"]),
        ("power.ecu:body", "power.ecu:agent", ["faults.point", "agent", "body, gateway"]),
        ('version = "2.0.0"', 'version = "2.0.0 ü"', ["order.images.0.version", "ü"]),
        ("schema = 1", 'schema = 1\ndefect = "ghost"', ["ghost", "ecu-boot-no-verification"]),
        ("schema = 1", 'schema = 1\ndemands = ["whole"]', ["demands", "bootable"]),
        ("schema = 1", 'schema = 1\nexpect = { verdict = "fail" }', ["expect", "invariant"]),
    ],
)
def test_wrong_scenario_is_refused(otabench: Cli, folder: Path, old: str, new: str, words: list[str]) -> None:
    path = changed("scenarios", "power_cut_ecu", old, new, folder)
    refused(otabench("run", str(path)), *words)


@pytest.mark.parametrize(
    ("scenario", "old", "new", "words"),
    [
        ("forged_payload", 'ecu = "body" }', 'ecu = "trunk" }', ["faults.parameters.ecu", "trunk", "body, gateway"]),
        (
            "flash_bit_flip",
            "address = 0x1234",
            "address = 0x40000",
            ["faults.parameters.address", "0x40000", "0x3FFFF"],
        ),
        ("flash_bit_flip", "address = 0x1234", 'area = "header", address = 256', ["address", "0x100", "0xFF"]),
        ("power_cut_agent", "power.agent:agent", "power.agent:body", ["faults.point", "body", "agent"]),
    ],
)
def test_fault_that_does_not_fit_the_vehicle_is_refused(
    otabench: Cli, folder: Path, scenario: str, old: str, new: str, words: list[str]
) -> None:
    refused(otabench("run", str(changed("scenarios", scenario, old, new, folder))), f"{scenario}.toml", *words)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.hex", b":10000000" + b"00" * 16 + b"FF\n", ["x.hex", "line 1"]),
        ("x.hex", b":0100000001FE\n:020000041000EA\n:0100C00002" + b"3D\n:00000001FF\n", ["0x100000C0", "--crop"]),
        ("x.hex", b"\x00\xff\x00", ["x.hex"]),
        ("x.bin", b"", ["x.bin"]),
        ("program", b"\x7fELF" + bytes(100), ["program", "offset 0x4", "EI_CLASS"]),
        ("program.bin", b"\x7fELF" + bytes(100), ["program.bin", "container", "ELF", "suffix .elf"]),
        ("packed.bin", b"PK\x03\x04" + bytes(100), ["packed.bin", "container", "zip"]),
    ],
)
def test_wrong_firmware_is_refused(otabench: Cli, folder: Path, name: str, content: bytes, words: list[str]) -> None:
    (folder / name).write_bytes(content)
    refused(otabench("run", "healthy", "--image", f"body={folder / name}"), *words)


def test_unwritable_report_folder_is_refused_and_named(otabench: Cli, folder: Path) -> None:
    (folder / "taken").write_text("a file, not a folder")
    refused(otabench("run", "forged_signature", "--out", "taken"), "taken")


def test_port_in_use_is_refused_and_named(otabench: Cli, folder: Path) -> None:
    (folder / "reports").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(otabench("dashboard", "--port", str(port)), str(port))


def test_server_port_in_use_is_refused_and_named(otabench: Cli, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        bench = changed("benches", "realtime", 'driver = "tls"', f'driver = "tls"\nport = {port}', folder)
        refused(otabench("run", "healthy", "--bench", str(bench)), str(port), "server.port")


def test_debug_shows_the_traceback(otabench: Cli) -> None:
    ended = otabench("run", "nothing", "--debug")
    assert ended.code == 2
    assert "Traceback" in ended.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_ends_with_its_code_and_leaves_nothing_half_written(folder: Path, number: int, code: int) -> None:
    """A real Ctrl-C or SIGTERM in a real process, in the middle of a run in real time."""
    process = subprocess.Popen(
        limited("-m", "bench", "run", "healthy", "--bench", "realtime"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    watched = folder
    while not list(watched.glob("otabench-*/agent/account.json")):
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == code, err.decode()
    assert b"Traceback" not in err
    assert not (folder / "reports").exists()
    assert not list(folder.glob("otabench-*"))
