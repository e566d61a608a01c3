from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.clock import NS_PER_S
from bench.core.records import (
    BRS,
    FD,
    ConditionRecord,
    EcuLayout,
    FrameRecord,
    HttpRecord,
    Limits,
    PowerRecord,
    RunRecord,
    ServerEvent,
)
from bench.evidence.axis import Ruler, make_axis
from bench.evidence.build import view_of
from bench.evidence.bus_view import bit_rates_of, buses_of
from bench.evidence.compare_view import comparisons_of
from bench.evidence.dm_story import answer_words, event_steps, http_steps, request_words
from bench.evidence.memory_view import CELLS, banks_of
from bench.evidence.sequence import sequence_svgs
from bench.evidence.sequence_view import MAX_STEPS, sequence_of
from bench.evidence.text import duration, instant
from bench.evidence.timeline import timeline_svg
from bench.evidence.uds_names import answer_name, request_name
from bench.evidence.uds_story import talks
from bench.evidence.view import AXIS_WIDTH, BINS, Bank
from bench.oracle.result import RunResult
from bench.wire.can import CanFrame, frame_bits
from bench.wire.can_fd import frame_time_ns
from tests.oracle.oracle_vectors import replace, watched

DM_POLL = (b'{"Alert":[{"AlertType":"urn:oma:at:dm:2.0:ClientInitiatedMgmt"}]}', b'{"CMD":[["END"]]}')


def lines_of(result: RunResult) -> list[str]:
    steps = sequence_of(result.record, talks(result.record)).steps
    return [f"{step.source}>{step.target or ''} {step.text} | {step.detail} x{step.count}" for step in steps]


def test_sequence_tells_download_cut_and_recovery_in_order(result: RunResult) -> None:
    lines = lines_of(result)
    told = [
        "agent>server POST /dm · BootstrapComplete | 200 · END x1",
        "agent>server GET /packages/demo-2.0.0.zip | 200, 5002 bytes x1",
        "agent> 0x85 ControlDTCSetting off | to all ECUs x1",
        "agent>body 0x31 RoutineControl erase memory 0x00000000, 2048 bytes | pending 1 ×, ok x1",
        "agent>body 0x36 TransferData | 768 bytes, ok x3",
        "agent>body 0x36 TransferData | 144 bytes, broken off, no answer x1",
        "body> power cut | fault power.ecu:body:program:12:torn=3 x1",
        "body> power on | restored after 200 ms x1",
        "body> bootloader | no valid image x1",
        "agent>body 0x36 TransferData | 2,048 bytes, ok x8",
        "body> application in bank A | target image is valid x1",
        "agent>body 0x22 ReadDataByIdentifier F189 software version | 2.0.0 x1",
        "server> order closed | order=o1, status=success x1",
        "tester>gateway 0x22 ReadDataByIdentifier F189 software version | 2.0.0 x1",
    ]
    places = [lines.index(line) for line in told]
    assert places == sorted(places)
    assert list(view_of(result).sequence.participants) == ["server", "agent", "tester", "body", "gateway"]


@pytest.mark.parametrize(("expects_update", "outcome"), [(True, "bad"), (False, "ok")])
def test_refusal_is_a_good_end_only_where_it_is_expected(expects_update: bool, outcome: str) -> None:
    events = (
        ServerEvent(1, 1, "v", "component_result", {"order": "o", "ecu": "body", "result_code": 1407, "version": ""}),
        ServerEvent(2, 1, "v", "order_closed", {"order": "o", "status": "refused"}),
    )
    steps = event_steps(events, expects_update=expects_update)
    assert [step.outcome for step in steps] == [outcome, outcome]
    assert steps[0].detail == "order=o, ecu=body, result_code=1407"


def test_transfers_on_both_sides_of_a_power_cut_are_lines_of_their_own() -> None:
    ms = 10**6
    transfer, refusal = bytes.fromhex("0336010000000000"), bytes.fromhex("037F362400000000")
    frames = (
        FrameRecord(1000 * ms, "can0", "agent", 0x7A0, 0, transfer),
        FrameRecord(1300 * ms, "can0", "agent", 0x7A0, 0, transfer),
        FrameRecord(1310 * ms, "can0", "body", 0x7A8, 0, refusal),
    )
    power = (PowerRecord(1010 * ms, "body", False, "fault"), PowerRecord(1200 * ms, "body", True, "restored"))
    record = replace(_empty_record(), frames=frames, power=power)
    told = sequence_of(record, talks(record)).steps
    assert [(step.kind, step.count) for step in told] == [("uds", 1), ("power", 1), ("power", 1), ("uds", 1)]
    assert ["NRC" in step.detail for step in told] == [False, False, False, True]


