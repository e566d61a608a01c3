"""Boot and A/B against a small model: updates, trial boots, confirmations, cuts, rot and forged images in any order.

What the model knows: which banks hold an image that may run, and the floor. Nothing else may ever run; as long as one
may, an application answers; the bootloader's memory never changes, and the ECU always answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.trust.keys import signing_key
from ecu_sim.memory.banks import VALID_MARK
from ecu_sim.memory.nvm import NvmRecord
from ecu_sim.personality.geometry import header_region, image_region, mark_region
from tests.effort import effort
from tests.soak.lab import SMALL_IMAGE_BYTES, image, kinds, open_lab, personality_names

PROBLEMS = ("signature", "hardware", "hash", "mark")


@dataclass(frozen=True)
class Held:
    """What stands in a bank: its release counter, and whether it is whole, signed and for this ECU."""

    header: bytes
    counter: int
    genuine: bool


class BootMachine(RuleBasedStateMachine):
    """One ECU; `banks` is the model of its flash, `floor` the smallest release counter that may run."""

    name = "gateway"

    def __init__(self) -> None:
        super().__init__()
        self.lab = open_lab(self.name)
        self.names = [bank.name for bank in kinds()[self.name].personality.banks]
        self.banks: dict[str, Held | None] = dict.fromkeys(self.names)
        self.floor = self.executed = 0
        self.known: dict[bytes, Held] = {}
        signed = image(self.name, "1.0.0", 1, SMALL_IMAGE_BYTES)
        self.lab.install()
        self.banks[self.names[0]] = self._learn(Held(signed.header.encode(), 1, True))
        self.floor = 1
        self.bootloader = self._protected()
        self.lab.do(self._boot())

    def teardown(self) -> None:
        self.lab.close()

    def _learn(self, held: Held) -> Held:
        self.known[held.header] = held
        return held

    def _protected(self) -> list[bytes]:
        flash, regions = self.lab.memory.flash, self.lab.kind.personality.regions()
        return [flash.raw(region.name, 0, region.size_bytes) for region in regions if region.protected]

    def _may_run(self) -> set[str]:
        found = {name: held for name, held in self.banks.items() if held is not None}
        return {name for name, held in found.items() if held.genuine and held.counter >= self.floor}

    async def _boot(self, *, off_ms: int = 10) -> None:
        """Take the power away and give it back; the ECU answers in time, and what runs is allowed."""
        await self._power_cycle(off_ms)
        await self._what_runs()

    async def _power_cycle(self, off_ms: int) -> None:
        self.lab.node.cut("test")
        await self.lab.wait_ms(off_ms)
        self.lab.node.power_on()
        limit_ms = self.lab.kind.personality.boot.time_limit_ms
        assert await self.lab.answers_within(limit_ms) is not None, "silent"

    async def _what_runs(self) -> None:
        runs = await self.lab.version() is not None
        assert runs is bool(self._may_run()), f"application {runs}, but {self._may_run()} may run"

    def _whole(self) -> list[str]:
        return [name for name in self.names if (held := self.banks[name]) is not None and held.genuine]

    def _target(self) -> str:
        """Return the bank that an update ends up in: external flash is only on the way."""
        bank = self.lab.memory.target_bank
        return bank if bank in self.names else self.names[0]

    # Rules ------------------------------------------------------------------------------------------

    @rule(counter=st.integers(0, 5))
    def update(self, counter: int) -> None:
        """The flasher's whole job: it succeeds unless the image is below the floor."""
        signed = image(self.name, f"{counter + 1}.5.0", counter, SMALL_IMAGE_BYTES)
        self.lab.do(self._update(signed, counter))

    async def _update(self, signed: SignedImage, counter: int) -> None:
        bank = self._target()
        before = self.banks[bank]
        flashing = self.lab.begin_flash(signed)
        await flashing.done
        self.banks[bank] = self._learn(Held(signed.header.encode(), counter, True))
        assert (flashing.failure is None) is (counter >= self.floor), flashing.failure
        if flashing.failure is not None:  # without its mark it may not run, floor or not
            self.banks[bank] = before if self.lab.memory.mark(bank) == VALID_MARK else None
            await self._boot()

    @rule()
    def confirm(self) -> None:
        """The floor rises to the counter of what runs, and only then."""
        self.lab.do(self._confirm())

    async def _confirm(self) -> None:
        if await self.lab.version() is None:
            return
        header = self.lab.world.recorder.executions[-1].header
        await self.lab.ask(b"\x10\x03")
        answer = await self.lab.ask(b"\x31\x01\x02\x04")
        assert answer == b"\x71\x01\x02\x04\x00"
        self.floor = max(self.floor, self.known[header].counter)

    @rule(after_ms=st.integers(0, 80), times=st.integers(1, 4))
    def cut_while_booting(self, after_ms: int, times: int) -> None:
        async def story() -> None:
            for _ in range(times):
                self.lab.node.cut("test")
                await self.lab.wait_ms(1)
                self.lab.node.power_on()
                await self.lab.wait_ms(after_ms)
            await self._boot()

        self.lab.do(story())

    @rule(step=st.integers(1, 30), after=st.booleans())
    def cut_while_updating(self, step: int, after: bool) -> None:
        """The power goes at a request of a job; what is in the target bank then, its own cells say."""
        self.lab.do(self._cut_update(step, after))

    async def _cut_update(self, step: int, after: bool) -> None:
        counter = self.floor + 1
        signed = image(self.name, f"{counter}.9.0", counter, SMALL_IMAGE_BYTES)
        bank = self._target()
        flashing = self.lab.begin_flash(signed)

        def lose_power() -> None:
            if not flashing.done.done():
                self.lab.node.cut("test")
                flashing.stop()

        requests = self.lab.world.points.counter(self.lab.id, "request")
        requests.arm(requests.n + step, "after" if after else "before", None, lose_power)
        await flashing.done
        held = self._learn(Held(signed.header.encode(), counter, True))
        await self._power_cycle(10)  # a boot may finish what was staged
        if flashing.report is not None or self._is_whole(bank, signed):
            self.banks[bank] = held
        elif not self._is_as_it_was(bank):
            self.banks[bank] = None
        await self._what_runs()

    def _is_whole(self, bank: str, signed: SignedImage) -> bool:
        flash = self.lab.memory.flash
        return (
            flash.raw(mark_region(bank), 0, len(VALID_MARK)) == VALID_MARK
            and flash.raw(header_region(bank), 0, 256) == signed.header.encode()
            and flash.raw(image_region(bank), 0, len(signed.data)) == signed.data
        )

    def _is_as_it_was(self, bank: str) -> bool:
        held = self.banks[bank]
        return held is not None and self.lab.memory.mark(bank) == VALID_MARK

    @rule(problem=st.sampled_from(PROBLEMS), counter=st.integers(0, 9), data=st.data())
    def put_something_else_into_a_bank(self, problem: str, counter: int, data: Any) -> None:
        """Somebody with a programmer: an image that nobody signed, for other hardware, rotten, or without its mark."""
        bank = data.draw(st.sampled_from(self.names))
        self._preload(bank, problem, counter)
        self.lab.do(self._boot())

    def _preload(self, bank: str, problem: str, counter: int) -> None:
        kind, flash = self.lab.kind, self.lab.memory.flash
        key = signing_key("forger" if problem == "signature" else "image")
        signed = sign_image(
            demo_payload(2, "ecu", f"{counter}", SMALL_IMAGE_BYTES),
            hardware_id="OTHER-HW" if problem == "hardware" else kind.entry.hardware_id,
            software_id=kind.entry.software_id, version=f"6.6.{counter}", release_counter=counter,
            load_address=kind.recipe.memory.region_base, key=key,
        )  # fmt: skip
        body = bytes((signed.data[0] ^ 1,)) + signed.data[1:] if problem == "hash" else signed.data
        mark = b"\xff" * len(VALID_MARK) if problem == "mark" else VALID_MARK
        for region, content in ((mark_region(bank), mark), (header_region(bank), signed.header.encode())):
            flash.preload(region, 0, content)
        flash.preload(image_region(bank), 0, body)
        self.banks[bank] = self._learn(Held(signed.header.encode(), counter, False))

    @precondition(lambda self: self._whole())
    @rule(at=st.integers(0, SMALL_IMAGE_BYTES - 1), bit=st.integers(0, 7), data=st.data())
    def rot(self, at: int, bit: int, data: Any) -> None:
        """One bit of an image flips: it may not run again."""
        bank = data.draw(st.sampled_from(self._whole()))
        held = self.banks[bank]
        assert held is not None
        self.lab.memory.flash.flip_bit(image_region(bank), at, bit)
        self.banks[bank] = replace(held, genuine=False)
        self.lab.do(self._boot())

    # What must hold always --------------------------------------------------------------------------

    @invariant()
    def only_what_may_run_has_run(self) -> None:
        executions = self.lab.world.recorder.executions
        for execution in executions[self.executed :]:
            held = self.known[execution.header]
            assert held.counter >= execution.release_floor, "an image below the floor ran"
        self.executed = len(executions)

    @invariant()
    def floor_is_the_models_and_the_bootloader_is_as_it_was(self) -> None:
        record: NvmRecord = self.lab.memory.nvm.record
        assert record.release_floor == self.floor
        assert self._protected() == self.bootloader
        assert self.lab.memory.flash.driver_faults == []


SETTINGS = settings(
    max_examples=effort(15, 100), stateful_step_count=15, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip


@pytest.mark.effort
@pytest.mark.parametrize("name", personality_names())
def test_ecu_runs_only_what_may_run_and_always_answers(name: str) -> None:
    run_state_machine_as_test(type("Machine", (BootMachine,), {"name": name}), settings=SETTINGS)
