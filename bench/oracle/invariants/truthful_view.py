"""The part of *truthful* about the server itself: what it stored and believes is what it announced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bench.core.records import ServerEvent, ServerViewRecord
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, hidden, passed, undecided
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence, Verdict
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

_STEPS = {
    "order_placed": "open",
    "order_offered": "offered",
    "order_accepted": "accepted",
    "component_result": "accepted",
}
"""The status that an order has after an event; a closed one stays closed, a declined offer changes nothing."""


class _Entry(NamedTuple):
    """What of an event the store must hold as it was announced."""

    kind: str
    t_ns: int

    def evidence(self, seq: int) -> Evidence:
        return at("server", f"event {seq}", self.t_ns, self.kind)


class BelievesItsOwnLog(Rule):
    """The server's view equals the fold of its log, and its stored log is the one that it announced.

    A store that loses an event, or a twin that is folded wrongly, is seen nowhere else: every other rule reads what the
    server announced while it went on (D8). What is stored and was never heard is the bench's fault as far as it can
    tell: then the view is held against the stored log, and nothing is proven by what was heard.
    """

    takes = (ServerEvent, ServerViewRecord)
    relies_on = (Source.SERVER_EVENTS, Source.SERVER_VIEW)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._announced: dict[int, _Entry] = {}
        """Every event by its number."""
        self._registered = False
        self._ecus: dict[str, str] = {}
        self._orders: dict[str, str] = {}
        self._findings: list[Finding] = []
        self._was_read = False

    def take(self, event: Event) -> None:
        """Fold the log, and hold it against the view when that is read."""
        if isinstance(event, ServerViewRecord):
            self._was_read = True
            stored = self._stored(event)
            if any(finding.verdict is Verdict.INCONCLUSIVE for finding in stored):
                self._fold_anew(event)
            self._findings = [*stored, *self._believed(event)]
        elif event.vin == self.facts.vin:
            self._announced[event.seq] = _Entry(event.kind, event.t_ns)
            self._fold(event)

    def _fold(self, event: ServerEvent) -> None:
        order = str(event.data.get("order", ""))
        if event.kind == "bootstrap_complete":
            self._registered = True
        elif event.kind == "inventory":
            ecus = event.data.get("ecus")
            self._ecus = {str(ecu): str(version) for ecu, version in ecus.items()} if isinstance(ecus, Mapping) else {}
        elif event.kind == "order_closed":
            self._orders[order] = str(event.data.get("status"))
        elif event.kind in _STEPS and (event.kind == "order_placed" or order in self._orders):
            self._step(order, _STEPS[event.kind])

    def _fold_anew(self, view: ServerViewRecord) -> None:
        self._registered, self._ecus, self._orders = False, {}, {}
        for event in sorted(view.events, key=lambda entry: entry.seq):
            self._fold(event)

    def _step(self, order: str, status: str) -> None:
        """Go on to a status; a repeated offer leaves an accepted order accepted."""
        known = list(dict.fromkeys(_STEPS.values()))
        now = self._orders.get(order, known[0])
        if now in known:
            self._orders[order] = max(now, status, key=known.index)

    def _stored(self, view: ServerViewRecord) -> list[Finding]:
        stored = {event.seq: _Entry(event.kind, event.t_ns) for event in view.events}
        lost = [seq for seq in self._announced if self._announced[seq] != stored.get(seq)]
        added = [seq for seq in stored if seq not in self._announced]
        shown = [(self._announced.get(seq) or stored[seq]).evidence(seq) for seq in (*lost, *added)]
        if lost:
            sentence = f"the server's store lacks or changed {len(lost)} events that were announced"
            return [failed(sentence, *shown, blame="server")]
        if added:
            sentence = f"the server stored {len(added)} events that were never announced to this bench"
            return [undecided(sentence, *shown, blame="bench")]
        return [passed("the server stored what it announced", bench(f"{len(stored)} events"))]

    def _believed(self, view: ServerViewRecord) -> list[Finding]:
        rows = (
            ("registration", view.registered, self._registered),
            ("ECUs", dict(view.ecus), self._ecus),
            ("orders", dict(view.orders), self._orders),
        )
        wrong = [(what, says, is_) for what, says, is_ in rows if says != is_]
        if not wrong:
            return [passed("the server believes what its log says", bench("registration, ECUs and orders agree"))]
        what, says, is_ = wrong[0]
        seen = at("server", "view", view.t_ns, f"{what}: the view says {says}, the log {is_}")
        return [failed(f"the server's view of the {what} differs from its own log", seen, blame="server")]

    def findings(self) -> list[Finding]:
        """Return the comparison; nobody asked for the view: not observed."""
        if not self.facts.watches(Source.SERVER_EVENTS):
            return []
        if not self._was_read:
            return [hidden("what the server believes by itself", bench("no server view"))]
        return self._findings
