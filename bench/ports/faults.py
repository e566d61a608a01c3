"""What may be done to the parts of a bench: small ports that parts offer (`bench.core.offers`) and faults look up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from bench.core.car import CarValue
from bench.core.offers import Port
from bench.core.waveform import Waveform
from bench.wire.disk_loss import DiskLoss
from bench.wire.ecu_misbehave import EcuMisbehaviour
from bench.wire.isotp_misbehave import Misbehaviour

WHOLE_VEHICLE: Final = "vehicle"
"""The part that stands for the agent's computer and every ECU together."""


class PowerSwitch(Protocol):
    """The power of a part. Cuts may overlap: the part has power again once the last of them was restored."""

    def cut(self, cause: str) -> None:
        """Take the power away now."""

    def restore(self, cause: str) -> None:
        """End one cut."""


class TornCells(Protocol):
    """How the cells of flash and NVM read in which a cut finds a program or erase operation under way."""

    def tear_as(self, reads: str) -> None:
        """Say it for the next cut: `mixed`, `valid`, `invalid`, `changing` or `ecc_error`.

        A part without power keeps what was said for the cut that took it.
        """


class UnsyncedData(Protocol):
    """What a computer's disk has not made durable when its power is cut."""

    def lose_as(self, loss: DiskLoss) -> str:
        """Say what the next cut leaves of it; returns what of that this bench cannot do, "" when it does all."""


class SupplyLine(Protocol):
    """The voltage at a part."""

    def follow(self, waveform: Waveform, name: str, torn_reads: str) -> None:
        """Let the voltage follow `waveform` (in mV, from now on); `name` stands in the journal.

        What its brown-outs tear reads as `torn_reads` says (see `TornCells`), however many there are.
        """


class StoredBits(Protocol):
    """The memory that an ECU would boot from next."""

    def flip_bit(self, area: str, address: int, bit: int) -> None:
        """Flip one bit (0 to 7) of an `area`: `image` (linked address) or `header` (offset in its slot)."""


class CarControl(Protocol):
    """The state of the car (`bench.core.car`)."""

    def change(self, key: str, value: CarValue, cause: str) -> CarValue:
        """Change a value; returns what it was. The car may refuse, and records that."""


class PackagePath(Protocol):
    """The way of packages to the vehicle."""

    def set(self, change: Callable[[bytes], bytes], times: int | None) -> None:
        """Change the next `times` packages on it, or every one from now on."""


class HttpPath(Protocol):
    """The network between agent and server."""

    def lose(self, what: str, over: Callable[[], None]) -> None:
        """Lose the `request` or the `answer` of the exchange that begins now, or next; `over` is called then."""


class EcuRules(Protocol):
    """How an ECU's diagnostic server keeps to ISO 14229."""

    def misbehave(self, how: EcuMisbehaviour) -> None:
        """Have it break the rules from the next request on, as often as the order says."""


class IsoTpRules(Protocol):
    """How an ECU's transport keeps to ISO 15765-2."""

    def misbehave(self, how: Misbehaviour) -> None:
        """Have it break the rules from the next message on, as often as the order says."""


WaveformOf = Callable[[str], Waveform]
"""Returns the waveform of a supply profile by its name."""
SignForHardware = Callable[[bytes, str, str], bytes]
"""Returns a package as its maker would have signed it for other hardware (a maker's mistake): package, ECU, its id."""

POWER: Final = Port[PowerSwitch]("power")
TORN_CELLS: Final = Port[TornCells]("torn cells")
UNSYNCED_DATA: Final = Port[UnsyncedData]("unsynced data")
SUPPLY: Final = Port[SupplyLine]("supply")
STORED_BITS: Final = Port[StoredBits]("stored bits")
ECU_RULES: Final = Port[EcuRules]("rules of ISO 14229")
ISO_TP_RULES: Final = Port[IsoTpRules]("rules of ISO 15765-2")
HTTP_PATH: Final = Port[HttpPath]("network of the agent")
PACKAGE_PATH: Final = Port[PackagePath]("packages on their way")
CAR: Final = Port[CarControl]("car", of_bench=True)
WAVEFORM_OF: Final = Port[WaveformOf]("supply profiles", of_bench=True)
SIGN_FOR_HARDWARE: Final = Port[SignForHardware]("maker of packages", of_bench=True)
