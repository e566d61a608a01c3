"""Needs vcan0, vcan1 and the kernel's ISO-TP: `make test-socketcan`. Everything here is marked `socketcan`.

The ECU's process is started at once and waited for late: in an emulated machine it takes a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.real_can import EcuProcess

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and run those first that do not need the ECU."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.socketcan)
    items.sort(key=lambda item: "ecu_on_vcan0" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", autouse=True)
def starting_ecu() -> Iterator[EcuProcess]:
    """`otabench ecu` on vcan0, on its way up."""
    process = EcuProcess("one_ecu_van", "body", "--can", "interface=socketcan,channel=vcan0")
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture(scope="session")
def ecu_on_vcan0(starting_ecu: EcuProcess) -> Iterator[str]:
    """The interface on which the ECU listens; once it was needed, it must end well."""
    yield str(starting_ecu.ready()["adapter_channel"])
    starting_ecu.stop()
