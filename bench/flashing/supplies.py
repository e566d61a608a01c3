"""What a bench can switch: the supplies of the ECUs that it simulates itself."""

from __future__ import annotations

from typing import Protocol

from bench.core.clock import NS_PER_MS, Clock

CAUSE_OFF, CAUSE_ON = "power cycle asked for by the tester", "power cycle ends"


class SwitchedVehicle(Protocol):
    """The part of a simulated vehicle that is needed here."""

    def cut_power(self, ecu_id: str, cause: str) -> None:
        """Take an ECU's supply away."""

    def restore_power(self, ecu_id: str, cause: str) -> None:
        """Give it back."""


class SimulatedSupplies:
    """`bench.ports.diagnostics.SupplySwitch` for ECUs of a simulated vehicle, on the clock of whoever asks."""

    def __init__(self, vehicle: SwitchedVehicle, clock: Clock) -> None:
        self._vehicle, self._clock = vehicle, clock

    async def power_cycle(self, ecu: str, off_ms: int) -> None:
        """See `SupplySwitch`; cancelled in between, the ECU gets its supply back all the same."""
        self._vehicle.cut_power(ecu, CAUSE_OFF)
        try:
            await self._clock.sleep_ns(off_ms * NS_PER_MS)
        finally:
            self._vehicle.restore_power(ecu, CAUSE_ON)
