"""A fault point that is missing since the order fails without any fault: the cause is named, not the point."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.core.errors import InputError
from bench.runs.job import Job
from bench.runs.runner import Runner


def test_wrong_key_secret_is_named_where_a_fault_in_a_later_phase_has_no_point(
    fresh_runner: Runner, changed_job: Callable[..., Job]
) -> None:
    wrong = {"recipes/single_bank.toml": {'secret_name = "body_controller"': 'secret_name = "another"'}}
    with pytest.raises(InputError) as refused:
        fresh_runner.run(changed_job("power_cut_ecu", "sim", wrong))
    assert "the order fails without any fault too" in (refused.value.hint or "")
    assert "body: " in (refused.value.hint or "")
    assert "0x35" in (refused.value.hint or "")
