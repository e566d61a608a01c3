"""Live: after bounded faults the vehicle reaches the target, or a documented refusal, within the stated time."""

from __future__ import annotations

from bench.oracle.facts import Source
from bench.oracle.findings import Finding, at, bench, failed, of_reading, passed, seconds, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.lateness import missed
from bench.oracle.quiet import clock_start, clock_start_ns, limit_ns, limit_over
from bench.oracle.result import Evidence
from bench.oracle.running import SOFTWARE_VERSION, version_text
from bench.oracle.server_log import INSTALL_FAILED, Closing, Order, ServerLog

AGENT = "agent"
"""The part whose own errors are the vehicle's: every other part of a simulated vehicle is the bench's."""
REASON_CHARACTERS = 120
"""How much of the vehicle's own words the sentence quotes; the evidence has all."""


class ReachesItsEnd(Rule):
    """The last order placed ends as expected, in time.

    The limit counts from the placing of the order or, when later, from the last fault's restoration. Where an
    update is expected the order must end as a success with every target read back, else as failed or refused.
    """

    relies_on = (Source.SERVER_EVENTS, Source.READINGS)

    def findings(self) -> list[Finding]:
        """Return the findings on end, time and targets."""
        crash = self.situation.crash
        if crash is not None and crash.part == AGENT:
            seen = at("time", crash.part, crash.t_ns, crash.error)
            return [failed(f"the agent ended with an error of its own: {crash.error}", seen, blame="agent")]
        if not self.facts.watches(Source.SERVER_EVENTS):
            return [unseen("the server's log was not read", bench("no server events"))]
        log = self.situation.server
        if not log.orders:
            nothing = bench("no order_placed")
            return [undecided("no order was placed, so nothing could be reached", nothing, blame="bench")]
        order = log.orders[-1]
        closings = log.closings_of(order.order)
        if not closings:
            return [self._still_open(log, order)]
        blame = _ended_by(log, order)
        found = [
            self._in_time(order, closings[0]),
            self._expected_end(order, closings[0], blame),
            *self._came_to_rest(),
        ]
        return found + (self._targets(order, blame) if self.facts.expects_update else [])

    def _still_open(self, log: ServerLog, order: Order) -> Finding:
        ended_ns, over_ns = self.situation.ended_t_ns, limit_ns(self.situation, order)
        seen = (clock_start(self.situation, order), at("time", "bench", ended_ns, "the run ended with the order open"))
        if limit_over(self.situation, order):
            allowed, reported = at("time", "bench", over_ns, "the limit"), _reported(log, order)
            blame = _kept_open_by(log, order)
            sentence = f"order {order.order} reached no end within its limit"
            return self._missed(order, failed(sentence, *seen, allowed, reported, blame=blame), ended_ns)
        left = seconds(over_ns - ended_ns)
        return undecided(f"the run ended {left} before the limit, with order {order.order} still open", *seen)

    def _came_to_rest(self) -> list[Finding]:
        """A run that its time limit ended shows no rest: what would have come next nobody knows."""
        if self.situation.ended_by == "quiet":
            return []
        ended = at("time", "bench", self.situation.ended_t_ns, f"the run was ended by its {self.situation.ended_by}")
        return [undecided("the order has an end, but the run never became quiet", ended)]

    def _in_time(self, order: Order, closing: Closing) -> Finding:
        allowed_ns = self.facts.limits.live_within_ns
        took_ns = max(0, closing.t_ns - clock_start_ns(self.situation, order))
        spent = at("time", "bench", closing.t_ns, f"{seconds(took_ns)} after that, allowed are {seconds(allowed_ns)}")
        seen = (clock_start(self.situation, order), _closed(closing), spent)
        if took_ns > allowed_ns:
            return self._missed(order, failed(f"order {order.order} ended later than its limit", *seen), closing.t_ns)
        return passed(f"order {order.order} took {seconds(took_ns)} of {seconds(allowed_ns)}", *seen)

    def _missed(self, order: Order, failure: Finding, until_ns: int) -> Finding:
        """Return the failure, unless this machine itself was as late as that (real time)."""
        since_ns, allowed_ns = clock_start_ns(self.situation, order), self.facts.limits.live_within_ns
        return missed(failure, self.situation.lateness, since_ns=since_ns, until_ns=until_ns, limit_ns=allowed_ns)

    def _expected_end(self, order: Order, closing: Closing, blame: str | None) -> Finding:
        expected = ("success",) if self.facts.expects_update else ("refused", "failed")
        if closing.status in expected:
            return passed(f"order {order.order} ended as {closing.status}, as expected", _closed(closing))
        sentence = f"order {order.order} ended as {closing.status}, expected was {' or '.join(expected)}"
        reasons = [
            at("server", f"order {order.order}", reason.t_ns, f"{reason.ecu}: {reason.text}")
            for reason in self.situation.server.reasons
            if reason.order == order.order
        ]
        if reasons:
            sentence = f"{sentence}: {reasons[0].text[:REASON_CHARACTERS]}"
        return failed(sentence, _closed(closing), *reasons, blame=blame)

    def _targets(self, order: Order, blame: str | None) -> list[Finding]:
        if not order.targets:
            return [undecided(f"order {order.order} names no target", bench("order without targets"), blame="bench")]
        return [self._target(ecu, version, blame) for ecu, version in order.targets]

    def _target(self, ecu: str, version: str, blame: str | None) -> Finding:
        read = self.situation.reading(ecu, SOFTWARE_VERSION)
        if read is None:
            return undecided(f"the version of {ecu} was not read", bench(f"no reading F189 of {ecu}"))
        if version_text(read) == version:
            return passed(f"{ecu} holds its target {version}", of_reading(read))
        sentence = f"{ecu} did not reach {version}, it reads {version_text(read)!r}"
        return failed(sentence, of_reading(read), blame=blame)


def _ended_by(log: ServerLog, order: Order) -> str | None:
    """Return who the results point at when the order ended otherwise than it should."""
    codes = log.codes_of(order)
    if INSTALL_FAILED in codes.values():
        return "flasher"
    return None if codes else "agent"


def _kept_open_by(log: ServerLog, order: Order) -> str:
    """Return whose step is missing in an open order: the closing, a good installation, the offer or a result."""
    codes = log.codes_of(order)
    if codes and len(codes) == len(order.targets):
        return "server"
    if INSTALL_FAILED in codes.values():
        return "flasher"
    reported = any(inventory.seq > order.seq for inventory in log.inventories)
    offered = any(offer == order.order for offer, _ in log.offers)
    return "server" if reported and not offered and not codes else "agent"


def _reported(log: ServerLog, order: Order) -> Evidence:
    codes = ", ".join(f"{ecu} {code}" for ecu, code in log.codes_of(order).items())
    return Evidence("server", f"order {order.order}", f"results: {codes or 'none'}")


def _closed(closing: Closing) -> Evidence:
    return at("server", f"order {closing.order}", closing.t_ns, f"closed: {closing.status}")
