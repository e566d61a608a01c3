"""The part of *truthful* about what a success must have left in each ECU: its floor raised, and no image on trial."""

from __future__ import annotations

from bench.oracle.ends import release_counter
from bench.oracle.facts import Source
from bench.oracle.findings import Finding, failed, passed
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence
from bench.oracle.server_log import SUCCESS, Order
from bench.oracle.situation import Stored


class ConfirmedWhatItClaims(Rule):
    """Where the floor cannot be read there is no finding. A floor never falls, so a later order is no excuse for it."""

    relies_on = (Source.SERVER_EVENTS, Source.FLASH)

    def findings(self) -> list[Finding]:
        """Return the findings on every target of each order that was closed as a success."""
        return [finding for order in self.situation.server.orders for finding in self._confirmed(order)]

    def _confirmed(self, order: Order) -> list[Finding]:
        log = self.situation.server
        if [closing.status for closing in log.closings_of(order.order)] != [SUCCESS]:
            return []
        targets = [
            (self.situation.stored[ecu], version) for ecu, version in order.targets if ecu in self.situation.stored
        ]
        trials = [_no_trial(stored, version) for stored, version in targets if order is log.orders[-1]]
        return trials + [self._floor_raised(order, stored, version) for stored, version in targets]

    def _floor_raised(self, order: Order, stored: Stored, version: str) -> Finding:
        floor, need = stored.floor, release_counter(self.situation, order, stored.ecu, version)
        if need is None or floor >= need:
            return passed(f"{stored.ecu} has its release floor", _nvm(stored, f"release floor {floor}"))
        sentence = (
            f"success was reported, but {stored.ecu}'s release floor is {floor}, the confirmed image needs {need}"
        )
        return failed(sentence, _nvm(stored, f"release floor {floor}, {version} has {need}"), blame="agent")


def _no_trial(stored: Stored, version: str) -> Finding:
    if stored.trial is None:
        return passed(f"{stored.ecu} has no image on trial", _nvm(stored, "no image on trial"))
    runs = stored.on_trial or version
    sentence = f"success was reported, but {stored.ecu} still runs {runs} on trial and will fall back"
    return failed(sentence, _nvm(stored, f"{runs} in bank {stored.trial} is on trial"), blame="agent")


def _nvm(stored: Stored, text: str) -> Evidence:
    return Evidence("flash", f"{stored.ecu} non-volatile memory", text)
