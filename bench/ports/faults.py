"""What an injector can do to a bench."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bench.core.car import CarValue
from bench.wire.ecu_misbehave import EcuMisbehaviour
from bench.wire.isotp_misbehave import Misbehaviour


class FaultTarget(Protocol):
    """What an injector can do to a bench; parts are named, never imported."""

    def cut_power(self, part: str, cause: str) -> None:
        """Take a part's power away now (`vehicle` is the agent and every ECU)."""

    def tear_as(self, part: str, reads: str) -> None:
        """Say how the cells read that the next cut of a part's ECUs tears: `mixed`, `valid`, `invalid`, `changing`
        or `ecc_error`. An ECU without power keeps what was said for the cut that took it."""

    def restore_power(self, part: str, cause: str) -> None:
        """Give it back."""

    def vary_supply(self, part: str, profile: str, time_scale: float, depth_scale: float, torn_reads: str) -> int:
        """Let the voltage at an ECU (`vehicle`: at each) follow a profile from now on; returns its duration in ns.

        What its brown-outs tear reads as `torn_reads` says (see `tear_as`), however many there are."""

    def flip_bit(self, ecu: str, area: str, address: int, bit: int) -> None:
        """Flip one bit of what the ECU would boot next: `image` (linked address) or `header` (offset)."""

    def change_car(self, key: str, value: CarValue, cause: str) -> CarValue:
        """Change a value of the car (`bench.core.car`); returns what it was. The car may refuse, and records that."""

    def change_packages(self, change: Callable[[bytes], bytes], times: int | None) -> None:
        """Change the next `times` packages on their way to the vehicle, or every one from now on."""

    def lose_message(self, what: str) -> None:
        """Lose the `request` or the `answer` of the exchange between agent and server that begins now, or next."""

    def sign_for_hardware(self, package: bytes, ecu: str, hardware_id: str) -> bytes:
        """Return the package as its maker would have signed it for other hardware (a maker's mistake)."""

    def misbehave(self, ecu: str, how: EcuMisbehaviour | Misbehaviour) -> None:
        """Have an ECU break the rules of UDS or of ISO-TP from now on, as often as the order says."""
