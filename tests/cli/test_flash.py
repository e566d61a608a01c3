"""`otabench flash` as a user types it: results, files, exit codes, Ctrl-C."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bincopy
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.console import Console

from bench.cli.flash.output import FlashWatch, rate_and_left
from bench.config import data_root
from bench.core.stop import STOP
from bench.flasher.values import Progress
from bench.flashing.models import FlashPlan, FlashRead, FlashResultJson
from bench.images.signing import demo_payload
from tests.brisk import brisk_bench
from tests.children import LIMIT_S

Cli = Callable[..., Any]
RELEASE = ("--version", "2.0.0", "--release-counter", "2")
FILES = {"result.json", "journal.jsonl", "can-can0.log", "inputs"}


@pytest.fixture
def firmware(folder: Path) -> str:
    """A binary for the body controller."""
    (folder / "app.bin").write_bytes(demo_payload(3, "body", "2.0.0", 20_000))
    return "app.bin"


def test_flash_ends_with_the_new_version_and_writes_result_journal_and_log(otabench: Cli, folder: Path) -> None:
    for ecu in ("body", "gateway"):
        (folder / f"{ecu}.bin").write_bytes(demo_payload(3, ecu, "2.0.0", 20_000))
    ended = otabench("flash", "body=body.bin", "gateway=gateway.bin", *RELEASE, "--json")
    assert ended.code == 0
    result = FlashResultJson.model_validate(ended.json)
    assert (result.outcome, result.parallel, [ecu.ecu for ecu in result.ecus]) == ("flashed", True, ["body", "gateway"])
    assert all((ecu.version, ecu.confirmed, ecu.error) == ("2.0.0", True, None) for ecu in result.ecus)
    assert result.duration_s < result.sum_s
    place = folder / result.folder
    assert {path.name for path in place.iterdir()} == FILES
    assert json.loads((place / "result.json").read_text()) == ended.json
    assert hashlib.sha256((place / "journal.jsonl").read_bytes()).hexdigest() == result.trace_sha256
    assert "can0 7A0#0322F191" in (place / "can-can0.log").read_text()
    assert (place / "inputs" / "images" / "body.header").stat().st_size == 256
    assert not list(folder.glob("reports/.*"))


@pytest.mark.parametrize(
    ("name", "erase_s", "program_s"),
    [("body", 0.4, (0.004, 0.005)), ("gateway", 0.45, (0.020, 0.022))],
    ids=["programs_while_receiving", "programs_before_it_answers"],
)
def test_where_the_time_went_adds_up_to_the_duration(
    otabench: Cli, firmware: str, name: str, erase_s: float, program_s: tuple[float, float]
) -> None:
    (ecu,) = otabench("flash", f"{name}={firmware}", *RELEASE, "--json").json["ecus"]
    parts = {name: seconds for name, seconds in ecu["time"].items() if name != "pending_s"}
    assert sum(parts.values()) == pytest.approx(ecu["duration_s"])
    assert parts["ecu_erase_s"] == pytest.approx(erase_s, rel=0.01)
    assert program_s[0] < parts["ecu_program_s"] < program_s[1]
    assert 0.6 < parts["bus_s"] < 0.75
    assert ecu["bytes_per_s"] == pytest.approx(ecu["sent_bytes"] / ecu["duration_s"], abs=0.1)


@pytest.mark.parametrize("columns", [40, 80, 100, 120])
def test_narrow_terminal_shows_outcome_version_bytes_and_times_in_whole_words(
    otabench: Cli, firmware: str, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    release = ("--version", "2.0.0-rc.1", "--release-counter", "2")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", otabench("flash", f"body={firmware}", *release).out).splitlines()
    (result,) = [line for line in lines if "flashed" in line]
    assert re.search(r"body\W+flashed\W+2\.0\.0-rc\.1\W+20256\W+\d\.\d{3} s\W+\d+\.\d kB/s", result)
    head = next(at for at, line in enumerate(lines) if line.startswith("seconds"))
    assert " ".join(lines[head].split()) == "seconds bus STmin erase program check other ECU traffic tester"
    assert re.fullmatch(r"body( +\d+\.\d{3}){8} *", lines[head + 1])
    assert columns < 80 or all(len(line) <= columns for line in lines[: head + 2])


def test_same_job_again_has_the_same_trace_and_replaces_its_folder(otabench: Cli, firmware: str, folder: Path) -> None:
    one, other = (otabench("flash", f"body={firmware}", *RELEASE, "--json").json for _ in range(2))
    assert one == other
    assert len(list((folder / "reports").iterdir())) == 1


def test_one_by_one_takes_the_sum_of_the_jobs(otabench: Cli, folder: Path, firmware: str) -> None:
    (folder / "gateway.bin").write_bytes(demo_payload(3, "gateway", "2.0.0", 5_000))
    arguments = ("flash", f"body={firmware}", "gateway=gateway.bin", *RELEASE, "--one-by-one", "--json")
    result = otabench(*arguments).json
    assert result["duration_s"] == pytest.approx(result["sum_s"])


def test_signed_file_is_used_as_it_is(otabench: Cli, firmware: str) -> None:
    ids = ("--hardware-id", "BCM-HW-03", "--software-id", "BCM-APP", "--version", "3.1.0", "--release-counter", "9")
    assert otabench("image", "sign", firmware, *ids, "--test-key", "image", "-o", "app.signed").code == 0
    (ecu,) = otabench("flash", "body=app.signed", "--json").json["ecus"]
    assert (ecu["version"], ecu["image"]["release_counter"]) == ("3.1.0", 9)
    assert ecu["image"]["signed_by"] == "the file's own header"


@pytest.mark.parametrize(
    ("options", "found", "allowed"),
    [
        (("--version", "2.0.0"), "2.0.0", "3.1.0, as the header says, or no --version"),
        (("--release-counter", "2"), "2", "9, as the header says, or no --release-counter"),
        (("--key", "key.pem"), "only signed files: app.signed", "--key with at least one file that has no header"),
        (("--base", "0"), "only signed files: app.signed", "--base with at least one file that has no header"),
        (("--crop",), "only signed files: app.signed", "--crop with at least one file that has no header"),
        (("--lenient",), "only signed files: app.signed", "--lenient with at least one file that has no header"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_option_that_a_signed_file_contradicts_or_makes_useless_is_refused(
    otabench: Cli, folder: Path, firmware: str, options: tuple[str, ...], found: str, allowed: str
) -> None:
    _sign(otabench, firmware)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    ended = otabench("flash", "body=app.signed", *options)
    assert (ended.code, ended.out) == (2, "")
    assert all(text in " ".join(ended.err.split()) for text in (options[0], found, allowed))
    assert not (folder / "reports").exists()


def test_options_that_agree_with_a_signed_file_or_serve_a_plain_one_beside_it_are_taken(
    otabench: Cli, folder: Path, firmware: str
) -> None:
    _sign(otabench, firmware)
    (folder / "gateway.bin").write_bytes(demo_payload(3, "gateway", "3.1.0", 5_000))
    release = ("--version", "3.1.0", "--release-counter", "9", "--crop")
    assert otabench("flash", "body=app.signed", *release[:-1]).code == 0
    ecus = otabench("flash", "body=app.signed", "gateway=gateway.bin", *release, "--json").json["ecus"]
    assert [(ecu["version"], ecu["image"]["signed_by"]) for ecu in ecus] == [
        ("3.1.0", "the file's own header"),
        ("3.1.0", "test key"),
    ]


def test_what_stands_behind_the_end_record_is_refused_or_left_out_and_told(otabench: Cli, folder: Path) -> None:
    out = bincopy.BinFile()
    out.add_binary(demo_payload(3, "body", "2.0.0", 3_000), 0x8000)
    (folder / "app.hex").write_text(out.as_ihex() + "symbols: main\n")
    refused = otabench("flash", "body=app.hex", *RELEASE, "--dry-run")
    assert (refused.code, "after the end record" in refused.err) == (2, True)
    told = otabench("flash", "body=app.hex", *RELEASE, "--dry-run", "--lenient")
    assert told.code == 0, told.err
    assert "tolerated: 1 line behind the end record left out" in told.err


def _sign(otabench: Cli, firmware: str) -> None:
    """Make `app.signed`, release 3.1.0 with counter 9."""
    ids = ("--hardware-id", "BCM-HW-03", "--software-id", "BCM-APP", "--version", "3.1.0", "--release-counter", "9")
    assert otabench("image", "sign", firmware, *ids, "--test-key", "image", "-o", "app.signed").code == 0


def test_image_signed_by_a_stranger_fails_with_what_the_ecu_said_and_the_safe_next_step(
    otabench: Cli, firmware: str
) -> None:
    ids = ("--hardware-id", "BCM-HW-03", "--software-id", "BCM-APP", "--version", "3.1.0", "--release-counter", "9")
    otabench("image", "sign", firmware, *ids, "--test-key", "stranger", "-o", "app.signed")
    ended = otabench("flash", "body=app.signed", "--json")
    (ecu,) = ended.json["ecus"]
    assert (ended.code, ended.json["outcome"], ecu["outcome"]) == (1, "failed", "failed")
    assert "signature" in ecu["error"]
    assert (ecu["believed"]["state"], ecu["believed"]["erased"]) == ("bootloader", True)
    assert "would end the same way" in ecu["believed"]["next_step"]
    shown = otabench("flash", "body=app.signed")
    assert "body next: Leave the supply on" in shown.out


def test_image_for_other_hardware_is_wrong_input_and_no_ecu_is_touched(otabench: Cli, firmware: str) -> None:
    ids = ("--hardware-id", "BCM-HW-99", "--software-id", "BCM-APP", "--version", "3.1.0", "--release-counter", "9")
    otabench("image", "sign", firmware, *ids, "--test-key", "image", "-o", "app.signed")
    ended = otabench("flash", "body=app.signed", "--json")
    (ecu,) = ended.json["ecus"]
    assert ended.code == 2
    assert ecu["believed"]["state"] == "untouched"
    assert "BCM-HW-99" in ecu["error"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing to flash"),
        (("body",), "this is not ECU=FILE"),
        (("body=app.bin", "body=app.bin"), "an ECU is named twice"),
        (("body=app.bin",), "needs --version"),
        (("body=app.bin", "--version", "2"), "needs --release-counter"),
        (("brake=app.bin", *RELEASE), "has no such ECU"),
        (("body=missing.bin", *RELEASE), "does not exist"),
        (("body=app.bin", "--version", "x" * 40, "--release-counter", "1"), "no header can be made"),
        (("body=app.bin", *RELEASE, "--base", "0x90000000"), "nothing of this image lies in the ECU's region"),
        (("body=app.bin", *RELEASE, "--base", "far"), "--base is no address"),
        (("body=app.bin", *RELEASE, "--key", "app.bin"), "key file holds no private key"),
        (("body=app.bin", *RELEASE, "--vehicle", "nothing"), "there is no nothing.toml in vehicles/"),
        (("body=app.bin", *RELEASE, "--full"), "--full is for --dry-run"),
        (("body=app.bin", "--read"), "--read changes nothing"),
        (("--read", "--dry-run"), "--read and --dry-run exclude each other"),
        (("--read", "--full"), "--read and --full exclude each other"),
        (("body=app.bin", "--read", "--dry-run"), "--read changes nothing"),
        (("body=torn.bin",), "not what its header was signed for"),
        (("body=damaged.bin",), "image header is damaged"),
    ],
)
def test_wrong_input_is_told_in_one_message(
    otabench: Cli, folder: Path, firmware: str, arguments: tuple[str, ...], told: str
) -> None:
    ids = ("--hardware-id", "BCM-HW-03", "--software-id", "BCM-APP", "--version", "3.1.0", "--release-counter", "9")
    otabench("image", "sign", firmware, *ids, "--test-key", "image", "-o", "whole.bin")
    whole = (folder / "whole.bin").read_bytes()
    (folder / "torn.bin").write_bytes(whole[:-1])
    (folder / "damaged.bin").write_bytes(whole[:8] + bytes(24) + whole[32:])
    ended = otabench("flash", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert not (folder / "reports").exists()


def test_other_vehicle_by_name_and_by_file(otabench: Cli, firmware: str, project_vehicle: Path) -> None:
    for vehicle in ("one_ecu_van", str(project_vehicle)):
        ended = otabench("flash", f"body={firmware}", *RELEASE, "--vehicle", vehicle, "--json")
        assert (ended.code, ended.json["vehicle"]) == (0, "one_ecu_van")


@pytest.fixture
def project_vehicle(folder: Path) -> Path:
    """A copy of a vehicle file in a folder of the user's."""
    place = folder / "mine" / "vehicles" / "van.toml"
    place.parent.mkdir(parents=True)
    place.write_bytes((data_root() / "vehicles" / "one_ecu_van.toml").read_bytes())
    return place


