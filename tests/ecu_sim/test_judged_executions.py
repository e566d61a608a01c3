"""What an ECU executes is on record from the first instant to the last, and the oracle's own decoders judge it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from bench.core.clock import NS_PER_MS
from bench.oracle.result import Verdict
from bench.trust.keys import signing_key
from ecu_sim.defects import DEFECTS
from ecu_sim.personality.geometry import BOOT_REGION
from tests.ecu_sim.judged import record_of
from tests.ecu_sim.test_bootloader_update import new_bootloader, put_in_shadow, update
from tests.oracle.oracle_vectors import authentic, replace, whole

BODY, GATEWAY = "body_controller", "gateway"


def spans(car: Any) -> list[tuple[str, str | None]]:
    """Bank and end cause of every execution, in order."""
    recorder = car.world.recorder
    runs = sorted((*recorder.executions, *recorder.bootloader_runs), key=lambda run: run.t_ns)
    return [(run.bank, run.end_cause) for run in runs]


@pytest.mark.parametrize("personality", [BODY, GATEWAY])
def test_flash_is_on_record_as_executions_that_follow_each_other(drive: Any, personality: str) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image())
        car.node.cut("pulled")
        new = "A" if personality == BODY else "B"
        assert spans(car) == [("A", "programming asked"), ("boot", "reset"), (new, "pulled")]
        record = record_of(car, car.image("1.0.0", 1), car.image())
        runs = sorted((*(record.executions.items), *(record.bootloader_runs.items)), key=lambda run: run.t_ns)
        for before, after in pairwise(runs):
            assert before.ended_t_ns is not None
            assert before.t_ns < before.ended_t_ns < after.t_ns
            assert after.t_ns - before.ended_t_ns >= 20 * NS_PER_MS, "the boot manager runs in between"
        assert whole(record).verdict is Verdict.PASS

    drive(story, personality)


def test_execution_goes_on_while_nothing_ends_it(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.wait_ms(5_000)
        assert spans(car) == [("A", None)]

    drive(story)


def test_reset_by_0x11_and_brown_out_are_told_apart(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1101")
        await car.wait_ms(300)
        car.vehicle.cut_power("ecu", "brown-out in test")
        assert spans(car) == [("A", "reset"), ("A", "brown-out in test")]

    drive(story)


def test_updated_bootloader_is_authentic_and_nothing_was_changed_while_it_ran(drive: Any) -> None:
    async def story(car: Any) -> None:
        await update(car, new_bootloader())
        await car.good("1003")
        await car.good("1002")
        await car.wait_ms(300)
        record = record_of(car, car.image("1.0.0", 1))
        headers = [run.header[72:104].rstrip(b"\0") for run in record.bootloader_runs.items]
        assert headers == [b"OTABENCH-BOOT-1.0", b"BOOT-2.0"]
        bootloaders = replace(record, executions=(), boots=())
        assert authentic(bootloaders).verdict is Verdict.PASS
        assert whole(record).verdict is Verdict.PASS
        assert whole(bootloaders).verdict is not Verdict.FAIL

    drive(story, GATEWAY)


def test_foreign_bootloader_that_a_defect_lets_in_is_not_authentic(drive: Any) -> None:
    async def story(car: Any) -> None:
        await update(car, new_bootloader(key=signing_key("somebody else")))
        await car.good("1003")
        await car.good("1002")
        await car.wait_ms(300)
        found = authentic(record_of(car, car.image("1.0.0", 1)))
        assert found.verdict is Verdict.FAIL
        assert "bank boot" in str(found.evidence)
        assert "signature is not by the image key" in str(found.evidence)

    (defect,) = [known for known in DEFECTS if known.id == "ecu-boot-no-signature"]
    with defect.apply():
        drive(story, GATEWAY)


def test_bootloader_that_overwrites_itself_breaks_whole(drive: Any) -> None:
    """Planted by hand: a life that is no boot manager unlocks the region it runs from."""

    async def story(car: Any) -> None:
        await put_in_shadow(car, new_bootloader())
        assert whole(record_of(car, car.image("1.0.0", 1))).verdict is not Verdict.FAIL
        life, flash = car.node.incarnation, car.memory.flash
        flash.unlock(life, BOOT_REGION)
        life.spawn(flash.program(life, BOOT_REGION, 0x8000, bytes(512)), "planted")
        await car.wait_ms(50)
        found = whole(record_of(car, car.image("1.0.0", 1)))
        assert found.verdict is Verdict.FAIL
        assert "while it executed from there" in found.sentence

    drive(story, GATEWAY)


def test_rotten_bootloader_is_not_run_from_its_place_and_the_record_says_so(drive: Any) -> None:
    async def story(car: Any) -> None:
        await update(car, new_bootloader())
        car.memory.flash.flip_bit(BOOT_REGION, 300, 1)
        await car.good("1003")
        await car.good("1002")
        await car.wait_ms(300)
        record = record_of(car, car.image("1.0.0", 1))
        assert (record.bootloader_runs.items)[-1].bank == "boot_shadow"
        assert authentic(record).verdict is not Verdict.FAIL
        assert whole(record).verdict is Verdict.PASS

    drive(story, GATEWAY)
