"""An interrupted download goes on from what the ECU holds: nothing that stands in flash is erased or sent again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from bench.oracle.decode_download import Download
from bench.oracle.decode_isotp import split
from bench.oracle.decode_uds import listen
from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner

IMAGE_BYTES, SECTOR_BYTES, UNIT_BYTES = 32768, 16384, 256
WithFaults = Callable[..., Job]


@pytest.fixture(scope="module")
def job(changed_job: Callable[..., Job]) -> Job:
    """The healthy update of the one-ECU van, whose body controller says how far a download is."""
    changes = {
        "ecus/body_controller.toml": {"name =": "resume = true\nname ="},
        "recipes/single_bank.toml": {"confirm = 0x0204": "confirm = 0x0204\nreport_progress = 0x0205"},
    }
    return changed_job("healthy_van", "sim_van", changes)


def erased(result: RunResult) -> Counter[int]:
    """Return how often each image sector was erased."""
    count: Counter[int] = Counter()
    for event in (json.loads(line) for line in result.journal if b'"flash.erase"' in line):
        if event["payload"].startswith("image:"):
            first, last = map(int, event["payload"].split()[-1].split(".."))
            count.update(range(first, last + 1))
    return count


def image_downloads(result: RunResult) -> list[Download]:
    layout = result.record.layouts[0]
    found = listen(split(result.record.frames.items), layout).downloads
    return [download for download in found if download.address != layout.header_address]


def reached(result: RunResult) -> bool:
    version = [r.value for r in result.record.readings.items if r.did == 0xF189]
    return result.as_expected and version == [b"2.0.0"]


def test_cut_between_two_blocks_goes_on_behind_the_last_one_without_a_second_erase(
    runner: Runner, job: Job, with_faults: WithFaults
) -> None:
    result = runner.run(with_faults(job, "power.ecu:body:request:middle:phase=transfer", restore_after_ms=200))
    assert reached(result)
    assert erased(result) == {0: 1, 1: 1}
    first, second = image_downloads(result)
    assert second.address == first.address + len(first.data)
    assert second.size_bytes == IMAGE_BYTES - len(first.data)
    assert len(first.data) >= 4 * 15 * UNIT_BYTES


def test_torn_unit_is_never_held_and_costs_its_own_sector_only(
    runner: Runner, job: Job, with_faults: WithFaults
) -> None:
    result = runner.run(with_faults(job, "power.ecu:body:program:7:torn=3", restore_after_ms=200))
    assert reached(result)
    assert erased(result) == {0: 1, 1: 2}, "the torn unit lies in the second sector"
    assert image_downloads(result)[1].address == SECTOR_BYTES


def test_cut_after_the_image_leaves_only_the_header_to_be_sent(
    runner: Runner, job: Job, with_faults: WithFaults
) -> None:
    result = runner.run(with_faults(job, "power.ecu:body:request:1:phase=header", restore_after_ms=200))
    assert reached(result)
    assert erased(result) == {0: 1, 1: 1}
    assert len(image_downloads(result)) == 1


@pytest.mark.parametrize("where", ["program:last:phase=header:torn=0", "program:last:phase=check:torn=0"])
def test_torn_header_or_mark_erases_no_image_sector(
    runner: Runner, job: Job, with_faults: WithFaults, where: str
) -> None:
    result = runner.run(with_faults(job, f"power.ecu:body:{where}", restore_after_ms=200))
    assert reached(result)
    assert erased(result) == {0: 1, 1: 1}
    assert len(image_downloads(result)) == 1


@pytest.mark.parametrize("torn", [0, 1])
def test_broken_erase_is_done_again(runner: Runner, job: Job, with_faults: WithFaults, torn: int) -> None:
    result = runner.run(with_faults(job, f"power.ecu:body:erase:3:torn={torn}", restore_after_ms=200))
    assert reached(result)
    assert len(image_downloads(result)) == 1


def test_agent_that_loses_power_in_the_middle_of_the_transfer_goes_on_from_there(
    runner: Runner, job: Job, with_faults: WithFaults
) -> None:
    result = runner.run(with_faults(job, "power.agent:agent:frame:3000", restore_after_ms=4000))
    assert reached(result)
    assert erased(result) == {0: 1, 1: 1}
    first, second = image_downloads(result)
    assert second.address == first.address + len(first.data) > SECTOR_BYTES


def test_lost_session_in_the_middle_of_the_transfer_goes_on_from_there(
    runner: Runner, job: Job, with_faults: WithFaults
) -> None:
    """The agent is away for longer than S3: the bootloader has left the programming session meanwhile."""
    result = runner.run(with_faults(job, "power.agent:agent:frame:3000", restore_after_ms=20_000))
    assert reached(result)
    assert erased(result) == {0: 1, 1: 1}
    assert len(image_downloads(result)) == 2


def test_cut_anywhere_in_the_job_ends_in_the_target_and_erases_at_most_one_sector_again(
    runner: Runner, job: Job, with_faults: WithFaults
) -> None:
    """Every second program operation, torn in its first, a middle and its last unit, and every fourth request."""
    points = runner.golden(job).points
    programs = [o for o in points["body", "program"] if o.phase == "transfer"]
    cuts = [f"program:{o.n}:torn={torn}" for o in programs[::2] for torn in (0, o.units // 2, o.units - 1)]
    cuts += [f"request:{o.n}{where}" for o in points["body", "request"][::4] for where in ("", ":after")]
    for cut in cuts:
        result = runner.run(with_faults(job, f"power.ecu:body:{cut}", restore_after_ms=200))
        assert reached(result), cut
        assert all(times <= 2 for times in erased(result).values()), cut
        assert sum(erased(result).values()) <= 3, cut
