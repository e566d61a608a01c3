"""Whole runs behind every addressing mode, over classic CAN and CAN FD, and planted defects that must be seen there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.assembly import channels
from bench.config import data_root
from bench.core.errors import InputError
from bench.core.records import EXTENDED, FD, FrameRecord
from bench.evidence.build import view_of
from bench.link.sim_bus import SimCanBus
from bench.oracle.result import RunResult
from bench.rig.job import make_job
from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]
HEADER_BYTES = 256
Own = Callable[..., Job]
MODES = {
    "normal_11": "request_id = 0x7A0\nresponse_id = 0x7A8",
    "normal_29": "id_29_bit = true\nrequest_id = 0x1ABCDE01\nresponse_id = 0x1ABCDE02",
    "normal_fixed": 'addressing = "normal_fixed"\ntarget_address = 0x40',
    "extended_11": 'addressing = "extended"\nrequest_id = 0x6F1\nresponse_id = 0x640\ntarget_address = 0x40',
    "extended_29": 'addressing = "extended"\nid_29_bit = true\nrequest_id = 0x1AAAAAA1\nresponse_id = 0x1AAAAAA2\n'
    "target_address = 0x40",
    "mixed_11": 'addressing = "mixed"\nrequest_id = 0x7A0\nresponse_id = 0x7A8\naddress_extension = 0x99',
    "mixed_29": 'addressing = "mixed"\nid_29_bit = true\ntarget_address = 0x40\naddress_extension = 0x99',
}
FUNCTIONAL = {
    "normal_29": 'addressing = "normal"\nid_29_bit = true\nrequest_id = 0x1ABCDE00',
    "normal_fixed": 'addressing = "normal_fixed"',
    "extended_11": 'addressing = "extended"\nrequest_id = 0x6F1\ntarget_address = 0xDF',
    "extended_29": 'addressing = "extended"\nid_29_bit = true\nrequest_id = 0x1AAAAAA1\ntarget_address = 0xDF',
    "mixed_11": 'addressing = "mixed"\nrequest_id = 0x7DF\naddress_extension = 0x99',
    "mixed_29": 'addressing = "mixed"\nid_29_bit = true\naddress_extension = 0x99',
}
CLASSIC = "tx_dl = 8"
HABITS = {
    "classic": (CLASSIC, CLASSIC),
    "classic_without_padding": ('padding = "none"', 'padding = "none"'),
    "fd": ("tx_dl = 64", "tx_dl = 64"),
    "fd_without_padding_and_brs": ('tx_dl = 64\nframes = "fd_without_brs"\npadding = "none"', "tx_dl = 32"),
    "fd_frames_of_one_length": ("tx_dl = 64\ntx_dl_min = 64\npadding = 0", "tx_dl = 24\ntx_dl_min = 12"),
    "fd_frames_of_eight_bytes": ('frames = "fd"', 'frames = "fd"'),
    "fd_tester_and_ecu_that_answers_in_classic_frames": ("tx_dl = 64", CLASSIC),
    "classic_tester_and_fd_ecu": (CLASSIC, "tx_dl = 64"),
    "fd_but_for_the_bootloader": ("tx_dl = 64", 'tx_dl = 64\nbootloader_frames = "classic"'),
    "fd_but_for_a_bootloader_that_hears_none": (
        "tx_dl = 64\nclassic_fallback = true",
        'tx_dl = 64\nbootloader_frames = "classic_only"',
    ),
    "fd_tester_that_asks_for_blocks_and_gaps": ("tx_dl = 64\nblock_size = 2\nst_min = 0xF1", "tx_dl = 64"),
}


@pytest.fixture
def own(tmp_path: Path) -> Own:
    """Return the job of the one-ECU van with another address, habits of tester and ECU, and functional address."""

    def build(mode: str, tester: str = CLASSIC, ecu: str = CLASSIC, *, ecus: str | None = None) -> Job:
        van = (data_root() / "vehicles" / "one_ecu_van.toml").read_text()
        tables = [f"[functional.can0]\n{FUNCTIONAL[mode]}"] if mode in FUNCTIONAL else []
        head, _, entry = van.partition("[[ecus]]")
        entry = entry.replace("request_id = 0x7A0\nresponse_id = 0x7A8", MODES[mode])
        text = "\n\n".join([head, f"[isotp]\n{tester}", *tables, f"[[ecus]]{entry}" if ecus is None else ecus])
        personality = (data_root() / "ecus" / "body_controller.toml").read_text()
        bench = (data_root() / "benches" / "sim_van.toml").read_text()
        bench = bench.replace("bitrate_bit_s = 500_000", "bitrate_bit_s = 500_000\ndata_bitrate_bit_s = 2_000_000")
        for kind, name, content in (
            ("vehicles", "one_ecu_van", text),
            ("ecus", "body_controller", personality.replace("st_min = 0\n", f"st_min = 0\n{ecu}\n")),
            ("benches", "own", bench),
        ):
            (tmp_path / kind).mkdir()
            (tmp_path / kind / f"{name}.toml").write_text(content)
        return make_job(data_root() / "scenarios" / "healthy_van.toml", tmp_path / "benches" / "own.toml")

    return build


def frames_of(result: RunResult, sender: str) -> list[FrameRecord]:
    return [frame for frame in result.record.frames.items if frame.sender == sender]


def passed(result: RunResult) -> None:
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]
    assert result.verdict.not_observed == ()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("habits", ["classic", "fd"])
def test_update_behind_every_addressing_mode_passes_with_everything_observed(own: Own, mode: str, habits: str) -> None:
    result = Runner().run(own(mode, *HABITS[habits]))
    passed(result)
    frames = frames_of(result, "agent") + frames_of(result, "body")
    assert all(bool(frame.flags & EXTENDED) is ("29" in mode or mode == "normal_fixed") for frame in frames)
    assert all(bool(frame.flags & FD) is (habits == "fd") for frame in frames)


@pytest.mark.parametrize("habits", HABITS)
def test_update_with_every_habit_passes_with_everything_observed(own: Own, habits: str) -> None:
    passed(Runner().run(own("extended_11", *HABITS[habits])))


def test_classic_only_ecu_and_its_fd_tester_keep_to_their_own_frames(own: Own) -> None:
    result = Runner().run(own("normal_11", *HABITS["fd_tester_and_ecu_that_answers_in_classic_frames"]))
    assert all(frame.flags & FD for frame in frames_of(result, "agent"))
    assert not any(frame.flags & FD for frame in frames_of(result, "body"))
    assert max(len(frame.data) for frame in frames_of(result, "agent")) == 64


def test_bootloader_without_fd_answers_in_classic_frames_and_its_application_in_fd_frames(own: Own) -> None:
    result = Runner().run(own("normal_11", *HABITS["fd_but_for_the_bootloader"]))
    kinds = {bool(frame.flags & FD) for frame in frames_of(result, "body")}
    programmed = [f for f in frames_of(result, "body") if f.data[1:2] == b"\x76"]
    assert kinds == {True, False}
    assert programmed
    assert not any(frame.flags & FD for frame in programmed)


def test_fd_tester_falls_back_to_classic_frames_for_a_bootloader_without_fd_and_only_for_it(own: Own) -> None:
    """The ECU loses power in the middle too: on the way to its bootloader and back nothing else is lost."""
    habits = HABITS["fd_but_for_a_bootloader_that_hears_none"]
    result = Runner().run(own("normal_11", *habits))
    passed(result)
    blocks = [frame for frame in frames_of(result, "agent") if frame.data[2:3] == b"\x36"]
    reads = [frame for frame in frames_of(result, "body") if frame.data[:1] == b"\x62" or frame.data[1:2] == b"\x62"]
    assert blocks
    assert not any(frame.flags & FD for frame in blocks)
    assert {bool(frame.flags & FD) for frame in reads} == {True, False}
    assert frames_of(result, "agent")[-1].flags & FD


def test_bootloader_without_fd_is_found_after_a_power_cut(own: Own, with_faults: Callable[..., Job]) -> None:
    job = own("normal_11", *HABITS["fd_but_for_a_bootloader_that_hears_none"])
    passed(Runner().run(with_faults(job, "power.ecu:body:program:middle:phase=transfer:torn=3")))


def test_fd_tester_without_fallback_cannot_flash_a_bootloader_without_fd(own: Own) -> None:
    result = Runner().run(own("normal_11", "tx_dl = 64", 'tx_dl = 64\nbootloader_frames = "classic_only"'))
    assert not result.as_expected


def test_shortest_frame_of_64_bytes_makes_every_frame_that_long(own: Own) -> None:
    result = Runner().run(own("extended_11", *HABITS["fd_frames_of_one_length"]))
    assert {len(frame.data) for frame in frames_of(result, "agent")} == {64}


def test_ecus_behind_one_identifier_pair_are_told_apart_by_their_address_byte(own: Own) -> None:
    entry = (
        '[[ecus]]\nid = "{0}"\npersonality = "body_controller"\nrecipe = "single_bank"\nchannel = "can0"\n'
        'addressing = "mixed"\nrequest_id = 0x7A0\nresponse_id = 0x7A8\naddress_extension = {1}\nhardware_id = "HW"\n'
        'software_id = "APP"\ninstalled = {{ version = "1.0.0", release_counter = 1, size_bytes = 16384 }}\n'
    )
    result = Runner().run(own("mixed_11", ecus=entry.format("body", "0x41") + entry.format("door", "0x42")))
    passed(result)
    values = {reading.ecu: reading.value for reading in result.record.readings.items if reading.did == 0xF189}
    assert values == {"body": b"2.0.0", "door": b"1.0.0"}
    assert {frame.sender for frame in result.record.frames.items if frame.can_id == 0x7A8} == {"body", "door"}


# The vehicle with two buses --------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["healthy_fd", "power_cut_fd"])
def test_fd_vehicle_passes_and_every_invariant_is_observed(runner: Runner, load: Load, scenario: str) -> None:
    result = runner.run(load(scenario, "sim_fd"))
    passed(result)
    values = {reading.ecu: reading.value for reading in result.record.readings.items if reading.did == 0xF189}
    assert values == {"body": b"2.0.0", "head_unit": b"2.0.0"}


def test_fd_vehicle_sends_blocks_beyond_12_bits_of_length(runner: Runner, load: Load) -> None:
    result = runner.run(load("healthy_fd", "sim_fd"))
    firsts = [f for f in frames_of(result, "agent") if f.channel == "can1" and f.data[:2] == b"\x10\x00"]
    assert [int.from_bytes(frame.data[2:6], "big") for frame in firsts] == [65538] * 4


def test_report_of_the_fd_vehicle_tells_what_was_said_on_both_buses(runner: Runner, load: Load) -> None:
    view = view_of(runner.run(load("healthy_fd", "sim_fd")))
    sent = {"body": 0, "head_unit": 0}
    for step in view.sequence.steps:
        if "TransferData" in step.text:
            sent[step.target or ""] += int(step.detail.split()[0].replace(",", ""))
    assert sent == {"body": 32_768 + HEADER_BYTES, "head_unit": 262_144 + HEADER_BYTES}
    assert any(step.kind == "functional" and "CommunicationControl" in step.text for step in view.sequence.steps)
    places = {lane.id: lane.subtitle for lane in view.timeline.lanes}
    assert (places["body"], places["head_unit"]) == ("0x6F1/40 on can0", "0x18DA21F1 on can1")
    assert view.buses is not None
    loads = {row.channel: (row.data_bitrate_bit_s, row.peak_load) for row in view.buses}
    assert set(loads) == {"can0", "can1"}
    assert loads["can0"][0] is None
    assert loads["can1"][0] == 2_000_000
    assert all(0.9 < (peak or 0) <= 1 for _, peak in loads.values())


def test_fd_vehicle_has_the_same_trace_every_time(load: Load) -> None:
    hashes = {Runner().run(load("healthy_fd", "sim_fd")).trace_sha256 for _ in range(2)}
    assert len(hashes) == 1


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have buses carry every frame alone from now on."""
    monkeypatch.setattr(channels, "SimCanBus", lambda *rates, bursts: SimCanBus(*rates, bursts=False))