# Reading --------------------------------------------------------------------------------------------


def test_read_names_every_identifier_and_says_what_was_refused(otabench: Cli) -> None:
    ended = otabench("flash", "--read", "--json")
    assert ended.code == 0
    body, gateway = FlashRead.model_validate(ended.json).ecus
    values = {item.did: item for item in body.identifiers}
    assert len(values) == 15
    assert (values[0xF189].name, values[0xF189].text) == ("software version", "1.0.0")
    assert values[0xF190].text == "ZZZ00TABENCH00001"
    assert values[0xF186].value == "01"
    refused = [item for item in body.identifiers if item.value is None]
    assert all("NRC 0x31" in item.problem for item in refused)
    assert (gateway.ecu, gateway.problem) == ("gateway", "")
    shown = otabench("flash", "--read").out
    assert "software version" in shown
    assert "GW-HW-02" in shown


@pytest.fixture
def bench_without_body(folder: Path) -> str:
    """A bench whose body controller is said to be there, and is not: only the gateway answers."""
    path = brisk_bench(folder)
    adapter = 'driver = "python-can"\ninterface = "virtual"\nchannel = "otabench silent"'
    text = path.read_text().replace('driver = "sim"', adapter, 1)
    silent = path.with_name("silent.toml")
    silent.write_text(text.replace("[power]", '[ecus]\nreal = ["body"]\n\n[power]', 1))
    return str(silent)


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
def test_read_of_a_silent_ecu_shows_the_others_says_so_and_exits_3(
    otabench: Cli, bench_without_body: str, form: tuple[str, ...]
) -> None:
    ended = otabench("flash", "--read", "--bench", bench_without_body, *form)
    assert ended.code == 3
    assert "equipment error: no answer from body; check supply" in ended.err
    if form:
        body, gateway = FlashRead.model_validate(ended.json).ecus
        assert (body.problem[:7], body.identifiers, gateway.problem) == ("silent:", (), "")
        assert (body.simulated, gateway.simulated) == (False, True)
    else:
        assert "body: silent: " in ended.out
        assert "gateway (simulated by this bench)" in ended.out
        assert "GW-HW-02" in ended.out
    assert "ecu     body: asked at 0x7A0, answers at 0x7A8\n" in ended.err
    assert "bus     can0 (python-can virtual otabench silent), 500 kbit/s\n" in ended.err
    assert re.search(r"heard   other identifiers \(frames\): 0x7A9 \(\d+\); \d+ frames of the tester sent\n", ended.err)
    assert "next    the bus works: check that this ECU has its supply" in ended.err


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
def test_flash_of_an_ecu_that_answers_nothing_ends_as_reading_it_does(
    otabench: Cli, bench_without_body: str, firmware: str, form: tuple[str, ...]
) -> None:
    """Nothing is known of its software: that is the equipment's failure, not the ECU's."""
    ended = otabench("flash", f"body={firmware}", *RELEASE, "--bench", bench_without_body, *form)
    assert ended.code == 3, ended.err
    assert "failed" in ended.out
    assert "equipment error: no answer from body; check supply, wiring, bus and addresses\n" in ended.err
    assert "ecu     body: asked at 0x7A0, answers at 0x7A8\n" in ended.err
    assert re.search(r"heard   nothing of any other node; [1-9]\d* frames of the tester sent\n", ended.err)
    assert "next    nobody is heard: check supply, wiring, termination, bit rate" in ended.err


