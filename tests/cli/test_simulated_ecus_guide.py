"""What docs/guides/simulated-ecus.md shows is what the command line takes."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.points import FaultPoint
from bench.faults.catalogue import check_fault
from bench.wire.ecu_misbehave import KINDS, parse
from bench.wire.isotp_misbehave import chosen

Cli = Callable[..., Any]
GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "simulated-ecus.md").read_text(encoding="utf-8")
COMMANDS = [line.strip().split("  ")[0] for line in GUIDE.splitlines() if line.startswith("    otabench ")]
WITHOUT_ADAPTER = [command for command in COMMANDS if "--can" not in command]


def test_guide_names_every_way_to_misbehave_with_its_values() -> None:
    rows = [line.split("|")[1] for line in GUIDE.splitlines() if line.startswith("| `")]
    assert all(any(f"`{kind}" in row for row in rows) for kind in KINDS)


def test_orders_of_the_guide_can_be_read() -> None:
    orders = re.findall(r"(?<![\w/])(?:0x[0-9A-F.x]+|any):\w+(?:=\w+)?(?:@[\w.]+)?", GUIDE)
    assert len(orders) == 4
    assert all(parse(order) for order in orders)
    assert all(chosen(order) for order in re.findall(r"(?:overflow|wait_for_ever)@[\w.]+", GUIDE))


def test_faults_of_the_guide_can_be_injected() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    faults = [fault for block in blocks for fault in tomllib.loads(block)["faults"]]
    assert [fault["point"].partition(":")[0] for fault in faults] == ["ecu", "isotp"]
    assert all(check_fault(FaultPoint.parse(each["point"]), each["parameters"], file=None) for each in faults)


@pytest.mark.parametrize("command", WITHOUT_ADAPTER)
def test_command_of_the_guide_ends_well(otabench: Cli, command: str) -> None:
    if "body.bin" in command:
        assert otabench("image", "make", "two_ecu_car", "body", "-o", "body.bin").code == 0
    assert otabench(*shlex.split(command)[1:]).code == 0
