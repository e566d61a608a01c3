"""The part of *tidy* about a tester that does not stop: its tester present ends with its work."""

from __future__ import annotations

from bench.oracle.bus import FunctionalRequest
from bench.oracle.exchange import TESTER_PRESENT, Exchange
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, passed, seconds
from bench.oracle.fold import Rule
from bench.oracle.pairing import Requested
from bench.oracle.result import Evidence
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

S3_SERVER_NS = 5_000_000_000
"""ISO 14229-2, S3 of the server: a session that nobody keeps falls back after five seconds."""
_READING = (0x19, 0x22)
"""Reading keeps no session open, and needs none."""


class TesterPresentEnds(Rule):
    """A tester keeps sessions open no longer than S3 after the last request for which it needed them.

    Tester present that goes on holds every ECU that hears it out of its default session, awake and without its normal
    communication, for as long as the vehicle has power (ISO 14229-1, 0x3E).
    """

    takes = (FunctionalRequest, Requested)
    relies_on = (Source.FRAMES,)
    only_shown = ("_present",)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._worked_ns: int | None = None
        self._worked: Evidence | None = None
        self._kept: list[Evidence] = []
        """Tester present since then that came too late."""
        self._present = 0

    def take(self, event: Event) -> None:
        """Measure a tester present from the last work before it; more work explains what came before."""
        exchange: Exchange = event.exchange
        t_ns, service = exchange.request.t_end_ns, exchange.service
        if service == TESTER_PRESENT:
            self._present += 1
            if self._worked_ns is not None and t_ns - self._worked_ns > S3_SERVER_NS and len(self._kept) < 3:
                text = f"3E {seconds(t_ns - self._worked_ns)} after the last other request"
                self._kept.append(at("frame", exchange.channel, t_ns, text))
        elif service not in _READING:
            self._worked_ns, self._kept = t_ns, []
            self._worked = at("frame", exchange.channel, t_ns, exchange.request.payload[:8].hex(" ").upper())

    def findings(self) -> list[Finding]:
        """Return the tester present that nothing needed."""
        if not self.facts.watches(Source.FRAMES):
            return []
        if self._kept and self._worked is not None:
            sentence = "tester present went on after the last request that needed a session"
            return [failed(sentence, self._worked, *self._kept, blame="flasher")]
        return [passed("no session was kept without need", bench(f"{self._present} times tester present"))]
