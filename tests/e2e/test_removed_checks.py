"""Each check of agent, bootloader and boot manager is taken out in turn: the oracle must notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import bench.trust.package as trust
from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner
from ecu_sim.boot import manager

Load = Callable[..., Job]
Failed = Callable[[RunResult], set[str]]


def yes(*_arguments: object, **_more: object) -> bool:
    return True


def nothing(*_arguments: object, **_more: object) -> None:
    return None


@pytest.fixture
def remove(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Take checks out by name."""

    def take_out(*names: str) -> None:
        for name in names:
            if name.startswith("agent."):
                attribute = name.removeprefix("agent.")
                monkeypatch.setattr(trust, attribute, yes if attribute == "_signed_by" else nothing)
            else:
                monkeypatch.setattr(manager, name, yes)

    return take_out


def test_agent_that_checks_no_signature_is_caught(
    fresh_runner: Runner, load: Load, failed: Failed, remove: Callable[..., None]
) -> None:
    job = load("forged_signature")
    fresh_runner.golden(job)
    remove("agent._signed_by")
    result = fresh_runner.run(job)
    assert not result.as_expected
    assert "silent" in failed(result)


def test_agent_that_checks_no_hardware_id_is_caught(
    fresh_runner: Runner, load: Load, failed: Failed, remove: Callable[..., None]
) -> None:
    job = load("wrong_ecu")
    fresh_runner.golden(job)
    remove("agent._check_hardware")
    result = fresh_runner.run(job)
    assert not result.as_expected
    assert failed(result) & {"silent", "truthful", "live"}


@pytest.mark.parametrize("names", [("signature_ok",), ("signature_ok", "hash_ok")])
def test_boot_manager_that_checks_no_signature_is_caught(
    fresh_runner: Runner,
    load: Load,
    with_faults: Callable[..., Job],
    failed: Failed,
    remove: Callable[..., None],
    names: tuple[str, ...],
) -> None:
    """A bit of the header's signature flips between programming and boot."""
    job = with_faults(load("flash_bit_flip"), "storage:body:boot:last", area="header", address=200, bit=0)
    assert fresh_runner.run(job).as_expected, "a healthy boot manager refuses the header"
    remove(*names)
    result = fresh_runner.run(job)
    assert "authentic" in failed(result)
    assert result.verdict.blame == "bootloader"


def test_boot_manager_that_checks_no_hash_is_caught(
    fresh_runner: Runner, load: Load, failed: Failed, remove: Callable[..., None]
) -> None:
    remove("hash_ok")
    assert {"authentic", "whole"} <= failed(fresh_runner.run(load("flash_bit_flip")))


def test_hardware_id_checked_nowhere_is_caught_when_the_image_runs(
    fresh_runner: Runner, load: Load, failed: Failed, remove: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agent, flasher and bootloader all look away: the image made for other hardware is executed."""
    import bench.flasher.steps.reading as reading

    job = load("wrong_ecu")
    fresh_runner.golden(job)
    remove("agent._check_hardware", "hardware_ok")
    monkeypatch.setattr(reading, "check_identity", nothing)
    result = fresh_runner.run(replace(job, scenario=job.scenario))
    assert {"authentic", "silent"} <= failed(result)


def test_agent_that_confirms_nothing_is_caught(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything looks updated, but the gateway is on trial and would fall back."""
    import bench.agent.install as install

    async def forget(*_arguments: object) -> None:
        return None

    monkeypatch.setattr(install, "confirm_ecu", forget)
    result = fresh_runner.run(load("healthy"))
    assert "truthful" in failed(result)
    assert result.verdict.blame == "agent"


def test_flasher_that_sends_other_bytes_than_it_was_given_is_caught(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bench.flasher.steps.transfer as transfer

    genuine = vars(transfer)["transfer_data"]

    def changed(counter: int, data: bytes) -> object:
        return genuine(counter, bytes((data[0] ^ 1,)) + data[1:])

    monkeypatch.setattr(transfer, "transfer_data", changed)
    assert "authentic" in failed(fresh_runner.run(load("healthy")))


def test_ecu_whose_version_identifier_lies_is_caught(
    fresh_runner: Runner, load: Load, failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says the target's version whatever it runs, so the server believes that nothing is left to do."""
    from ecu_sim.uds import modes

    genuine = vars(modes)["application_dids"]
    monkeypatch.setattr(modes, "application_dids", lambda header: {**genuine(header), 0xF189: lambda: b"2.0.0"})
    result = fresh_runner.run(load("healthy_van", "sim_van"))
    assert "truthful" in failed(result)
    assert result.verdict.blame == "ecu"
