"""The part of *silent* that looks at the car: preconditions when programming began, and no start while inhibited."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.records import BootRecord, ConditionRecord, EcuLayout
from bench.oracle.bus import Inhibited
from bench.oracle.car import Unmet, unmet
from bench.oracle.exchange import SESSION, Exchange
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, on_bus, passed, unseen
from bench.oracle.fold import Rule
from bench.oracle.pairing import AnsweredLate, Exchanged, Requested
from bench.oracle.result import Evidence
from bench.oracle.situation import APPLICATION, Situation
from bench.oracle.stream import Event

PROGRAMMING = 0x02


def _car_unseen(facts: Facts, layouts: list[EcuLayout]) -> list[Finding]:
    """Return that the car around these ECUs was not observed; nothing where it was, or where the bus was not."""
    seen = facts.watches(Source.CONDITIONS) and facts.watches(Source.BOOTS)
    if seen or not facts.watches(Source.FRAMES):
        return []
    why = bench("no record of the car's state, or of the ECUs' boots")
    return [unseen(f"the car around {layout.ecu} was not observed", why) for layout in layouts]


def _of_request(layout: EcuLayout, exchange: Exchange) -> Evidence:
    text = f"{exchange.request.sender} to {layout.ecu}: {exchange.request.payload.hex(' ').upper()}"
    return at("frame", layout.channel, exchange.request.t_end_ns, text)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A request for the programming session: when, what the car did not meet then, whether an application ran."""

    t_ns: int
    missing: tuple[Unmet, ...]
    application_ran: bool