def test_quiet_polls_are_one_block_however_many() -> None:
    polls = [HttpRecord(i * 30 * NS_PER_S, "agent", "POST", "https://dm/dm", 200, *DM_POLL) for i in range(50)]
    steps = http_steps(polls)
    assert len(steps) == 50
    record = replace(_empty_record(), http=tuple(polls))
    folded = sequence_of(record, []).steps
    assert len(folded) == 1
    assert folded[0].count == 50
    assert folded[0].end_t_ns == 49 * 30 * NS_PER_S


def test_changes_of_the_car_are_told_and_a_refused_one_by_name(result: RunResult) -> None:
    at_ns = result.record.power.items[-1].t_ns
    conditions = (
        ConditionRecord(0, "ignition", True, True, "as the run begins"),
        ConditionRecord(at_ns, "speed_km_h", 3.0, True, "condition:body:request:5"),
        ConditionRecord(at_ns + 1, "engine", True, False, "inhibited by body"),
    )
    told = sequence_of(replace(result.record, conditions=conditions), ())
    lines = [(step.text, step.detail, step.outcome) for step in told.steps if step.source == "car"]
    assert lines == [
        ("car: speed_km_h = 3", "condition:body:request:5", "info"),
        ("car: engine = yes refused", "inhibited by body", "bad"),
    ]
    assert "car" in told.participants
    assert "car" not in sequence_of(result.record, ()).participants


def test_long_sequence_leaves_out_its_middle_but_no_cut(result: RunResult) -> None:
    requests = tuple(
        FrameRecord(10**10 + i * 10**7, "can0", "agent", 0x7A0, 0, bytes([2, 0x10, i & 0x7F]) + bytes(5))
        for i in range(4000)
    )
    answers = tuple(
        FrameRecord(frame.t_ns + 10**6, "can0", "body", 0x7A8, 0, bytes([6, 0x50, frame.data[2]]) + bytes(5))
        for frame in requests
    )
    assert result.record.frames.watched
    frames = sorted((*result.record.frames.items, *requests, *answers), key=lambda frame: frame.t_ns)
    record = replace(result.record, frames=tuple(frames))
    steps = sequence_of(record, talks(record)).steps
    left_out = [step for step in steps if step.kind == "left_out"]
    assert len(steps) < MAX_STEPS + 10
    assert sum(step.count for step in left_out) > 3000
    assert [step.text for step in steps if step.kind == "power"] == ["power cut", "power on"]
    assert len(sequence_svgs(sequence_of(record, talks(record)))) > 1


@pytest.mark.parametrize(
    ("pdu", "words"),
    [
        ("1083", "0x10 DiagnosticSessionControl extended"),
        ("2703", "0x27 SecurityAccess seed"),
        ("2704AABB", "0x27 SecurityAccess key"),
        ("22F190", "0x22 ReadDataByIdentifier F190 VIN"),
        ("221234", "0x22 ReadDataByIdentifier 1234"),
        ("34004400F0000000000100", "0x34 RequestDownload 0x00F00000, 256 bytes"),
        ("3101FF004400000000000008", "0x31 RoutineControl erase memory"),
        ("BA", "0xBA unknown service"),
    ],
)
def test_request_is_named_as_iso_14229_names_it(pdu: str, words: str) -> None:
    assert request_name(bytes.fromhex(pdu)) == words


@pytest.mark.parametrize(
    ("pdu", "words"),
    [
        ("7F3673", "NRC 0x73 wrongBlockSequenceCounter"),
        ("7F36EE", "NRC 0xEE unknown"),
        ("7101020200", "ok"),
        ("7101020203", "refused: release counter"),
        ("62F1893130", "10"),
        ("62F15A0001FF", "00 01 FF"),
        ("7602", "ok"),
    ],
)
def test_answer_is_named_by_what_it_means(pdu: str, words: str) -> None:
    assert answer_name(bytes.fromhex(pdu)) == words


@given(st.binary(max_size=24))
def test_any_bytes_have_a_name(pdu: bytes) -> None:
    assert request_name(pdu)
    assert answer_name(pdu)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=8),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["CMD", "Alert", "Status", "MOS", "MOData", "ClientURI", "sc", "Data"]), x
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_body_is_told_without_failing(value: object) -> None:

    body = json.dumps(value).encode()
    assert isinstance(request_words(body), str)
    assert isinstance(answer_words(body), str)


times = st.lists(st.integers(0, 400 * NS_PER_S), max_size=40)


@given(times, st.integers(1, 400 * NS_PER_S))
def test_axis_keeps_the_order_of_instants_and_ends_at_its_edges(instants: list[int], ended: int) -> None:
    axis = make_axis(instants, ended)
    ruler = Ruler(axis)
    places = [ruler.x(t_ns) for t_ns in sorted((*instants, 0, ended))]
    assert places == sorted(places)
    assert ruler.x(0) == 0.0
    assert ruler.x(ended) == pytest.approx(AXIS_WIDTH)
    density = ruler.density("k", "l", instants)
    assert sum(density.counts) == density.total == len(instants)
    assert len(density.counts) == BINS