# Dry run --------------------------------------------------------------------------------------------


def test_dry_run_shows_requests_with_bytes_and_writes_nothing(otabench: Cli, folder: Path, firmware: str) -> None:
    ended = otabench("flash", f"body={firmware}", *RELEASE, "--dry-run")
    assert ended.code == 0
    assert "all can0" in ended.out
    assert "31 01 FF 00 44 00 00 00 00 00 00 4E 20  -> 7f 31 78 | 71 01 ff 00 00" in ended.out
    assert " ... and 3826 bytes" in ended.out
    assert "nothing was sent to any bus" in ended.out
    assert not (folder / "reports").exists()


def test_dry_run_as_json_cuts_long_requests_unless_all_bytes_are_asked_for(
    otabench: Cli, folder: Path, firmware: str
) -> None:
    short, full = (
        FlashPlan.model_validate(otabench("flash", f"body={firmware}", *RELEASE, "--dry-run", "--json", *more).json)
        for more in ((), ("--full",))
    )
    assert max(len(request.request) for request in short.requests) == 32
    blocks = [bytes.fromhex(request.request) for request in full.requests if request.name.startswith("0x36")]
    assert b"".join(block[2:] for block in blocks)[:20_000] == (folder / firmware).read_bytes()
    assert [request.length for request in short.requests] == [len(request.request) // 2 for request in full.requests]
    assert short.ecus[0].times_known


# Progress -------------------------------------------------------------------------------------------


def test_bar_shows_step_bytes_rate_and_time_left_by_the_benchs_clock() -> None:
    screen = io.StringIO()
    places = {
        ecu: f"asked at {asked}, waiting for {answers} on can0"
        for ecu, asked, answers in (("body", "0x7A0", "0x7A8"), ("gateway", "0x7A1", "0x7A9"))
    }
    console = Console(file=screen, force_terminal=True, width=160)
    with FlashWatch(console, places=places) as watch:
        watch.reading("gateway")
    with FlashWatch(console, places=places) as watch:
        watch.flash(Progress("body", "identify", 0, 40_000, 900_000_000))
    with FlashWatch(console) as watch:
        watch.flash(Progress("body", "download_image", 0, 40_000, 1_000_000_000))
        watch.flash(Progress("body", "download_image", 10_000, 40_000, 2_000_000_000))
    text = screen.getvalue()
    assert "body download_image" in text
    assert "body identify, asked at 0x7A0, waiting for 0x7A8 on can0" in text
    assert "gateway identification, asked at 0x7A1, waiting for 0x7A9 on can0" in text
    assert "10.0 kB/s" in text
    assert "3.0 s left" in text


def test_rate_without_progress_is_not_invented() -> None:
    assert rate_and_left(Progress("body", "erase", 0, 100, 5), 0, 0) == ("", "")


# Ctrl-C ---------------------------------------------------------------------------------------------

INTERRUPTED = """
import os, sys
from bench import __main__ as program
from bench.cli.flash.output import FlashWatch
shown, signals = FlashWatch.flash, [int(number) for number in sys.argv.pop(1).split(",")]
def flash(self, event):
    shown(self, event)
    while event.step == "download_image" and event.sent_bytes and signals:
        os.kill(os.getpid(), signals.pop())
FlashWatch.flash = flash
program.main()
"""


@pytest.mark.parametrize("bench", ["sim", "realtime"])
@pytest.mark.parametrize(("signals", "code"), [("2", 130), ("15", 143), ("15,15", 143), ("15,2", 130)])
def test_ctrl_c_and_sigterm_restore_communication_and_dtc_setting_leave_programming_and_have_their_code(
    folder: Path, firmware: str, bench: str, signals: str, code: int
) -> None:
    """SIGTERM comes twice from `timeout`: to the process and to its group."""
    arguments = ["flash", f"body={firmware}", *RELEASE, "--bench", bench, "--json"]
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, signals, *arguments],
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr
    result = json.loads(ended.stdout)
    (ecu,) = result["ecus"]
    assert (result["outcome"], ecu["outcome"], ecu["step"]) == ("interrupted", "interrupted", "download_image")
    assert (ecu["believed"]["state"], ecu["believed"]["erased"]) == ("bootloader", True)
    log = (folder / result["folder"] / "can-can0.log").read_text()
    sent = [line.split()[-1] for line in log.splitlines()]
    for off, on in (("7DF#028582", "7DF#028581"), ("7DF#03288301", "7DF#03288001"), ("7DF#021083", "7DF#021081")):
        (off_at,) = [n for n, frame in enumerate(sent) if frame.startswith(off)]
        (on_at,) = [n for n, frame in enumerate(sent) if frame.startswith(on)]
        assert off_at < on_at
    assert any(frame.startswith("7A0#021101") for frame in sent)


def test_second_ctrl_c_ends_the_job_at_once() -> None:
    asked: list[str] = []
    with STOP.first_gently() as interruptible:
        interruptible(lambda: asked.append("stop"))
        STOP.ask()
        assert asked == ["stop"]
        assert not STOP.asked
        STOP.ask()
        with pytest.raises(KeyboardInterrupt):
            STOP.check()
        STOP.withdraw()


@pytest.mark.parametrize("after_ms", ["0", "40"])
def test_image_that_crashes_is_sent_once_and_the_same_job_is_not_recommended(otabench: Cli, after_ms: str) -> None:
    bad = ("--behaviour", "crash", "--after-ms", after_ms, "-o", "bad.bin")
    assert otabench("image", "make", "two_ecu_car", "body", *bad).code == 0
    ended = otabench("flash", "body=bad.bin", "--json")
    (ecu,) = ended.json["ecus"]
    assert (ended.code, ecu["outcome"], ecu["downloads"]) == (1, "failed", 1)
    assert ecu["believed"]["state"] == "bootloader"
    assert "would end the same way" in ecu["believed"]["next_step"]
    assert "start the same job again" not in ecu["believed"]["next_step"]
