"""`otabench flash` as a user types it, against the three foreign units: files in parts, dry runs, refusals, Ctrl-C."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.cli import exit_code_of
from bench.flashing.models import FlashPlan, FlashRead, FlashResultJson
from tests.children import LIMIT_S
from tests.foreign import odx_unit, plain_unit, vbf_loader
from tests.foreign.files import (
    MAKER_B,
    application,
    data_for,
    maker_a,
    odx_blocks,
    pdx,
    plain_image,
    public_pem,
    secondary_bootloader,
)
from tests.foreign.memory import Flash
from tests.foreign.ours import foreign_bench
from tests.foreign.tester import new_port, unit

BENCH = "bench/benches/foreign.toml"
VBF = ("engine=data.vbf", "engine=exe.vbf", "engine=sbl.vbf")
PDX = ("inverter=unit.pdx",)
BINARY = ("pump=pump.bin", "--base", hex(plain_unit.START))
NAMES = {
    "0x31 RoutineControl 0xFF00 erase", "0x31 RoutineControl 0x0301 start the bootloader",
    "0x31 RoutineControl 0x0202 check after segment", "0x31 RoutineControl 0x0203 check after part",
    "0x31 RoutineControl 0x0212 check after part", "0x31 RoutineControl 0x0205 check after all",
}  # fmt: skip
"""What the recipes have the units' routines do; 0x0205 is another one on our own ECUs."""
INTERRUPTED = """
import os, signal, sys
from bench import __main__ as program
from bench.cli.flash.output import FlashWatch
shown, left = FlashWatch.flash, [signal.Signals[sys.argv.pop(1)]]
def flash(self, event):
    shown(self, event)
    if event.step == "program_parts" and event.sent_bytes > 12_000 and left:
        os.kill(os.getpid(), left.pop())
FlashWatch.flash = flash
program.main()
"""
"""A signal in mid-transfer: at the first block behind that many bytes."""


