"""Power cuts all over an update of every personality, in small; in full by `make cuts`."""

from __future__ import annotations

from typing import Any

import pytest

from ecu_sim.boot import manager
from ecu_sim.memory.flash import Flash
from ecu_sim.memory.torn import RULES, TornReads
from tests.soak.cut_points import NEW, Cut, every_cut, operations, some_cuts
from tests.soak.cuts import run_chunk, run_cut
from tests.soak.lab import personality_names

NAMES = personality_names()


@pytest.mark.parametrize("name", NAMES)
def test_ecu_answers_and_takes_the_next_update_wherever_its_power_was_cut(name: str) -> None:
    cuts = some_cuts(name)
    result = run_chunk(name, cuts)
    assert result.failures == ()
    assert len(result.outcomes) == len(cuts)
    assert any(outcome.torn_bytes for outcome in result.outcomes)


@pytest.mark.parametrize("name", NAMES)
def test_golden_run_has_every_kind_of_operation_and_each_is_cut_in_every_unit(name: str) -> None:
    found = operations(name)
    assert {operation.event for operation in found} == {"erase", "program", "boot", "nvm"}
    cuts = every_cut(name)
    assert len(set(map(str, cuts))) == len(cuts)
    for operation in found:
        own = [cut for cut in cuts if cut.first is None and (cut.event, cut.n) == operation[:2]]
        assert dict.fromkeys(cut.where for cut in own if "torn" in cut.where) == dict.fromkeys(
            f"torn={k}" for k in range(operation.units)
        )
        least = 1 if operation.event == "boot" else 2 if operation.region.startswith("image:") else len(RULES)
        assert all(len({cut.reads for cut in own if cut.where == f"torn={k}"}) >= least for k in range(operation.units))


@pytest.mark.parametrize("name", NAMES)
def test_marks_headers_and_nvm_records_are_torn_in_every_reading_and_so_are_the_boots_after_a_cut(name: str) -> None:
    regions = {operation.region.partition(":")[0] for operation in operations(name) if operation.event == "program"}
    assert regions >= {"mark", "header", "image"}
    second = [cut for cut in every_cut(name) if cut.first is not None]
    assert {cut.reads for cut in second} == set(RULES)
    assert {cut.event for cut in second} >= {"boot", "nvm"}
    assert {cut.where for cut in second if cut.event == "boot"} == {"before", "torn=0", "torn=1", "after"}


def test_reading_of_a_cut_is_what_the_torn_cells_read_as() -> None:
    """A validity mark that reads as valid boots the new software, one that does not leaves the bootloader."""
    last = [operation for operation in operations("body_controller") if operation.event == "program"][-1]
    found = {reads: run_cut("body_controller", Cut("program", last.n, "torn=0", 0, reads)).version for reads in RULES}
    assert found[TornReads.VALID] == NEW
    assert {found[reads] for reads in (TornReads.MIXED, TornReads.INVALID, TornReads.ECC_ERROR)} == {None}


def test_second_cut_that_never_comes_is_caught() -> None:
    first = Cut("erase", 1, "torn=0")
    with pytest.raises(AssertionError, match="second cut never came"):
        run_cut("body_controller", Cut("boot", 99, "before", first=first))


def test_torn_unit_that_nobody_can_see_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flash, "torn", lambda *_: ())
    with pytest.raises(AssertionError, match="0 bytes are torn"):
        run_cut("body_controller", Cut("program", 1, "torn=2"))


def test_ecu_that_stays_silent_after_the_power_returned_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = manager.choose

    async def slow(life: Any, memory: Any, *more: Any) -> Any:
        if not manager.any_bootable(memory, *more[:1]):
            await life.sleep_ns(600_000_000)
        return await genuine(life, memory, *more)

    monkeypatch.setattr(manager, "choose", slow)
    with pytest.raises(AssertionError, match="silent for 500 ms"):
        run_cut("body_controller", Cut("erase", 2, "before"))


def test_cut_that_never_comes_is_caught() -> None:
    with pytest.raises(AssertionError, match="never came"):
        run_cut("body_controller", Cut("erase", 99, "before"))