def test_fd_vehicle_has_the_same_trace_frame_by_frame(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = Runner().run(load("healthy_fd", "sim_fd")).trace_sha256
    one_by_one(monkeypatch)
    assert Runner().run(load("healthy_fd", "sim_fd")).trace_sha256 == at_once


@pytest.mark.parametrize("mode", ["extended_11", "mixed_11", "mixed_29", "normal_fixed"])
@pytest.mark.parametrize("habits", ["classic", "fd", "fd_but_for_a_bootloader_that_hears_none"])
def test_every_mode_has_the_same_trace_frame_by_frame(
    monkeypatch: pytest.MonkeyPatch, own: Own, mode: str, habits: str
) -> None:
    job = own(mode, *HABITS[habits])
    at_once = Runner().run(job).trace_sha256
    one_by_one(monkeypatch)
    assert Runner().run(job).trace_sha256 == at_once


@pytest.mark.parametrize("ecu", ["body", "head_unit"])
def test_boot_manager_that_verifies_nothing_is_caught_on_the_fd_vehicle(
    load: Load, with_faults: Callable[..., Job], failed: Callable[[RunResult], set[str]], ecu: str
) -> None:
    address = 0x1000_1234 if ecu == "head_unit" else 0x1234
    job = with_faults(load("healthy_fd", "sim_fd"), f"storage:{ecu}:boot:last", address=address, bit=3)
    passed(Runner().run(job))
    planted = replace(job, scenario=job.scenario.model_copy(update={"defect": "ecu-boot-no-verification"}))
    assert {"authentic", "whole"} <= failed(Runner().run(planted))


@pytest.mark.parametrize("ecu", ["body", "head_unit"])
def test_other_bytes_on_a_wire_with_addresses_or_fd_frames_are_caught(
    load: Load, failed: Callable[[RunResult], set[str]], monkeypatch: pytest.MonkeyPatch, ecu: str
) -> None:
    """The flasher changes a bit of every block for one of the two: only the judge's own decoders can see it."""
    import bench.flasher.steps.transfer as transfer

    genuine = vars(transfer)["transfer_data"]
    long_blocks = ecu == "head_unit"

    def changed(counter: int, data: bytes) -> Any:
        mine = (len(data) > 4095) is long_blocks and len(data) != 256
        return genuine(counter, bytes((data[0] ^ 1,)) + data[1:] if mine else data)

    monkeypatch.setattr(transfer, "transfer_data", changed)
    result = Runner().run(load("healthy_fd", "sim_fd"))
    assert "authentic" in failed(result)
    sentence = next(f.sentence for f in result.verdict.invariants if f.id == "authentic")
    assert ecu in sentence


def test_communication_left_off_by_functional_requests_of_either_bus_is_caught(
    load: Load, failed: Callable[[RunResult], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.flasher.affected import AffectedBuses
    from bench.flasher.group import Member
    from bench.flasher.recipe import Step

    genuine = dict(vars(AffectedBuses))

    async def never_undone(self: AffectedBuses, ctx: Member, payload: bytes, undo: tuple[Step, bytes]) -> bool:
        if undo[0] is Step.COMMUNICATION_ON:
            return await self.home.prepare(ctx, payload)
        return bool(await genuine["prepare"](self, ctx, payload, undo))

    async def forgotten(self: AffectedBuses, ctx: Member, step: Step, payload: bytes) -> None:
        if step is not Step.COMMUNICATION_ON:
            await genuine["restore"](self, ctx, step, payload)

    monkeypatch.setattr(AffectedBuses, "prepare", never_undone)
    monkeypatch.setattr(AffectedBuses, "restore", forgotten)
    result = Runner().run(load("healthy_fd", "sim_fd"))
    assert failed(result) == {"tidy"}
    tidy = next(f for f in result.verdict.invariants if f.id == "tidy")
    shown = " ".join(f"{e.where} {e.text}" for e in tidy.evidence)
    assert "can0" in shown
    assert "can1" in shown


def test_ecu_that_sends_fd_frames_on_a_classic_bus_is_refused_with_personality_and_key(tmp_path: Path) -> None:
    for kind, name in (("benches", "sim_fd"), ("vehicles", "fd_car")):
        (tmp_path / kind).mkdir()
        text = (data_root() / kind / f"{name}.toml").read_text()
        text = text.replace("data_bitrate_bit_s = 2_000_000\n", "").replace("tx_dl = 64", "tx_dl = 8")
        (tmp_path / kind / f"{name}.toml").write_text(text)
    job = make_job(data_root() / "scenarios" / "healthy_fd.toml", tmp_path / "benches" / "sim_fd.toml")
    with pytest.raises(InputError) as refusal:
        Runner().run(job)
    for word in ("head_unit", "can1", "isotp.tx_dl", "tx_dl = 64", "data_bitrate_bit_s"):
        assert word in str(refusal.value)
