"""Power cuts all over an update of every personality, in small; in full by `make cuts`."""

from __future__ import annotations

from typing import Any

import pytest

from ecu_sim.boot import manager
from ecu_sim.memory.flash import Flash
from tests.soak.cuts import Cut, every_cut, operations, run_chunk, run_cut, some_cuts
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
        own = [cut.where for cut in cuts if (cut.event, cut.n) == operation[:2]]
        assert [where for where in own if "torn" in where] == [f"torn={k}" for k in range(operation.units)]


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
