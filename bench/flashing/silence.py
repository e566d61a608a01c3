"""What was heard on the bus in the place of an ECU that answered nothing at all: the way to the cause begins there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.core.records import EXTENDED, CanAddress, FrameRecord
from bench.description.ecu_entry import EcuEntry
from bench.description.load import BenchFiles

TESTER = "tester"
"""Who sends our own frames."""
SHOWN_IDS = 8


@dataclass(frozen=True, slots=True)
class Silence:
    """An ECU that sent no frame: where it was asked and should have answered, and what else its bus carried."""

    ecu: str
    bus: str
    request: str
    response: str
    sent: int
    """Frames of the tester that the adapter took."""
    heard: tuple[tuple[str, int], ...]
    """Identifiers of other nodes with their numbers of frames, the most frequent first."""

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Return it as rows of a message."""
        return (("ecu", f"{self.ecu}: asked at {self.request}, answers at {self.response}"), ("bus", self.bus),
                ("heard", self._heard()), ("next", self._next()))  # fmt: skip

    def _heard(self) -> str:
        sent = f"{self.sent} frame{'' if self.sent == 1 else 's'} of the tester sent"
        if not self.heard:
            return f"nothing of any other node; {sent}"
        shown = ", ".join(f"{name} ({count})" for name, count in self.heard[:SHOWN_IDS])
        more = f" and {len(self.heard) - SHOWN_IDS} more" if len(self.heard) > SHOWN_IDS else ""
        return f"other identifiers (frames): {shown}{more}; {sent}"

    def _next(self) -> str:
        if self.heard:
            return "the bus works: check that this ECU has its supply, and its identifiers in the vehicle file"
        return "nobody is heard: check supply, wiring, termination, bit rate, and that this is the right adapter"


def silences(files: BenchFiles, ecus: Iterable[str], frames: Sequence[FrameRecord]) -> tuple[Silence, ...]:
    """Return those of the ECUs, in the order of the vehicle, that sent no frame at all to the tester."""
    named = frozenset(ecus)
    found = ((ecu, _of(files, ecu, frames)) for ecu in files.vehicle.ecus if ecu.id in named)
    return tuple(silence for ecu, silence in found if silence is not None)


def _of(files: BenchFiles, ecu: EcuEntry, frames: Sequence[FrameRecord]) -> Silence | None:
    address = ecu.address()
    wide = bool(address.flags & EXTENDED)
    request = CanAddress(address.tx_id, wide, address.prefix[0] if address.prefix else None)
    response = CanAddress(address.rx_id, wide, address.rx_extension)
    here = [frame for frame in frames if frame.channel == ecu.tester_channel]
    if any(_is_from(frame, response) for frame in here):
        return None
    heard = Counter(_identifier(frame) for frame in here if frame.sender != TESTER)
    return Silence(
        ecu=ecu.id, bus=_bus(files, ecu.tester_channel), request=request.text(), response=response.text(),
        sent=sum(frame.sender == TESTER for frame in here), heard=tuple(heard.most_common()),
    )  # fmt: skip


def _is_from(frame: FrameRecord, address: CanAddress) -> bool:
    begin = b"" if address.extension is None else bytes((address.extension,))
    return (
        (frame.can_id, bool(frame.flags & EXTENDED)) == (address.can_id, address.id_29_bit)
        and frame.data.startswith(begin)
        and frame.sender != TESTER
    )


def _identifier(frame: FrameRecord) -> str:
    return CanAddress(frame.can_id, bool(frame.flags & EXTENDED)).text()


def _bus(files: BenchFiles, name: str) -> str:
    channel = next(channel for channel in files.bench.channels if channel.name == name)
    adapter = " ".join(filter(None, (channel.driver, channel.interface, channel.channel)))
    data = f" and {channel.data_bitrate_bit_s / 1000:g}" if channel.data_bitrate_bit_s else ""
    return f"{name} ({adapter}), {channel.bitrate_bit_s / 1000:g}{data} kbit/s"
