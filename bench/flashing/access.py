"""The ECUs of a bench as a flashing job reaches them."""

from __future__ import annotations

from collections.abc import Mapping

from bench.assembly.links import ecu_links
from bench.core.node import Incarnation
from bench.description.load import BenchFiles
from bench.flasher.access import EcuAccess, accesses
from bench.ports.can import CanBus


def ecu_accesses(files: BenchFiles, buses: Mapping[str, CanBus], life: Incarnation) -> dict[str, EcuAccess]:
    """Return the access to every ECU for this life of the tester, one port a channel."""
    return accesses(ecu_links(files, buses, life), files.recipes, files.software_ids)
