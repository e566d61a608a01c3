"""What the boot manager runs: only what is marked, whole, signed, for this hardware and no downgrade."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.core.defects import Defect
from bench.trust.keys import public_key, signing_key
from ecu_sim.boot import manager
from ecu_sim.boot.manager import Role, Trust, after_choice, candidates
from ecu_sim.defects import DEFECTS
from ecu_sim.ecu import SimEcu
from ecu_sim.memory.dtcs import Dtc, DtcMemory
from ecu_sim.memory.nvm import NvmRecord
from ecu_sim.network.node import ApplicationNetwork
from ecu_sim.personality.geometry import header_region, image_region, mark_region
from ecu_sim.uds.routines import ApplicationRoutines, BootloaderRoutines

BODY, GATEWAY = "body_controller", "gateway"


def put(car: Any, image: Any, bank: str = "A", *, mark: bool = True) -> None:
    """Lay an image into flash as it is, right or wrong."""
    flash = car.memory.flash
    flash.preload(image_region(bank), 0, image.data)
    flash.preload(header_region(bank), 0, image.header.encode())
    if mark:
        flash.preload(mark_region(bank), 0, b"OTABENCH-VALID-1")


def test_genuine_image_is_executed_and_recorded(drive: Any) -> None:
    async def story(car: Any) -> None:
        assert await car.version() == "1.0.0"
        (execution,) = car.world.recorder.executions
        image = car.image("1.0.0", 1)
        assert execution.header == image.header.encode()
        assert execution.image_sha256 == image.header.sha256.hex()
        assert (execution.bank, execution.entry_address, execution.release_floor) == ("A", 0, 1)
        assert [b.stage for b in car.world.recorder.boots] == ["boot_manager", "application"]

    drive(story)


def test_boot_takes_boot_manager_verification_and_application_time(drive: Any) -> None:
    async def story(car: Any) -> None:
        car.node.power_on()
        await car.wait_ms(100)
        manager, application = car.world.recorder.boots
        assert application.t_ns - manager.t_ns == (20 + 4096 // 4096) * 1_000_000

    drive(story, cold=True)


def wrong_signature(car: Any) -> Any:
    return car.image(key=signing_key("somebody else"))


def wrong_hardware(car: Any) -> Any:
    return car.image(hardware_id="OTHER-HW-99")


def downgrade(car: Any) -> Any:
    nvm = car.vehicle.memory("ecu").nvm
    nvm.preload(replace(nvm.record, release_floor=3))
    return car.image(counter=2)


def wrong_byte(car: Any) -> Any:
    image = car.image()
    return replace(image, data=image.data[:100] + bytes((image.data[100] ^ 1,)) + image.data[101:])


def wrong_length(car: Any) -> Any:
    image = car.image()
    header = replace(image.header, length=0x40001)
    return replace(image, header=header.with_signature(signing_key("image").sign(header.signed_part())))


@pytest.mark.parametrize("make", [wrong_signature, wrong_hardware, downgrade, wrong_byte, wrong_length])
def test_wrong_image_stays_in_the_bootloader(drive: Any, make: Any) -> None:
    async def story(car: Any) -> None:
        put(car, make(car))
        await car.awake()
        assert car.stages() == [("bootloader", None)]
        assert car.world.recorder.executions == []
        assert await car.version() is None
        assert f"{Dtc.NOT_PROGRAMMED:06X}2F" in (await car.good("190201")).hex().upper()

    drive(story, installed=False, cold=True)


def test_image_without_mark_stays_in_the_bootloader(drive: Any) -> None:
    async def story(car: Any) -> None:
        put(car, car.image(), mark=False)
        await car.awake()
        assert car.stages() == [("bootloader", None)]

    drive(story, installed=False, cold=True)


def test_blank_ecu_stays_in_the_bootloader_and_answers(drive: Any) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("22F186") == "62 F1 86 01"

    drive(story, installed=False)


def test_mark_with_one_flipped_bit_does_not_boot(drive: Any) -> None:
    async def story(car: Any) -> None:
        car.memory.flash.flip_bit(mark_region("A"), 3, 0)
        await car.awake()
        assert car.stages() == [("bootloader", None)]

    drive(story, cold=True)


def test_flipped_bit_in_the_image_is_found_at_the_next_boot(drive: Any) -> None:
    async def story(car: Any) -> None:
        car.vehicle.flip_bit("ecu", "A", 0x123, 5)
        await car.good("1101")
        await car.wait_ms(400)
        assert car.stages() == [("application", "A"), ("bootloader", None)]

    drive(story)


@pytest.mark.parametrize(
    ("defect", "make"),
    [
        ("ecu-boot-no-verification", wrong_byte),
        ("ecu-boot-no-verification", wrong_signature),
        ("ecu-boot-no-signature", wrong_signature),
        ("ecu-boot-no-hardware-check", wrong_hardware),
    ],
)
def test_planted_defect_lets_the_wrong_image_run_and_is_gone_afterwards(drive: Any, defect: str, make: Any) -> None:
    async def story(car: Any) -> None:
        put(car, make(car))
        await car.awake()
        assert car.stages() == [("application" if planted else "bootloader", "A" if planted else None)]

    (chosen,) = [known for known in DEFECTS if known.id == defect]
    planted = True
    with chosen.apply():
        drive(story, installed=False, cold=True)
    planted = False
    drive(story, installed=False, cold=True)


def test_defect_without_signature_check_still_checks_the_hash(drive: Any) -> None:
    async def story(car: Any) -> None:
        put(car, wrong_byte(car))
        await car.awake()
        assert car.stages() == [("bootloader", None)]

    (chosen,) = [known for known in DEFECTS if known.id == "ecu-boot-no-signature"]
    with chosen.apply():
        drive(story, installed=False, cold=True)


def patched() -> list[object]:
    """Everything that a defect takes the place of."""
    checks = ("signature_ok", "hash_ok", "hardware_ok", "release_ok", "may_run_again", "candidates")
    routines = [BootloaderRoutines.activate, ApplicationRoutines.confirm]
    # through __dict__, since a partialmethod gives another object at each look
    around = [vars(SimEcu)["_listen"], vars(ApplicationNetwork)["_sends_frames"], DtcMemory.clear]
    return [*(getattr(manager, name) for name in checks), *routines, *around]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.id)
def test_defect_is_planted_and_restored_after_an_error(defect: Defect) -> None:
    genuine = patched()

    def fail() -> None:
        with defect.apply():
            assert patched() != genuine
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert patched() == genuine


def test_same_check_serves_boot_and_check_memory(drive: Any) -> None:
    async def story(car: Any) -> None:
        assert manager.bootable(car.memory, "A", Trust(public_key("image"), "BCM-HW-03")) is None
        assert manager.bootable(car.memory, "A", Trust(public_key("image"), "other")) is manager.Problem.HARDWARE
        assert manager.bootable(car.memory, "A", Trust(public_key("x"), "BCM-HW-03")) is manager.Problem.SIGNATURE

    drive(story)


# A/B ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (NvmRecord(active_bank="A"), ["A active", "B fallback"]),
        (NvmRecord(active_bank="B"), ["B active", "A fallback"]),
        (NvmRecord(active_bank="A", trial_bank="B", trial_boots=2), ["B trial", "A active"]),
        (NvmRecord(active_bank="A", trial_bank="B", trial_boots=3), ["A active", "B fallback"]),
    ],
)
def test_candidates_come_trial_first_while_it_has_boots_left(record: NvmRecord, expected: list[str]) -> None:
    assert [f"{bank} {role}" for bank, role in candidates(record, ("A", "B"), 3)] == expected


def test_after_choice_counts_trial_boots_and_gives_up_a_passed_over_trial() -> None:
    record = NvmRecord(active_bank="A", trial_bank="B", trial_boots=1)
    assert after_choice(record, "B", Role.TRIAL).trial_boots == 2
    assert after_choice(record, "A", Role.ACTIVE).trial_bank is None
    assert after_choice(NvmRecord(active_bank="A"), "B", Role.FALLBACK).active_bank == "B"


def test_unconfirmed_trial_reverts_after_three_boots(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image())
        assert await car.version() == "2.0.0"
        for _ in range(3):
            await car.good("1101")
            await car.wait_ms(300)
        assert await car.version() == "1.0.0"
        applications = [bank for stage, bank in car.stages() if stage == "application"]
        assert applications == ["A", "B", "B", "B", "A"]
        assert car.memory.nvm.record == replace(NvmRecord(active_bank="A"), release_floor=1)

    drive(story, GATEWAY)


def test_confirmed_trial_stays_and_raises_the_floor(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image())
        assert car.memory.nvm.record.release_floor == 1
        await car.confirm()
        assert car.memory.nvm.record == NvmRecord(active_bank="B", release_floor=2)
        for _ in range(4):
            await car.good("1101")
            await car.wait_ms(300)
        assert await car.version() == "2.0.0"

    drive(story, GATEWAY)


def test_second_update_goes_to_the_other_bank(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image())
        await car.confirm()
        await car.flash(car.image("3.0.0", 3))
        await car.confirm()
        assert await car.version() == "3.0.0"
        assert car.memory.nvm.record.active_bank == "A"

    drive(story, GATEWAY)


def test_reset_into_the_bootloader_does_not_use_up_a_trial_boot(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image())
        await car.programming()
        assert car.memory.nvm.record.trial_boots == 1

    drive(story, GATEWAY)


def test_new_erase_gives_up_an_unconfirmed_trial(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image())
        await car.programming()
        await car.erase(car.image())
        assert car.memory.nvm.record.trial_bank is None
        car.node.cut("test")
        await car.awake()
        assert await car.version() == "1.0.0"

    drive(story, GATEWAY)


def test_rotten_active_bank_falls_back_to_the_other_one_and_stays_there(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image("2.0.0", 1))
        await car.confirm()
        car.vehicle.flip_bit("ecu", "B", 0, 0)
        await car.good("1101")
        await car.wait_ms(400)
        assert await car.version() == "1.0.0"
        assert car.memory.nvm.record.active_bank == "A"
        assert car.memory.target_bank == "B"

    drive(story, GATEWAY)


def test_image_below_the_floor_is_no_fallback(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image())
        await car.confirm()
        car.vehicle.flip_bit("ecu", "B", 0, 0)
        await car.good("1101")
        await car.wait_ms(400)
        assert await car.version() is None

    drive(story, GATEWAY)


def test_confirm_on_a_single_bank_raises_the_floor_once(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image(counter=5))
        await car.confirm()
        await car.confirm()
        assert car.memory.nvm.record.release_floor == 5
        assert [e.kind for e in car.world.journal.entries()].count("nvm.write") == 1

    drive(story)