class CarIsAsDemanded(Rule):
    """An application lets nothing pass into programming, followed by an erase, in a car that is not as it demands.

    A bootloader that finds itself without an application knows nothing of the car, so it is not judged.
    """

    takes = (Requested, Exchanged, AnsweredLate)
    relies_on = (Source.FRAMES, Source.CONDITIONS, Source.BOOTS)
    only_shown = ("_entries",)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._demanding = [layout for layout in facts.layouts if layout.demands]
        self._requested: dict[str, _Entry] = {}
        self._entered: dict[str, _Entry] = {}
        self._entries = {layout.ecu: 0 for layout in self._demanding}
        self._broken: dict[str, Finding] = {}

    def take(self, event: Event) -> None:
        """Look at the car when programming is asked for; judge the erasures behind it."""
        exchange: Exchange = event.exchange
        layout = next((each for each in self._demanding if each.ecu == exchange.ecu), None)
        if layout is None:
            return
        if exchange.service == SESSION and exchange.sub_function == PROGRAMMING:
            if isinstance(event, Requested):
                boot = self.situation.ecus[layout.ecu].boot
                ran = boot is not None and boot.stage == APPLICATION
                entry = _Entry(exchange.request.t_end_ns, unmet(layout, self.situation.car), ran)
                self._requested[layout.ecu] = entry
            elif exchange.positive:
                self._enter(layout, exchange)
        elif isinstance(event, Exchanged) and not exchange.negative and exchange.is_routine(layout.erase_routine):
            self._erased(layout, exchange)

    def _enter(self, layout: EcuLayout, exchange: Exchange) -> None:
        entry = self._requested.get(layout.ecu)
        if entry is not None and entry.t_ns == exchange.request.t_end_ns and entry.application_ran:
            self._entered[layout.ecu] = entry
            self._entries[layout.ecu] += 1

    def _erased(self, layout: EcuLayout, exchange: Exchange) -> None:
        entry = self._entered.get(layout.ecu)
        if entry is not None and entry.missing and exchange.request.t_start_ns > entry.t_ns:
            seen = [at("condition", layout.ecu, entry.t_ns, each.text()) for each in entry.missing]
            key = entry.missing[0].demand.key
            sentence = f"{layout.ecu} was erased although the car was not as it demands: {key}"
            self._broken.setdefault(layout.ecu, failed(sentence, *seen, _of_request(layout, exchange), blame="ecu"))

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU that demands something."""
        if not self.facts.watches(Source.FRAMES):
            return []
        return _car_unseen(self.facts, self._demanding) or [self._of(layout) for layout in self._demanding]

    def _of(self, layout: EcuLayout) -> Finding:
        if layout.ecu in self._broken:
            return self._broken[layout.ecu]
        times = self._entries[layout.ecu]
        text = f"{layout.ecu} began programming {times} times, with everything as it demands wherever it was erased"
        return passed(text, on_bus(layout.channel, text))


class NotStartedWhileInhibited(Rule):
    """No engine start while an ECU inhibits it, and none while that ECU has no application at all."""

    takes = (ConditionRecord, Inhibited, BootRecord, Exchanged)
    relies_on = (Source.FRAMES, Source.CONDITIONS, Source.BOOTS)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._inhibiting = [layout for layout in facts.layouts if layout.inhibit is not None]
        self._words: dict[str, list[Inhibited]] = {layout.ecu: [] for layout in self._inhibiting}
        self._erased: dict[str, Exchange] = {}
        self._application_ns: dict[str, int] = {}
        self._engine: bool | None = None
        self._starting: ConditionRecord | None = None
        self._refused: list[Evidence] = []
        self._broken: dict[str, Finding] = {}

    def take(self, event: Event) -> None:
        """Follow the signal, the engine and the applications; a start is judged once its instant is over."""
        exchange = event.exchange if isinstance(event, Exchanged) else None
        t_ns = event.t_ns if exchange is None else exchange.answered_t_ns or exchange.request.t_end_ns
        if self._starting is not None and t_ns > self._starting.t_ns:
            self._judge_start()
        if isinstance(event, ConditionRecord):
            self._take_condition(event)
        elif isinstance(event, Inhibited):
            self._words[event.ecu].append(event)
        elif isinstance(event, BootRecord):
            if event.stage == APPLICATION:
                self._application_ns[event.ecu] = event.t_ns
        elif exchange is not None and exchange.positive:
            layout = next((each for each in self._inhibiting if each.ecu == exchange.ecu), None)
            if layout is not None and exchange.is_routine(layout.erase_routine):
                self._erased[layout.ecu] = exchange

    def _take_condition(self, change: ConditionRecord) -> None:
        if not change.accepted:
            self._refused.append(at("condition", "car", change.t_ns, f"{change.key} refused: {change.cause}"))
        elif change.key == "engine":
            if change.value is True and self._engine is False:  # the first value is that of the run's beginning
                self._starting = change
            self._engine = change.value is True

    def _judge_start(self) -> None:
        start, self._starting = self._starting, None
        if start is None:
            return
        started = at("condition", "car", start.t_ns, f"engine started: {start.cause}")
        for layout in self._inhibiting:
            words, erased = self._words[layout.ecu], self._without_application(layout)
            if words and words[-1].on:
                why = at("frame", layout.channel, words[-1].t_ns, f"{layout.ecu} inhibits the start")
                sentence = f"the car was started while {layout.ecu} inhibited it"
                self._broken.setdefault(layout.ecu, failed(sentence, started, why, blame="ecu"))
            elif erased is not None:
                sentence = f"the car was started while {layout.ecu} had no application, and nothing inhibited it"
                why = _of_request(layout, erased)
                self._broken.setdefault(layout.ecu, failed(sentence, started, why, blame="bootloader"))

    def _without_application(self, layout: EcuLayout) -> Exchange | None:
        """Return the erase of an only bank that no start of an application has followed, or None."""
        erased = self._erased.get(layout.ecu)
        if erased is None or len(layout.banks) > 1:
            return None
        started_ns = self._application_ns.get(layout.ecu)
        return erased if started_ns is None or started_ns < erased.request.t_start_ns else None

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU that can inhibit the start."""
        self._judge_start()
        if not self.facts.watches(Source.FRAMES):
            return []
        demanding = any(layout.demands for layout in self.facts.layouts)
        missing = _car_unseen(self.facts, self._inhibiting)
        return missing if missing and not demanding else [] if missing else [self._of(e) for e in self._inhibiting]

    def _of(self, layout: EcuLayout) -> Finding:
        if layout.ecu in self._broken:
            return self._broken[layout.ecu]
        words = len(self._words[layout.ecu])
        text = f"{words} changes of the inhibit signal of {layout.ecu}, no start while it was set"
        return passed(text, on_bus(layout.channel, text), *self._refused)
