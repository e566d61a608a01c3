"""The part of *neighbours* that reads fault memories: no new DTC anywhere, once all is over."""

from __future__ import annotations

from bench.core.records import Dtc, DtcReading, ExpectedFrame
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, passed, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.invariants.neighbours import WHOLE_VEHICLE, part_of, runs_application, struck
from bench.oracle.pairing import Exchanged
from bench.oracle.result import Evidence
from bench.oracle.situation import Disturbance, Situation
from bench.oracle.stream import Event

TEST_FAILED = 0x01
"""Bit of statusOfDTC (ISO 14229-1, annex D.2): the last test failed, so the failure is there now."""
CUT_OF_AN_ECU = "power.ecu"


class NoNewDtc(Rule):
    """No ECU has a DTC after the drive that it had not before; one that had healed and fails again counts as new.

    Just allowed: a lost communication that has healed, when a fault was injected into somebody on the frame's way or
    into the tester; one whose sender runs no application (that is what other invariants are about); whatever an ECU
    notes that a fault struck itself, unless a later update should have cleared it; and what an ECU notes whose update
    did not end in the ordered software: a workshop wants to read that.
    """

    takes = (DtcReading, Exchanged)
    relies_on = (Source.DTCS,)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._before: dict[str, DtcReading] = {}
        self._after: dict[str, DtcReading] = {}
        self._checked_ns: dict[str, int] = {}
        """When the ECU last said that a downloaded image is good."""

    def take(self, event: Event) -> None:
        """Keep the readings, and when each ECU was last programmed."""
        if isinstance(event, DtcReading):
            (self._before if event.before else self._after)[event.ecu] = event
            return
        exchange = event.exchange
        layout = self.facts.layout(exchange.ecu or "")
        if layout is not None and exchange.positive and exchange.is_routine(layout.check_routine):
            self._checked_ns[layout.ecu] = exchange.request.t_end_ns

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU of the vehicle."""
        around = self.facts.surroundings
        return [] if around is None else [self._of(ecu) for ecu, _ in around.buses]

    def _of(self, ecu: str) -> Finding:
        if not self.facts.watches(Source.DTCS, ecu):
            return unseen(f"the DTCs of {ecu} were not read", bench(f"no reading of DTCs of {ecu}"))
        before, after = self._before.get(ecu), self._after.get(ecu)
        for when, reading in (("before", before), ("after", after)):
            if reading is None or (reading.dtcs is None and reading.refused is None):
                return undecided(f"{ecu} did not tell its DTCs {when} the story", bench(f"no answer of {ecu} to 0x19"))
            if reading.refused is not None:
                shown = at("dtc", ecu, reading.t_ns, f"7F 19 {reading.refused:02X}")
                return unseen(f"{ecu} does not serve 0x19, so its DTCs are unknown", shown)
        assert before is not None
        assert after is not None
        return self._compared(before, after)

    def _compared(self, before: DtcReading, after: DtcReading) -> Finding:
        had = {dtc.code: dtc.status for dtc in before.dtcs or ()}
        new = [dtc for dtc in after.dtcs or () if _is_new(had.get(dtc.code), dtc)]
        excused = [dtc for dtc in new if self._excused(after.ecu, dtc)]
        shown = [_shown(after, dtc) for dtc in new]
        if len(new) > len(excused):
            first = next(dtc for dtc in new if dtc not in excused)
            named = "" if after.ecu in self._ordered() else ", which the order does not name,"
            return failed(f"{after.ecu}{named} has a new DTC {first.code:06X}", *shown, blame="flasher")
        text = f"{len(after.dtcs or ())} DTCs, {len(had)} before"
        known = f"{after.ecu} has no DTC that it had not before" if not new else f"the new DTCs of {after.ecu} are due"
        return passed(known, *(shown or [at("dtc", after.ecu, after.t_ns, text)]))

    def _ordered(self) -> tuple[str, ...]:
        return () if self.facts.surroundings is None else self.facts.surroundings.ordered

    def _excused(self, ecu: str, dtc: Dtc) -> bool:
        around = self.facts.surroundings
        missed = [f for f in around.expected if (f.ecu, f.dtc) == (ecu, dtc.code)] if around is not None else []
        if missed and self._was_missing(missed[0], dtc):
            return True
        if ecu in self._ordered():
            return not self._runs_target(ecu) or any(self._came_later(ecu, fault) for fault in self.situation.faults)
        return struck(self.situation, ecu)

    def _was_missing(self, frame: ExpectedFrame, dtc: Dtc) -> bool:
        """Return whether a fault, or a sender without application, explains that a frame was missed."""
        if any(not runs_application(self.situation, sender) for sender in frame.senders):
            return True
        return not dtc.status & TEST_FAILED and struck(self.situation, "agent", frame.ecu, *frame.senders)

    def _came_later(self, ecu: str, fault: Disturbance) -> bool:
        """Return whether a fault took an ordered ECU's supply after its last programming, which clears what was."""
        if fault.fault_class not in WHOLE_VEHICLE and (fault.fault_class, part_of(fault)) != (CUT_OF_AN_ECU, ecu):
            return False
        over_ns = fault.t_ns if fault.over_ns is None else fault.over_ns
        return over_ns > self._checked_ns.get(ecu, -1)

    def _runs_target(self, ecu: str) -> bool:
        now = self.situation.ecus[ecu]
        targets = [image.header for image in self.facts.images(ecu, "target")]
        running = now.execution is not None and now.execution.header in targets
        return running and runs_application(self.situation, ecu)


def _is_new(status_before: int | None, dtc: Dtc) -> bool:
    if status_before is None:
        return True
    return bool(dtc.status & TEST_FAILED) and not status_before & TEST_FAILED


def _shown(reading: DtcReading, dtc: Dtc) -> Evidence:
    state = "fails now" if dtc.status & TEST_FAILED else "stored"
    return at("dtc", reading.ecu, reading.t_ns, f"{dtc.code:06X}, status {dtc.status:02X}: {state}")
