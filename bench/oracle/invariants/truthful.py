"""Truthful: the server believes what UDS reads, reports no success too early, ends each order in one status."""

from __future__ import annotations

from typing import NamedTuple

from bench.core.records import DidReading, EcuLayout, ExecutionRecord
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, of_reading, passed, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.quiet import limit_over
from bench.oracle.running import SOFTWARE_VERSION, executed_version, version_text
from bench.oracle.server_log import Result, is_success
from bench.oracle.situation import Situation
from bench.oracle.stream import Event


class ReadsWhatItRuns(Rule):
    """The version that an ECU reads is that of the image that it had begun to execute last."""

    takes = (DidReading,)
    relies_on = (Source.READINGS, Source.EXECUTIONS)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._found: list[Finding] = []

    def take(self, event: Event) -> None:
        """Judge a reading as it is taken.

        A start since the execution, or an executed header that cannot be read, leaves nothing to compare with.
        """
        read: DidReading = event
        if read.did != SOFTWARE_VERSION:
            return
        ecu = self.situation.ecus.get(read.ecu)
        last = None if ecu is None else ecu.execution
        version = None if last is None else executed_version(last)
        restarted = ecu is not None and last is not None and ecu.left_application_after(last.t_ns)
        if last is None or version is None or read.value is None or restarted:
            self._found.append(passed(f"the version that {read.ecu} reads stands alone", of_reading(read)))
            return
        ran = at("execution", read.ecu, last.t_ns, f"executes {version} from bank {last.bank}")
        if version_text(read) == version:
            self._found.append(passed(f"{read.ecu} reads the version that it executes", of_reading(read), ran))
            return
        sentence = f"{read.ecu} reads {version_text(read)!r} but executes {version!r}"
        self._found.append(failed(sentence, of_reading(read), ran, blame="ecu"))

    def findings(self) -> list[Finding]:
        """Return the findings, which mean nothing where the server's log was not read."""
        return self._found if self.facts.watches(Source.SERVER_EVENTS) else []


class BelievesWhatIsRead(Rule):
    """What the server believes of each ECU is what UDS reads.

    While an order is open and its limit not over, things are not quiet: what would be false then stays undecided.
    """

    relies_on = (Source.READINGS, Source.SERVER_EVENTS)

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU."""
        if not self.facts.watches(Source.SERVER_EVENTS):
            return [unseen("the server's log was not read", bench("no server events"))]
        log = self.situation.server
        quiet = all(log.closings_of(order.order) or limit_over(self.situation, order) for order in log.orders)
        return [self._belief(layout, quiet=quiet) for layout in self.facts.layouts]

    def _belief(self, layout: EcuLayout, *, quiet: bool) -> Finding:
        beliefs = self.situation.server.beliefs
        belief, read = beliefs.get(layout.ecu), self.situation.reading(layout.ecu, SOFTWARE_VERSION)
        if read is None:
            return undecided(f"the version of {layout.ecu} was not read", bench(f"no reading F189 of {layout.ecu}"))
        if self.situation.answering(layout.ecu) is None:
            return undecided(f"{layout.ecu} answers nothing, so nobody knows what it holds", of_reading(read))
        if belief is None:
            nothing = f"the vehicle never told the server about {layout.ecu}"
            judged = failed if beliefs and quiet else undecided
            return judged(nothing, bench(f"no inventory and no result names {layout.ecu}"), of_reading(read))
        seen = (at("server", layout.ecu, belief.t_ns, f"{belief.source}: {belief.version!r}"), of_reading(read))
        if belief.version == version_text(read):
            return passed(f"the server knows that {layout.ecu} holds {belief.version!r}", *seen)
        sentence = f"the server believes {layout.ecu} holds {belief.version!r}, UDS reads {version_text(read)!r}"
        if not quiet:
            return undecided(f"{sentence}, but an order is still under way", *seen)
        return failed(sentence, *seen, blame="agent")


class _First(NamedTuple):
    """The first execution of a version."""

    t_ns: int
    bank: str


class NoSuccessTooEarly(Rule):
    """A success is reported only once that ECU has executed that version."""

    takes = (ExecutionRecord,)
    relies_on = (Source.EXECUTIONS, Source.SERVER_EVENTS)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._first: dict[tuple[str, str], _First] = {}

    def take(self, event: Event) -> None:
        """Note the first execution of a version by an ECU: when, and from which bank."""
        version = executed_version(event)
        if version is not None:
            self._first.setdefault((event.ecu, version), _First(event.t_ns, event.bank))

    def findings(self) -> list[Finding]:
        """Return a finding for each success that was reported."""
        return [self._result(r) for r in self.situation.server.results if is_success(r.result_code)]

    def _result(self, result: Result) -> Finding:
        said = at("server", result.ecu, result.t_ns, f"component result {result.result_code} for {result.version!r}")
        if self.situation.server.order(result.order) is None:
            return failed(
                f"a success of {result.ecu} was reported for no order ({result.order!r})", said, blame="server"
            )
        if not self.facts.watches(Source.EXECUTIONS, result.ecu):
            return unseen(f"when {result.ecu} first executed {result.version!r} was not observed", said)
        first = self._first.get((result.ecu, result.version))
        if first is not None and first.t_ns <= result.t_ns:
            ran = at("execution", result.ecu, first.t_ns, f"first executed {result.version} from bank {first.bank}")
            return passed(f"the success of {result.ecu} was reported when it was true", said, ran)
        never = bench("it was never executed")
        when = at("execution", result.ecu, first.t_ns, "first execution") if first is not None else never
        sentence = f"success of {result.ecu} was reported before it ran {result.version!r}"
        return failed(sentence, said, when, blame="agent")
