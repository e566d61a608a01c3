"""The whole vehicle as faults strike it: what its parts offer, all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.core.offers import Offered, Offers, Port
from bench.core.waveform import Waveform
from bench.ports.faults import POWER, SUPPLY, TORN_CELLS, UNSYNCED_DATA, WHOLE_VEHICLE
from bench.wire.disk_loss import DiskLoss


class WholeVehicle:
    """Every part of a vehicle at once, in the order of `parts`; a part that lacks a port is left alone.

    The agent's computer, for example, has a supply of its own and no cells that tear.
    """

    def __init__(self, offers: Offers, parts: Sequence[str]) -> None:
        self._offers, self._parts = offers, tuple(parts)

    def offer(self) -> None:
        """Offer what the parts offer, under the name of the whole vehicle."""
        self._offers.offer(POWER, self, WHOLE_VEHICLE)
        self._offers.offer(TORN_CELLS, self, WHOLE_VEHICLE)
        self._offers.offer(UNSYNCED_DATA, self, WHOLE_VEHICLE)
        self._offers.offer(SUPPLY, self, WHOLE_VEHICLE)

    def cut(self, cause: str) -> None:
        """See `PowerSwitch`."""
        for switch in self._each(POWER):
            switch.cut(cause)

    def restore(self, cause: str) -> None:
        """See `PowerSwitch`."""
        for switch in self._each(POWER):
            switch.restore(cause)

    def tear_as(self, reads: str) -> None:
        """See `TornCells`."""
        for cells in self._each(TORN_CELLS):
            cells.tear_as(reads)

    def lose_as(self, loss: DiskLoss) -> str:
        """See `UnsyncedData`."""
        limits = [data.lose_as(loss) for data in self._each(UNSYNCED_DATA)]
        return "; ".join(limit for limit in limits if limit)

    def follow(self, waveform: Waveform, name: str, torn_reads: str) -> None:
        """See `SupplyLine`."""
        for line in self._each(SUPPLY):
            line.follow(waveform, name, torn_reads)

    def _each(self, port: Port[Offered]) -> Iterator[Offered]:
        return (self._offers.find(port, part) for part in self._parts if self._offers.has(port, part))