def test_axis_shortens_silence_but_not_work() -> None:
    busy = [i * 10_000_000 for i in range(500)]
    axis = make_axis([*busy, 60 * NS_PER_S], 61 * NS_PER_S)
    assert [(gap.start_t_ns, gap.end_t_ns) for gap in axis.gaps] == [(busy[-1], 60 * NS_PER_S)]
    assert Ruler(axis).x(busy[-1]) > 700
    assert make_axis(busy, 5 * NS_PER_S).gaps == ()


def test_timeline_has_a_lane_for_everybody_and_marks_the_cut(result: RunResult) -> None:
    timeline = view_of(result).timeline
    assert [lane.id for lane in timeline.lanes] == ["server", "agent", "body", "gateway", "can0"]
    body = timeline.lanes[2]
    states = [span.kind for span in body.states]
    assert states[:5] == ["boot_manager", "application", "boot_manager", "bootloader", "off"]
    assert [mark.kind for mark in body.marks if mark.kind in ("cut", "restore")] == ["cut", "restore"]
    assert {density.kind for density in body.densities} == {"program", "erase"}
    work = [span.kind for span in body.activities if span.kind != "talk"]
    assert work == ["erase", "transfer", "erase", "transfer", "check", "reset"]
    image = timeline_svg(timeline)
    assert image.count("p-cut-head") == 1
    assert image.count("p-restore-head") == 1
    assert "t-gap" in image
    assert len(image) < 60_000


def test_bank_map_tells_target_installed_torn_and_foreign_cells(runs: dict[str, RunResult]) -> None:
    body, old, new = view_of(runs["failing_run"]).banks
    assert (body.role, body.running) == ("other", True)
    assert body.image == "1 byte differs from target 2.0.0, 1 torn place"
    assert len(body.cells) == CELLS
    assert body.cells.count("X") == 1
    assert body.cells.count("~") == 1
    assert (old.role, old.running, old.header) == ("installed", False, "installed 1.0.0")
    assert old.cells.strip("E") == "I" * 32
    assert (new.role, new.running) == ("target", True)


def test_erased_bank_is_empty(result: RunResult) -> None:
    assert result.record.flash.watched
    dump = result.record.flash.items[0]
    erased = replace(dump, regions=tuple(replace(r, data=b"\xff" * len(r.data)) for r in dump.regions))
    bank: Bank = banks_of(replace(result.record, flash=(erased,)))[0]
    assert (bank.role, bank.mark, bank.header, bank.image) == ("empty", "erased", "erased", "erased")
    assert set(bank.cells) == {"E"}


def test_server_that_believes_wrongly_disagrees(result: RunResult) -> None:
    readings = tuple(replace(r, value=b"1.0.0") if r.did == 0xF189 else r for r in result.record.readings.items)
    rows = comparisons_of(replace(result.record, readings=readings))
    assert [(row.ecu, row.agrees) for row in rows if row.what == "software version"] == [
        ("body", False),
        ("gateway", False),
    ]
    assert all(row.agrees for row in comparisons_of(result.record))


def test_server_that_says_success_over_a_bootloader_disagrees(result: RunResult) -> None:
    assert result.record.boots.watched
    boots = (
        *result.record.boots.items,
        replace(result.record.boots.items[-1], ecu="body", stage="bootloader", bank=None),
    )
    rows = {(row.ecu, row.what): row for row in comparisons_of(replace(result.record, boots=boots))}
    assert rows["body", "result of the update"].agrees is False
    assert rows["vehicle", "order"].agrees is False
    assert rows["vehicle", "order"].vehicle == "1 of 2 ECUs at the target"


def test_no_row_agrees_while_a_byte_of_the_running_image_differs(runs: dict[str, RunResult]) -> None:
    rows = {(row.ecu, row.what): row for row in comparisons_of(runs["failing_run"].record)}
    flaw = "1 byte differs from target 2.0.0, 1 torn place"
    assert rows["body", "software version"].vehicle == f"2.0.0, but {flaw}"
    assert rows["body", "result of the update"].vehicle == f"executes target 2.0.0, bank A, but {flaw}"
    assert rows["vehicle", "order"].vehicle == "1 of 2 ECUs at the target"
    assert [row.agrees for row in rows.values()] == [False, False, True, True, False]


