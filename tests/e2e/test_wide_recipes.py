"""Bootloaders with other habits, each simulated and flashed by a recipe that says so: nothing but data differs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.oracle.decode_isotp import split
from bench.oracle.decode_uds import EcuTraffic, listen
from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner

ChangedJob = Callable[..., Job]
ECU, RECIPE = "ecus/body_controller.toml", "recipes/single_bank.toml"
VAN = ("healthy_van", "sim_van")
BLOCKS = """block_limit_bytes = 4095
blocks = [
  { name = "low", base = 0x00000000, size_bytes = 0x4000 },
  { name = "middle", base = 0x00004000, size_bytes = 0x8000 },
  { name = "high", base = 0x0000C000, size_bytes = 0x34000 },
]"""
BY_BLOCKS = {
    '"erase", "download_image", ': '"program_blocks", ',
    "block_limit_bytes = 4095": BLOCKS,
    "confirm = 0x0204": "confirm = 0x0204\ncheck_block = 0x0206",
}


def traffic(result: RunResult) -> EcuTraffic:
    return listen(split(result.record.frames.items), result.record.layouts[0])


def requests(result: RunResult, head: str) -> list[str]:
    """Return the physical requests that begin so, in order."""
    prefix = bytes.fromhex(head)
    found = [exchange.request.payload for exchange in traffic(result).exchanges]
    return [payload[:16].hex() for payload in found if payload.startswith(prefix)]


def assert_good(result: RunResult) -> None:
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]


@pytest.mark.parametrize(
    ("address_bytes", "size_bytes", "head"), [(3, 3, "340033000000008000"), (4, 3, "34003400000000008000")]
)
def test_other_widths_of_address_and_size(
    runner: Runner, changed_job: ChangedJob, address_bytes: int, size_bytes: int, head: str
) -> None:
    table = f"transfer = {{ address_bytes = {address_bytes}, size_bytes = {size_bytes} }}\nname ="
    result = runner.run(changed_job(*VAN, {ECU: {"name =": table}, RECIPE: {"name =": table}}))
    assert_good(result)
    assert requests(result, "34")[0] == head
    assert requests(result, "3101ff00")[0] == "3101ff00" + head[4:]


@pytest.mark.parametrize(
    ("first", "after_ff", "counters"), [(0, 0, (0, 255, 0)), (1, 1, (1, 255, 1)), (0, 1, (0, 255, 1))]
)
def test_other_block_counters(
    runner: Runner, changed_job: ChangedJob, first: int, after_ff: int, counters: tuple[int, int, int]
) -> None:
    table = f"transfer = {{ first_counter = {first}, counter_after_ff = {after_ff} }}\nname ="
    small = {"max_block_length = 4095": "max_block_length = 130"}
    units = {"unit_bytes = 256": "unit_bytes = 128", "program_unit_bytes = 256": "program_unit_bytes = 128"}
    ecu = {"name =": table, "unit_bytes = 256": units["unit_bytes = 256"], **small}
    recipe = {"name =": table, "program_unit_bytes = 256": units["program_unit_bytes = 256"]}
    scenario = {"size_bytes = 32768": "size_bytes = 33792"}
    job = changed_job(*VAN, {ECU: ecu, RECIPE: recipe, "scenarios/healthy_van.toml": scenario})
    result = runner.run(job)
    assert_good(result)
    seen = [int(request[2:4], 16) for request in requests(result, "36")]
    assert seen[0] == counters[0]
    turn = seen.index(255)
    assert (seen[turn], seen[turn + 1]) == counters[1:]


def test_whole_region_is_erased_where_the_recipe_says_so(runner: Runner, changed_job: ChangedJob) -> None:
    result = runner.run(changed_job(*VAN, {RECIPE: {"name =": 'erase = { granularity = "region" }\nname ='}}))
    assert_good(result)
    assert requests(result, "3101ff00") == ["3101ff00440000000000040000"]


def test_sectors_are_erased_one_by_one_where_the_recipe_says_so(runner: Runner, changed_job: ChangedJob) -> None:
    table = 'erase = { granularity = "sectors", sector_bytes = 16384 }\nname ='
    result = runner.run(changed_job(*VAN, {RECIPE: {"name =": table}}))
    assert_good(result)
    assert requests(result, "3101ff00") == ["3101ff00440000000000004000", "3101ff00440000400000004000"]


def test_logical_blocks_are_erased_sent_and_checked_one_after_the_other(
    runner: Runner, changed_job: ChangedJob
) -> None:
    result = runner.run(changed_job(*VAN, {RECIPE: BY_BLOCKS}))
    assert_good(result)
    services = [
        exchange.request.payload[:4].hex() if exchange.service == 0x31 else f"{exchange.service:02x}"
        for exchange in traffic(result).exchanges
    ]
    order = [name for name in services if name in ("3101ff00", "34", "37", "31010206", "31010202")]
    block = ["3101ff00", "34", "37", "31010206"]
    assert order[: order.index("31010202") + 1] == [*block, *block, "34", "37", "31010202"]
    assert [d.address for d in traffic(result).downloads] == [0, 0x4000, 0x00F00000]


def test_cut_between_logical_blocks_ends_in_the_target(
    runner: Runner, changed_job: ChangedJob, with_faults: Callable[..., Job]
) -> None:
    job = changed_job(*VAN, {RECIPE: BY_BLOCKS})
    assert_good(runner.run(with_faults(job, "power.ecu:body:program:middle:phase=transfer:torn=2")))


def test_dtcs_are_cleared_and_identifiers_read_back_at_the_end(runner: Runner, changed_job: ChangedJob) -> None:
    recipe = {
        '"default_session",': '"read_back", "default_session",',
        "fingerprint = 0xF15A": "fingerprint = 0xF15A\nread_back = { serial_number = 0xF18C, vin = 0xF190 }",
    }
    result = runner.run(changed_job(*VAN, {RECIPE: recipe}))
    assert_good(result)
    assert requests(result, "14") == ["14ffffff"]
    tail = [e.request.payload.hex() for e in traffic(result).exchanges if e.request.payload[:1] in (b"\x14", b"\x22")]
    at = tail.index("14ffffff")
    assert tail[at + 1 : at + 3] == ["22f18c", "22f190"]


def test_preconditions_are_asked_before_programming(runner: Runner, changed_job: ChangedJob) -> None:
    recipe = {
        '"dtc_off", "communication_off",': '"check_preconditions", "dtc_off", "communication_off",',
        "confirm = 0x0204": "confirm = 0x0204\ncheck_preconditions = 0x0207",
    }
    result = runner.run(changed_job(*VAN, {RECIPE: recipe}))
    assert_good(result)
    heads = [exchange.request.payload[:2].hex() for exchange in traffic(result).exchanges]
    assert len(requests(result, "31010207")) == 1
    assert heads.index("3101") < heads.index("1002")