class Place:
    """A folder with the bench, its units' files, and what a user typed there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {ecu: new_port() for ecu in ("engine", "inverter", "pump")}
        foreign_bench(folder / "bench", self.ports)
        self.exe, self.data, self.blocks, self.image = (
            application("AB"), data_for("AB"), odx_blocks("2.0.0"), plain_image()
        )  # fmt: skip
        for name, file in (("sbl", secondary_bootloader()), ("exe", self.exe), ("data", self.data)):
            (folder / f"{name}.vbf").write_bytes(file.raw)
        (folder / "unit.pdx").write_bytes(pdx(self.blocks, "2.0.0"))
        (folder / "pump.bin").write_bytes(self.image)

    def flash(self, *arguments: str, program: Sequence[str] = ("-m", "bench")) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *program, "flash", *arguments, "--bench", BENCH]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )  # fmt: skip

    def engine(self) -> Any:
        return unit("vbf_loader", self.folder / "a", self.ports["engine"], "--key", str(self.key("a", maker_a())))

    def inverter(self) -> Any:
        return unit("odx_unit", self.folder / "b", self.ports["inverter"], "--key", str(self.key("b", MAKER_B)))

    def pump(self) -> Any:
        return unit("plain_unit", self.folder / "c", self.ports["pump"])

    def key(self, name: str, key: Any) -> Path:
        folder = self.folder / f"maker_{name}"
        folder.mkdir(exist_ok=True)
        return public_pem(folder, key)

    def engine_is_flashed(self) -> bool:
        memory = Flash(self.folder / "a" / "flash.bin", vbf_loader.VbfLoader.regions)
        blocks = (*self.exe.blocks, *self.data.blocks)
        return all(memory.read(address, len(block)) == block for address, block in blocks)

    def requests(self, folder: str, channel: str) -> list[str]:
        log = self.folder / folder / f"can-{channel}.log"
        return log.read_text().splitlines()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def typed(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """The same in this process: for what needs no ECU."""
    monkeypatch.chdir(place.folder)

    def flash(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = exit_code_of(["flash", *arguments, "--bench", BENCH])
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, shown.out, shown.err)

    return flash


def only(ended: subprocess.CompletedProcess[str]) -> Any:
    """Return the one ECU of a result."""
    result = FlashResultJson.model_validate(json.loads(ended.stdout))
    (ecu,) = result.ecus
    return ecu


def test_vbf_files_in_any_order_go_through_the_bootloader_and_the_folder_says_what_was_sent(place: Place) -> None:
    with place.engine():
        ended = place.flash(*VBF, "--json")
    assert ended.returncode == 0, ended.stderr
    ecu = only(ended)
    assert (ecu.outcome, ecu.version, ecu.believed.state) == ("flashed", "31394148 AB, 31394149 AA", "new_software")
    assert place.engine_is_flashed()
    parts = {part.file: part for part in ecu.image.parts}
    assert [part.kind for part in ecu.image.parts] == ["bootloader", "software", "software"]
    assert [(each.address, each.size_bytes) for each in parts["exe.vbf"].segments] == [
        (address, len(block)) for address, block in place.exe.blocks
    ]
    assert ecu.time.ecu_check_s > 0, "routines that check are the recipe's"
    assert ecu.sent_bytes == sum(each.sent_bytes for part in ecu.image.parts for each in part.segments)
    assert (ecu.nothing_checked, ecu.version_unread, ecu.image.signed_by) == (False, False, None)
    folder = place.folder / json.loads(ended.stdout)["folder"]
    kept = json.loads((folder / "inputs" / "images" / "engine.parts.json").read_text())
    assert [part["file"] for part in kept["parts"]] == ["sbl.vbf", "exe.vbf", "data.vbf"]


def test_pdx_is_sent_as_packed_and_its_identifications_are_compared(place: Place) -> None:
    with place.inverter():
        ended = place.flash(*PDX, "--json")
    assert ended.returncode == 0, ended.stderr
    ecu = only(ended)
    assert (ecu.version, ecu.believed.state, ecu.image.hardware_id) == ("2.0.0, 2.0.0", "new_software", "HW-4711")
    assert ecu.sent_bytes == sum(len(block.packed) for block in place.blocks)
    memory = Flash(place.folder / "b" / "flash.bin", odx_unit.OdxUnit.regions)
    assert all(memory.read(block.address, len(block.data)) == block.data for block in place.blocks)


def test_binary_is_sent_as_it_stands_and_what_nobody_reads_is_told(place: Place) -> None:
    with place.pump():
        ended = place.flash(*BINARY, "--json")
        shown = place.flash(*BINARY)
    assert (ended.returncode, shown.returncode) == (0, 0), ended.stderr
    ecu = only(ended)
    assert (ecu.believed.state, ecu.version_unread, ecu.image.length) == ("stored", True, len(place.image))
    assert "pump: no version is read: nothing shows what runs" in shown.stdout
    memory = Flash(place.folder / "c" / "flash.bin", plain_unit.PlainUnit.regions)
    assert memory.read(plain_unit.START, len(place.image)) == place.image


def test_recipe_that_checks_nothing_is_told_in_result_and_json(place: Place) -> None:
    recipe = place.folder / "bench" / "recipes" / "plain_unit.toml"
    rule = '[{ after = "segment", by = "transfer_exit", algorithm = "accepted" }]'
    recipe.write_text(recipe.read_text().replace(rule, '"none"'))
    with place.pump():
        ended, shown = place.flash(*BINARY, "--json"), place.flash(*BINARY)
    assert (ended.returncode, only(ended).nothing_checked) == (0, True)
    assert "pump: nothing checks what was stored" in shown.stdout


def test_all_three_are_flashed_by_one_command(place: Place) -> None:
    with place.engine(), place.inverter(), place.pump():
        ended = place.flash(*VBF, *PDX, *BINARY, "--json")
    assert ended.returncode == 0, ended.stderr
    ecus = FlashResultJson.model_validate(json.loads(ended.stdout)).ecus
    assert [(ecu.ecu, ecu.believed.state) for ecu in ecus] == [
        ("engine", "new_software"), ("inverter", "new_software"), ("pump", "stored")
    ]  # fmt: skip
    assert place.engine_is_flashed()


def test_read_shows_the_identifiers_by_which_the_recipe_knows_an_ecu(place: Place) -> None:
    with place.engine(), place.inverter(), place.pump():
        assert place.flash(*VBF).returncode == 0
        ended = place.flash("--read", "--json")
    assert ended.returncode == 0, ended.stderr
    read = {
        ecu.ecu: {each.did: each for each in ecu.identifiers}
        for ecu in FlashRead.model_validate_json(ended.stdout).ecus
    }
    engine = read["engine"]
    assert [(engine[did].name, engine[did].text) for did in (0xF120, 0xF121)] == [
        ("version, by its recipe", "31394148 AB"), ("version, by its recipe", "31394149 AA")
    ]  # fmt: skip
    assert (read["inverter"][0xF191].text, 0xF196 in read["inverter"], len(read["pump"])) == ("HW-4711", True, 15)


# Interrupted --------------------------------------------------------------------------------------------


def test_ctrl_c_in_mid_transfer_restores_the_bus_and_the_same_command_flashes_it_then(place: Place) -> None:
    with place.engine():
        ended = place.flash(*VBF, "--json", program=("-c", INTERRUPTED, "SIGINT"))
        assert ended.returncode == 130, ended.stderr
        ecu = only(ended)
        assert (ecu.outcome, ecu.step, ecu.believed.state) == ("interrupted", "program_parts", "bootloader")
        assert not place.engine_is_flashed()
        log = "\n".join(place.requests(json.loads(ended.stdout)["folder"], "can0"))
        assert all(f"7DF#{restored}" in log for restored in ("03288001", "028581", "021081"))
        again = place.flash(*VBF, "--json")
    assert again.returncode == 0, again.stderr
    assert only(again).believed.state == "new_software"
    assert place.engine_is_flashed()


def test_flasher_killed_in_mid_transfer_leaves_a_unit_that_the_same_command_flashes(place: Place) -> None:
    with place.engine():
        killed = place.flash(*VBF, "--json", program=("-c", INTERRUPTED, "SIGKILL"))
        assert (killed.returncode, killed.stdout, place.engine_is_flashed()) == (-9, "", False)
        again = place.flash(*VBF, "--json")
    assert again.returncode == 0, again.stderr
    assert only(again).believed.state == "new_software"
    assert place.engine_is_flashed()


# Refused ------------------------------------------------------------------------------------------------


def damaged(place: Place, name: str) -> None:
    raw = bytearray((place.folder / name).read_bytes())
    raw[-20] ^= 1
    (place.folder / name).write_bytes(raw)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (VBF[:2], "secondary bootloader"),
        (("engine=sbl.vbf", "engine=exe.vbf"), "the versions are not as many as the identifiers that tell them"),
        (("engine=pump.bin", "engine=sbl.vbf", "--base", "0x10000"), "it is not known which version must run"),
        ((*VBF, "engine=exe.vbf"), "two files claim the same addresses"),
        ((*VBF, "--key", "private.pem"), "--key is for firmware"),
        ((*VBF, "--crop"), "--crop"),
        ((*VBF, "--release-counter", "3"), "--release-counter"),
        ((*BINARY, "--version", "1.0"), "--version would be compared with nothing"),
        ((*VBF, "--base", "0x10000"), "--base is for other files"),
        ((*VBF, "--session", "UPDATE"), "--session is for other files"),
        ((*PDX, "--session", "OTHER"), "OTHER"),
        ((*BINARY, "--lenient"), "--lenient is for other files"),
        ((*VBF, *PDX, "--version", "1, 2"), "--version would be that of several ECUs"),
        (("pump=pump.hex",), "pump.hex"),
        (("pump=pump.bin", "--base", "0x1000"), "region"),
        (("inverter=exe.vbf", "--version", "1, 2"), "region"),
        (("inverter=inverter.bin", "--base", "0x80000000", "--version", "1, 2"), "inverter.bin: index"),
    ],
    ids=[
        "no_bootloader", "one_version_for_two", "no_version", "twice", "key", "crop", "release_counter",
        "version_nobody_reads", "base_of_nothing", "session_of_nothing", "no_such_session", "lenient_for_nothing",
        "version_of_two", "no_such_file", "outside_of_the_region", "other_ECU", "no_index",
    ],
)  # fmt: skip
def test_wrong_files_and_options_are_refused_before_a_request(
    place: Place, typed: Typed, arguments: Sequence[str], told: str
) -> None:
    (place.folder / "inverter.bin").write_bytes(bytes(64))
    form = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    (place.folder / "private.pem").write_bytes(MAKER_B.private_bytes(*form))
    for dry in ([], ["--dry-run"]):
        ended = typed(*arguments, *dry)
        assert ended.returncode == 2, ended.stderr
        assert told in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not (place.folder / "reports").exists()


def test_damaged_vbf_is_refused_before_a_request(place: Place, typed: Typed) -> None:
    damaged(place, "exe.vbf")
    ended = typed(*VBF)
    assert (ended.returncode, "exe.vbf" in ended.stderr) == (2, True)
    assert not (place.folder / "reports").exists()


def test_file_for_other_hardware_changes_nothing(place: Place) -> None:
    raw = pdx(place.blocks, "2.0.0")
    document = place.folder / "unit.pdx"
    document.write_bytes(raw)
    recipe = place.folder / "bench" / "recipes" / "odx_unit.toml"
    recipe.write_text(recipe.read_text().replace("hardware = [{ did = 0xF191 }]", "hardware = [{ did = 0xF18A }]"))
    with place.inverter():
        ended = place.flash(*PDX, "--json")
    assert ended.returncode == 2
    ecu = only(ended)
    assert (ecu.believed.state, ecu.sent_bytes, "HW-4711" in (ecu.error or "")) == ("untouched", 0, True)
    memory = Flash(place.folder / "b" / "flash.bin", odx_unit.OdxUnit.regions)
    assert all(memory.is_erased(block.address, 64) for block in place.blocks)


# Dry ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "requests"),
    [
        (VBF, ("3101ff00", "31010212", "31010301", "31010205")),
        (PDX, ("3101ff0001", "3101ff0002", "31010202", "31010203", "341034")),
        (BINARY, ("340022",)),
    ],
    ids=["vbf", "pdx", "binary"],
)
def test_dry_run_shows_every_request_and_asks_nobody(
    place: Place, typed: Typed, arguments: Sequence[str], requests: Sequence[str]
) -> None:
    ended = typed(*arguments, "--dry-run", "--full", "--json")
    assert ended.returncode == 0, ended.stderr
    plan = FlashPlan.model_validate(json.loads(ended.stdout))
    (ecu,) = plan.ecus
    sent = [request.request for request in plan.requests]
    assert all(any(each.startswith(request) for each in sent) for request in requests)
    blocks = [bytes.fromhex(each)[2:] for each in sent if each.startswith("36")]
    segments = [each for part in ecu.image.parts for each in part.segments]
    assert sum(map(len, blocks)) == sum(each.sent_bytes for each in segments)
    assert not ecu.times_known, "nobody has said how long it erases"
    assert {each.name for each in plan.requests if each.request.startswith("31")} <= NAMES
    shown = typed(*arguments, "--dry-run")
    assert (shown.returncode, "nothing was sent to any bus" in shown.stdout) == (0, True)
    assert not (place.folder / "reports").exists()


@pytest.mark.parametrize("service", ["0x23", "0x35"])
def test_dry_run_reads_memory_back(place: Place, typed: Typed, service: str) -> None:
    recipe = place.folder / "bench" / "recipes" / "odx_unit.toml"
    rule = f'{{ after = "part", by = "read_back", service = {service}, chunk_bytes = 512 }},'
    part = '{ after = "part", by = "routine"'
    recipe.write_text(recipe.read_text().replace(part, f"{rule}\n  {part}"))
    ended = typed(*PDX, "--dry-run", "--json")
    assert ended.returncode == 0, ended.stderr
    names = [request.request[:2] for request in FlashPlan.model_validate(json.loads(ended.stdout)).requests]
    assert names.count(service[2:]) == (2 if service == "0x35" else sum(-(-len(b.data) // 512) for b in place.blocks))
