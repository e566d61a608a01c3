"""One ECU of an order fails for good, the other one does not: what is reported as installed stays installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner
from bench.wire.uds import Nrc
from ecu_sim.uds.services import Refused
from ecu_sim.uds.transfer import Transfer

Load = Callable[..., Job]


def test_an_ecu_that_was_installed_is_confirmed_although_the_other_one_failed(
    fresh_runner: Runner, load: Load, failed: Callable[[RunResult], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = Transfer.request_download

    async def full(self: Any, request: Any) -> Any:
        if len(self._memory.personality.banks) == 1:
            raise Refused(Nrc.UPLOAD_DOWNLOAD_NOT_ACCEPTED)
        return await genuine(self, request)

    monkeypatch.setattr(Transfer, "request_download", full)
    result = fresh_runner.run(load("healthy"))
    events = result.record.server_events.items
    results = {event.data["ecu"]: event.data["result_code"] for event in events if event.kind == "component_result"}
    assert results == {"body": 1405, "gateway": 1200}
    dump = next(dump for dump in result.record.flash.items if dump.ecu == "gateway")
    assert (dump.release_floor, dump.trial_bank) == (2, None)
    assert not failed(result) & {"authentic", "truthful", "whole"}
