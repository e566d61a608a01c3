"""The bus decoded once for all rules: frames become requests, exchanges, blocks, downloads and words about the start.

ISO-TP, UDS and the transfers are followed for each ECU of the vehicle, on the channel where the tester reaches it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bench.core.frame_run import FrameRunRecord
from bench.core.records import EXTENDED, CanAddress, EcuLayout, FrameRecord
from bench.oracle.decode_download import Block, Download, Transfers
from bench.oracle.decode_isotp import Message, Reassembler
from bench.oracle.exchange import Exchange
from bench.oracle.facts import Facts
from bench.oracle.pairing import AnsweredLate, Exchanged, Heard, Pairing


@dataclass(frozen=True, slots=True)
class FunctionalRequest:
    """A request to all ECUs of a channel."""

    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Inhibited:
    """An ECU's first word, or a changed one, about the start of the car: `on` when it must not be started."""

    only_shown: ClassVar[tuple[str, ...]] = ("t_ns",)

    t_ns: int
    ecu: str
    on: bool


@dataclass(frozen=True, slots=True)
class ChannelHeard:
    """The first frame of a channel: the tap hears something there."""

    t_ns: int
    channel: str


@dataclass(frozen=True, slots=True)
class CyclicHeard:
    """A cyclic frame of the vehicle's description crossed its bus."""

    t_ns: int
    channel: str
    can_id: int
    id_29_bit: bool


BusEvent = ChannelHeard | Heard | FunctionalRequest | Inhibited | CyclicHeard | Block | Download


class _Direction:
    """Whose frames one identifier carries: an ECU's requests or responses, or functional requests."""

    def __init__(self, address: CanAddress, channel: str, ecu: str | None, *, asks: bool) -> None:
        self.extension, self.channel, self.ecu, self.asks = address.extension, channel, ecu, asks
        self.reassembler = Reassembler(0 if address.extension is None else 1)

    def carries(self, frame: FrameRecord) -> bool:
        """Return whether a frame with the identifier is of this direction."""
        return self.extension is None or (bool(frame.data) and frame.data[0] == self.extension)


_Place = tuple[str, int, bool]


class BusDecoder:
    """Reads every frame; what it means comes out in the order in which it became known."""

    def __init__(self, facts: Facts) -> None:
        self._pairings = {layout.ecu: Pairing(layout) for layout in facts.layouts}
        self._transfers = {layout.ecu: Transfers(layout) for layout in facts.layouts}
        self._directions: dict[_Place, list[_Direction]] = {}
        self._signals: dict[_Place, list[tuple[str, int]]] = {}
        self._words: dict[str, bool] = {}
        around = facts.surroundings
        self._cyclic = frozenset(() if around is None else ((f.channel, f.can_id, f.id_29_bit) for f in around.cyclic))
        self._channels: list[str] = []
        for layout in facts.layouts:
            self._add(_Direction(layout.request, layout.channel, layout.ecu, asks=True), layout.request)
            self._add(_Direction(layout.response, layout.channel, layout.ecu, asks=False), layout.response)
            self._add_signal(layout)
        for channel, address in facts.functional.items():
            self._add(_Direction(address, channel, None, asks=True), address)

    def _add(self, direction: _Direction, address: CanAddress) -> None:
        place = (direction.channel, address.can_id, address.id_29_bit)
        self._directions.setdefault(place, []).append(direction)

    def _add_signal(self, layout: EcuLayout) -> None:
        signal = layout.inhibit
        if signal is not None:
            place = (signal.channel, signal.can_id, signal.id_29_bit)
            self._signals.setdefault(place, []).append((layout.ecu, signal.bit))

    def take(self, frame: FrameRecord) -> Sequence[BusEvent]:
        """Return what this frame completes."""
        place = (frame.channel, frame.can_id, bool(frame.flags & EXTENDED))
        directions, signals = self._directions.get(place), self._signals.get(place)
        if frame.channel not in self._channels:
            self._channels.append(frame.channel)
            return [ChannelHeard(frame.t_ns, frame.channel), *self.take(frame)]
        cyclic = place in self._cyclic
        if directions is None and signals is None and not cyclic:
            return ()
        found: list[BusEvent] = [] if signals is None else [*self._said(frame, signals)]
        if cyclic:
            found.append(CyclicHeard(frame.t_ns, *place))
        for direction in directions or ():
            if direction.carries(frame):
                for message in direction.reassembler.take(frame):
                    found += self._heard(direction, message)
        return found

    def take_run(self, run: FrameRunRecord) -> Sequence[BusEvent]:
        """Return what a run of frames completes: at once where each is nothing but a part of one message."""
        place = (run.channel, run.can_id, bool(run.flags & EXTENDED))
        directions = self._directions.get(place, [])
        special = place in self._signals or place in self._cyclic or run.channel not in self._channels
        if special or any(direction.extension is not None for direction in directions):
            return [event for frame in run.frames() for event in self.take(frame)]
        found: list[BusEvent] = []
        for direction in directions:
            for message in direction.reassembler.take_run(run):
                found += self._heard(direction, message)
        return found

    def _said(self, frame: FrameRecord, signals: Sequence[tuple[str, int]]) -> list[Inhibited]:
        words = []
        for ecu, bit in signals:
            at, number = divmod(bit, 8)
            if len(frame.data) > at:
                on = bool(frame.data[at] >> number & 1)
                if self._words.get(ecu) is not on:
                    words.append(Inhibited(frame.t_ns, ecu, on))
                self._words[ecu] = on
        return words

    def _heard(self, direction: _Direction, message: Message) -> list[BusEvent]:
        if direction.ecu is None:
            return [FunctionalRequest(Exchange(None, direction.channel, message))]
        pairing = self._pairings[direction.ecu]
        heard = pairing.take_request(message) if direction.asks else pairing.take_answer(message)
        return self._followed(direction.ecu, heard)

    def _followed(self, ecu: str, heard: Sequence[Heard]) -> list[BusEvent]:
        """Put what an exchange brings of an image behind it."""
        found: list[BusEvent] = []
        for event in heard:
            found.append(event)
            if isinstance(event, Exchanged):
                found += self._transfers[ecu].take(event.exchange)
            elif isinstance(event, AnsweredLate):
                found += self._transfers[ecu].take_late(event.exchange)
        return found

    def finish(self) -> list[BusEvent]:
        """Return what the end of the run leaves: transfers that broke off, requests without answer."""
        found: list[BusEvent] = []
        for directions in self._directions.values():
            for direction in directions:
                for message in direction.reassembler.finish():
                    found += self._heard(direction, message)
        for ecu, pairing in self._pairings.items():
            found += self._followed(ecu, pairing.finish())
            found += self._transfers[ecu].finish()
        return found

    def key(self) -> Hashable:
        """Return the state of every connection."""
        running = tuple(d.reassembler.key() for directions in self._directions.values() for d in directions)
        pairings = tuple(pairing.key() for pairing in self._pairings.values())
        transfers = tuple(transfers.key() for transfers in self._transfers.values())
        return (running, pairings, transfers, tuple(self._words.items()), tuple(self._channels))
