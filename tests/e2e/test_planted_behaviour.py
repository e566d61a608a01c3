"""Misconduct that used to pass, planted one by one into agent, ECU and server: the invariant it breaks must fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import dm_server.admin
from bench.agent.dm_client import DmClient
from bench.core.node import Incarnation
from bench.flasher import group
from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner
from dm_server.store import Unit
from dm_server.twin import fold
from ecu_sim.boot import manager
from ecu_sim.supply import Supply
from ecu_sim.uds.security import SecurityLock
from ecu_sim.uds.transfer import Transfer

Load = Callable[..., Job]
Failed = Callable[[RunResult], set[str]]


def sentence(result: RunResult, invariant: str) -> str:
    return next(found.sentence for found in result.verdict.invariants if found.id == invariant)


def test_an_agent_that_never_confirms_its_registration_fails_truthful(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_self: DmClient, _account: object) -> None:
        return None

    monkeypatch.setattr(DmClient, "confirm_registration", silent)
    result = fresh_runner.run(load("healthy"))
    assert "truthful" in failed(result)
    assert sentence(result, "truthful").startswith("the vehicle never said that its registration is complete")


def test_an_agent_that_polls_ten_times_as_often_fails_tidy(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = Incarnation.sleep_ns

    async def hasty(self: Incarnation, duration_ns: int) -> None:
        await genuine(self, duration_ns // 10 if self.part == "agent" and duration_ns == 30 * 10**9 else duration_ns)

    monkeypatch.setattr(Incarnation, "sleep_ns", hasty)
    result = fresh_runner.run(load("healthy"))
    assert failed(result) == {"tidy"}
    assert "too soon" in sentence(result, "tidy")


def test_an_ecu_whose_seeds_repeat_fails_authentic(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SecurityLock, "_new_seed", lambda _self: bytes(range(1, 9)))
    result = fresh_runner.run(load("power_cut_ecu"))  # the second try asks for a seed again
    assert failed(result) == {"authentic"}
    assert "the same seed for two attempts" in sentence(result, "authentic")


def test_a_bootloader_that_programs_at_too_low_a_voltage_fails_silent(
    fresh_runner: Runner, load: Load, with_faults: Callable[..., Job], failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supply, "refusal", lambda _self: None)
    job = with_faults(load("supply_dip"), "supply:body:erase:first", profile="dip", time_scale=1.0)
    result = fresh_runner.run(job)
    assert "silent" in failed(result)
    assert "mV" in sentence(result, "silent")


def test_a_server_whose_twin_forgets_an_ecu_fails_truthful(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(*arguments: Any) -> Any:
        twin = fold(*arguments)
        return replace(twin, ecus={ecu: version for ecu, version in twin.ecus.items() if ecu != "body"})

    monkeypatch.setattr(dm_server.admin, "fold", forgetful)
    result = fresh_runner.run(load("healthy"))
    assert failed(result) == {"truthful"}
    assert sentence(result, "truthful") == "the server's view of the ECUs differs from its own log"


def test_a_store_that_loses_its_last_events_fails_truthful(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = Unit.log
    monkeypatch.setattr(Unit, "log", lambda self, vin: list(genuine(self, vin))[:-2])
    result = fresh_runner.run(load("healthy"))
    assert "truthful" in failed(result)


def test_a_bootloader_that_marks_an_image_before_its_check_fails_authentic(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = Transfer.request_transfer_exit

    async def eager(self: Any, request: Any) -> Any:
        answer = await genuine(self, request)
        bank = next(bank.name for bank in self._memory.personality.banks)
        if len(self._memory.personality.banks) == 1 and not self._memory.mark_stands(bank):
            await self._memory.program_mark(self._life, bank)
        return answer

    monkeypatch.setattr(Transfer, "request_transfer_exit", eager)
    result = fresh_runner.run(load("healthy"))
    assert "authentic" in failed(result)
    assert sentence(result, "authentic") == "body marked an image as valid before it was checked"


def test_a_tester_whose_tester_present_never_ends_fails_tidy(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(self: Any, first: Any) -> None:
        while True:
            await first.clock.sleep_ns(2 * 10**9)
            await self.link.send(b"\x3e\x80")

    async def forgotten(_beat: object) -> None:
        return None

    monkeypatch.setattr(group.BusGroup, "_beats", endless)
    monkeypatch.setattr(group, "_ended", forgotten)
    result = fresh_runner.run(load("healthy"))
    assert "tidy" in failed(result)
    assert "tester present went on" in sentence(result, "tidy")


def test_a_boot_manager_that_misses_a_good_bank_once_fails_bootable(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, boots = manager.choose, [0]

    async def blind(life: Incarnation, memory: Any, trust: Any) -> manager.Choice:
        boots[0] += memory.personality.name == "gateway"
        if boots[0] == 2 and memory.personality.name == "gateway":
            return manager.Choice(None, "no bank was looked at")
        return await genuine(life, memory, trust)

    monkeypatch.setattr(manager, "choose", blind)
    result = fresh_runner.run(load("healthy"))
    assert "bootable" in failed(result)
    assert "has two banks and booted into its bootloader" in sentence(result, "bootable")
