"""The part of *truthful* about what a vehicle reports of itself: results of its order, a registration that ends."""

from __future__ import annotations

from bench.core.records import ServerEvent
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, passed, undecided
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence
from bench.oracle.running import executed_version
from bench.oracle.server_log import Result, is_success
from bench.oracle.situation import Situation
from bench.oracle.stream import Event


class ReportsItsOwnEcus(Rule):
    """A result names an ECU of its order; one that is no success names the ECU's own version, or none.

    A success is judged against what was executed (`NoSuccessTooEarly`); of a failure nobody else reads who failed.
    """

    takes = (ServerEvent,)
    relies_on = (Source.SERVER_EVENTS, Source.EXECUTIONS)
    only_shown = ("_results",)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._wrong: list[Finding] = []
        self._results = 0

    def take(self, event: Event) -> None:
        """Judge a result when it comes: what the ECU executes then is what it may name."""
        entry: ServerEvent = event
        results = self.situation.server.results
        if entry.kind != "component_result" or not results or results[-1].seq != entry.seq:
            return
        self._results += 1
        wrong = self._judge(results[-1], str(entry.data.get("version") or ""))
        if wrong is not None:
            self._wrong.append(wrong)

    def _judge(self, result: Result, version: str) -> Finding | None:
        order = self.situation.server.order(result.order)
        said = at("server", result.ecu, result.t_ns, f"result {result.result_code}, version {version!r}")
        if order is None:
            return None  # `OrdersEndOnce` and `NoSuccessTooEarly` say it
        if result.ecu not in [ecu for ecu, _ in order.targets]:
            targets = at("server", f"order {order.order}", order.t_ns, ", ".join(ecu for ecu, _ in order.targets))
            sentence = f"a result of order {order.order} names {result.ecu!r}, which the order does not"
            return failed(sentence, said, targets, blame="agent")
        if is_success(result.result_code) or not version or not self.facts.watches(Source.EXECUTIONS, result.ecu):
            return None
        run = self.situation.ecus[result.ecu].execution if result.ecu in self.situation.ecus else None
        runs = None if run is None else executed_version(run)
        if run is None or runs == version:
            return None
        ran = at("execution", result.ecu, run.t_ns, f"executes {runs}")
        return failed(
            f"a failure of {result.ecu} names version {version!r}, it executes {runs!r}", said, ran, blame="agent"
        )

    def findings(self) -> list[Finding]:
        """Return what was wrong, or that nothing was."""
        if not self.facts.watches(Source.SERVER_EVENTS):
            return []
        text = f"{self._results} results, each of an ECU of its order"
        return self._wrong or [passed("every result names an ECU of its order", bench(text))]


class RegistrationEnds(Rule):
    """A vehicle that was handed its account says that it has it: BootstrapComplete follows every registration.

    Without it the server keeps a session token in the air of which it does not know who holds it (OMA DM 2.0,
    BootstrapComplete alert).
    """

    takes = (ServerEvent,)
    relies_on = (Source.SERVER_EVENTS,)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._registered: Evidence | None = None
        self._final: Evidence | None = None
        self._sessions_since = 0

    def take(self, event: Event) -> None:
        """Follow the registration of the record's vehicle."""
        entry: ServerEvent = event
        if entry.vin != self.facts.vin:
            return
        if entry.kind == "registered":
            self._registered = at("server", "registration", entry.t_ns, "the account was handed out")
            self._final, self._sessions_since = None, 0
        elif entry.kind == "bootstrap_complete":
            self._final = at("server", "registration", entry.t_ns, "final")
        elif entry.kind == "session_ended" and self._final is None:
            self._sessions_since += 1

    def findings(self) -> list[Finding]:
        """Return whether the last registration became final."""
        if not self.facts.watches(Source.SERVER_EVENTS):
            return []
        seen = self._registered
        if seen is None:
            return [passed("the vehicle did not register in this run", bench("no registration"))]
        if self._final is not None:
            return [passed("the registration became final", seen, self._final)]
        if self._sessions_since:
            text = bench(f"{self._sessions_since} sessions ended since, no BootstrapComplete")
            return [failed("the vehicle never said that its registration is complete", seen, text, blame="agent")]
        return [undecided("the run ended while the vehicle was registering", seen)]