def test_bench_that_cannot_read_flash_compares_what_began_to_run(result: RunResult) -> None:
    record = replace(result.record, flash=None)
    assert all(row.agrees for row in comparisons_of(record))
    assert record.executions.watched
    other = tuple(replace(execution, image_sha256="0" * 64) for execution in record.executions.items)
    rows = comparisons_of(replace(record, executions=other))
    assert not any(row.agrees for row in rows)
    assert rows[1].vehicle == "executes target 2.0.0, bank A, but other bytes than target 2.0.0 were executed"


def test_ecu_that_did_not_answer_is_not_called_unknown(result: RunResult) -> None:
    readings = tuple(replace(r, value=None) for r in result.record.readings.items)
    row = comparisons_of(replace(result.record, readings=readings))[0]
    assert (row.vehicle, row.agrees) == ("no answer", False)


def test_bus_load_comes_from_the_bit_rate_of_the_bench_file(result: RunResult) -> None:
    rows = buses_of(result.record, result.inputs)
    assert rows is not None
    assert result.record.frames.watched
    bits = sum(frame_bits(CanFrame(frame.can_id, frame.data)) for frame in result.record.frames.items)
    assert rows[0].bitrate_bit_s == 500_000
    assert rows[0].mean_load == pytest.approx(bits / 500_000 / result.virtual_s, abs=1e-4)
    unknown = buses_of(result.record, {})
    assert unknown is not None
    assert unknown[0].mean_load is None


def test_bus_behind_a_gateway_has_a_row_and_a_lane_of_its_own(result: RunResult) -> None:
    assert result.record.frames.watched
    inner = [frame._replace(channel="inner") for frame in result.record.frames.items[:3]]
    record = replace(result.record, frames=(*result.record.frames.items, *inner))
    rows = buses_of(record, {})
    assert rows is not None
    assert [(row.channel, row.frames) for row in rows][-1] == ("inner", 3)
    assert "inner" in [lane.id for lane in view_of(replace(result, record=record)).timeline.lanes]


def test_bus_load_of_an_fd_bus_counts_both_bit_rates_and_no_window_beyond_its_end(result: RunResult) -> None:
    """64-byte frames without a gap: the bus is full, in every window."""
    frame = CanFrame(0x123, bytes(range(64)), FD | BRS)
    length_ns = frame_time_ns(frame, 500_000, 2_000_000)
    count = 500_000_000 // length_ns
    frames = tuple(
        FrameRecord(length_ns * n, "can0", "agent", frame.can_id, frame.flags, frame.data) for n in range(1, count + 1)
    )
    record = replace(result.record, frames=frames, ended_t_ns=500_000_000)
    toml = b"[can.can0]\nbitrate_bit_s = 500_000\ndata_bitrate_bit_s = 2_000_000"
    rows = buses_of(record, {"b.toml": toml})
    assert rows is not None
    assert (rows[0].bitrate_bit_s, rows[0].data_bitrate_bit_s) == (500_000, 2_000_000)
    assert rows[0].mean_load == pytest.approx(1.0, abs=2e-3)
    assert rows[0].peak_load == 1.0


@pytest.mark.parametrize(
    ("toml", "rate"),
    [
        (b'[[channels]]\nname = "can1"\nbitrate_bit_s = 1\n[[channels]]\nname = "can0"\nbitrate_bit_s = 2', (2, None)),
        (b"[can.can0]\nbitrate_bit_s = 250_000", (250_000, None)),
        (b"[can.can0]\ndata_bitrate_bit_s = 5\nbitrate_bit_s = 4", (4, 5)),
        (b"[can.can0]\nbitrate_bit_s = 'fast'", None),
        (b"= broken", None),
        (b"\xff", None),
    ],
)
def test_bit_rate_is_found_by_channel_name_or_not_at_all(toml: bytes, rate: tuple[int, int | None] | None) -> None:
    assert bit_rates_of({"b.toml": toml}, "can0") == rate


@pytest.mark.parametrize(
    ("length_ns", "words"),
    [(1_500, "2 µs"), (200_000_000, "200 ms"), (3_410_000_000, "3.41 s"), (125_000_000_000, "2 min 05 s")],
)
def test_duration_has_a_fitting_unit(length_ns: int, words: str) -> None:
    assert duration(length_ns) == words


def test_instant_has_microseconds_without_rounding_up() -> None:
    assert instant(1_999_999_999) == "1.999999 s"


def _empty_record() -> RunRecord:

    layout = EcuLayout("body", "can0", 0x7A0, 0x7A8, "H", 0, (), 1, 0xFF00)
    return RunRecord(
        vin="V", ended_t_ns=1, limits=Limits(1, 1), expects_update=True, layouts=(layout,), references=(),
        image_public_key=b"", package_public_key=b"", package_url_suffix="", faults=(), power=watched(()),
        server_events=watched(()), http=watched(()), readings=watched(()),
    )  # fmt: skip
