"""The part of *truthful* about what a success must have left in each ECU: its floor raised, and no image on trial."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.records import FlashDump
from bench.oracle.decode_image import HEADER_BYTES, header_or_none
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, failed, passed
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence
from bench.oracle.server_log import SUCCESS, Order
from bench.oracle.situation import Situation
from bench.oracle.stream import Event


@dataclass(frozen=True, slots=True)
class _Stored:
    """What an ECU's non-volatile memory says after the run; `trial` is the bank, `on_trial` the version in it."""

    ecu: str
    floor: int
    trial: str | None
    on_trial: str | None


class ConfirmedWhatItClaims(Rule):
    """Where the floor cannot be read there is no finding. A floor never falls, so a later order is no excuse for it."""

    takes = (FlashDump,)
    relies_on = (Source.SERVER_EVENTS, Source.FLASH)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._stored: dict[str, _Stored] = {}

    def take(self, event: Event) -> None:
        """Keep floor and trial of a dump, nothing else of it."""
        dump: FlashDump = event
        if dump.release_floor is not None:
            slot = None if dump.trial_bank is None else dump.region(f"header:{dump.trial_bank}")
            header = header_or_none(slot.data[:HEADER_BYTES]) if slot is not None else None
            on_trial = None if header is None else header.version
            self._stored[dump.ecu] = _Stored(dump.ecu, dump.release_floor, dump.trial_bank, on_trial)

    def findings(self) -> list[Finding]:
        """Return the findings on every target of each order that was closed as a success."""
        return [finding for order in self.situation.server.orders for finding in self._confirmed(order)]

    def _confirmed(self, order: Order) -> list[Finding]:
        log = self.situation.server
        if [closing.status for closing in log.closings_of(order.order)] != [SUCCESS]:
            return []
        targets = [(self._stored[ecu], version) for ecu, version in order.targets if ecu in self._stored]
        trials = [_no_trial(stored, version) for stored, version in targets if order is log.orders[-1]]
        return trials + [self._floor_raised(order, stored, version) for stored, version in targets]

    def _floor_raised(self, order: Order, stored: _Stored, version: str) -> Finding:
        floor, need = stored.floor, self._counter(order, stored.ecu, version)
        if need is None or floor >= need:
            return passed(f"{stored.ecu} has its release floor", _nvm(stored, f"release floor {floor}"))
        sentence = (
            f"success was reported, but {stored.ecu}'s release floor is {floor}, the confirmed image needs {need}"
        )
        return failed(sentence, _nvm(stored, f"release floor {floor}, {version} has {need}"), blame="agent")

    def _counter(self, order: Order, ecu: str, version: str) -> int | None:
        """Return the release counter of the image that the order brought, or of the one the ECU held already."""
        role = "target" if ecu in self.situation.server.codes_of(order) else "installed"
        mine = [r for r in self.facts.images(ecu) if r.version == version]
        headers = [header_or_none(r.header) for r in sorted(mine, key=lambda r: r.role != role)]
        return next((header.release_counter for header in headers if header is not None), None)


def _no_trial(stored: _Stored, version: str) -> Finding:
    if stored.trial is None:
        return passed(f"{stored.ecu} has no image on trial", _nvm(stored, "no image on trial"))
    runs = stored.on_trial or version
    sentence = f"success was reported, but {stored.ecu} still runs {runs} on trial and will fall back"
    return failed(sentence, _nvm(stored, f"{runs} in bank {stored.trial} is on trial"), blame="agent")


def _nvm(stored: _Stored, text: str) -> Evidence:
    return Evidence("flash", f"{stored.ecu} non-volatile memory", text)
