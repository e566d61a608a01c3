"""The part of *authentic* about the anti-rollback floor: derived from what was confirmed, not believed.

An ECU reports its floor with each execution; a boot manager that lost it would run an old image and report a floor that
fits. The floor begins with the release counter that the factory installed. It rises to the counter of the running image
when the ECU confirms that one (the recipe's confirm routine), or when the server has its success. It never falls, and
it never rises by anything else: an ECU that raises it before the confirmation can no longer fall back.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.records import EcuLayout, ExecutionRecord, FlashDump, ServerEvent
from bench.oracle.bus import FunctionalRequest
from bench.oracle.decode_image import header_or_none
from bench.oracle.exchange import Exchange
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, failed, passed, undecided
from bench.oracle.fold import Rule
from bench.oracle.pairing import AnsweredLate, Exchanged, Requested
from bench.oracle.result import Evidence
from bench.oracle.server_log import is_success
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

_ANY = 1 << 32
"""More than any release counter: what is allowed where nobody knows which image was confirmed."""


@dataclass(slots=True)
class _Floor:
    """The floor that an ECU must have by now, why, and the highest that it has reported."""

    derived: int
    because: str
    blame: str = "ecu"
    """Who is to blame for a lower one: the ECU that confirmed, or the agent that claims a success without that."""
    reported: int = 0
    allowed: int = 0
    """The highest that anything allows: a confirmation may have worked although its answer never came."""
    requested: int = 0
    """What a confirmation allows that is under way."""


class FloorIsDerived(Rule):
    """No ECU runs an image below the derived floor, and none reports, or keeps, another floor than that."""

    takes = (ExecutionRecord, Requested, Exchanged, AnsweredLate, FunctionalRequest, ServerEvent, FlashDump)
    relies_on = (Source.EXECUTIONS, Source.FRAMES)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._floors: dict[str, _Floor] = {}
        for layout in facts.layouts:
            headers = [header_or_none(reference.header) for reference in facts.images(layout.ecu, "installed")]
            counters = [header.release_counter for header in headers if header is not None]
            floor = _Floor(max(counters, default=0), "the factory installed it")
            floor.allowed = max(counters, default=_ANY)
            self._floors[layout.ecu] = floor
        self._broken: dict[str, list[Finding]] = {layout.ecu: [] for layout in facts.layouts}
        self._seen: dict[str, Evidence] = {}
        self._unexplained: dict[str, tuple[int, Finding]] = {}
        """Floors that rose where nobody could see a confirmation, with what to say if no success explains them."""

    def take(self, event: Event) -> None:
        """Derive the floor from confirmations; hold executions and dumps against it."""
        if isinstance(event, ExecutionRecord):
            if event.ecu in self._floors:
                self._take_execution(event)
        elif isinstance(event, FlashDump):
            self._take_dump(event)
        elif isinstance(event, ServerEvent):
            self._take_result()
        else:
            for layout in self.facts.layouts:
                routine = layout.confirm_routine
                if routine is not None and event.exchange.is_routine(routine) and _reaches(event.exchange, layout):
                    self._take_confirmation(layout, event)

    def _take_confirmation(self, layout: EcuLayout, event: Event) -> None:
        """Follow the confirm routine: from its request on the floor may rise, from a positive answer on it must."""
        floor, run = self._floors[layout.ecu], self.situation.ecus[layout.ecu].execution
        header = None if run is None else header_or_none(run.header)
        if isinstance(event, Requested):
            floor.requested = _ANY if header is None else header.release_counter
            return
        if not event.exchange.negative:
            floor.allowed = max(floor.allowed, _ANY if header is None else header.release_counter, floor.requested)
        floor.requested = 0
        if event.exchange.positive and header is not None:
            self._raise(layout.ecu, header.release_counter, f"{header.version} was confirmed", blame="ecu")

    def _take_result(self) -> None:
        """A success in the server's log counts as a confirmation: the vehicle says that it is over."""
        results = self.situation.server.results
        if not results or not is_success(results[-1].result_code):
            return
        last = results[-1]
        headers = [header_or_none(r.header) for r in self.facts.images(last.ecu) if r.version == last.version]
        for header in headers:
            if header is not None and last.ecu in self._floors:
                because = f"a success of {header.version} was reported"
                self._raise(last.ecu, header.release_counter, because, blame="agent")

    def _raise(self, ecu: str, counter: int, because: str, *, blame: str) -> None:
        floor = self._floors[ecu]
        if counter > floor.derived:
            floor.derived, floor.because, floor.blame = counter, because, blame
        floor.allowed = max(floor.allowed, counter)

    def _take_execution(self, run: ExecutionRecord) -> None:
        floor, header = self._floors[run.ecu], header_or_none(run.header)
        self._check(
            run.ecu, run.release_floor, at("execution", run.ecu, run.t_ns, f"reports floor {run.release_floor}")
        )
        if header is not None and header.release_counter < floor.derived:
            sentence = f"{run.ecu} executed release counter {header.release_counter}, below the floor {floor.derived}"
            what = at(
                "execution", run.ecu, run.t_ns, f"executes {header.version}; floor {floor.derived}: {floor.because}"
            )
            self._broken[run.ecu].append(failed(sentence, what, blame="bootloader"))

    def _take_dump(self, dump: FlashDump) -> None:
        if dump.release_floor is not None and dump.ecu in self._floors:
            seen = Evidence("flash", f"{dump.ecu} non-volatile memory", f"release floor {dump.release_floor}")
            self._check(dump.ecu, dump.release_floor, seen)

    def _check(self, ecu: str, reported: int, seen: Evidence) -> None:
        floor = self._floors[ecu]
        self._seen[ecu] = seen
        if reported < floor.reported:
            sentence = f"the release floor of {ecu} fell from {floor.reported} to {reported}"
            self._broken[ecu].append(failed(sentence, seen, blame="ecu"))
        elif reported < floor.derived:
            sentence = f"the release floor of {ecu} is {reported}, and must be {floor.derived}: {floor.because}"
            self._broken[ecu].append(failed(sentence, seen, blame=floor.blame))
        elif reported > max(floor.allowed, floor.requested):
            self._rose(ecu, reported, seen)
        floor.reported = max(floor.reported, reported)

    def _rose(self, ecu: str, reported: int, seen: Evidence) -> None:
        """Note a floor that nothing allows; where no confirmation can be heard, a success may still explain it."""
        floor, layout = self._floors[ecu], self.facts.layout(ecu)
        allowed = max(floor.allowed, floor.requested)
        sentence = f"the release floor of {ecu} rose to {reported} without a confirmation, up to {allowed} is allowed"
        if layout is not None and layout.confirm_routine is not None and (
            self.facts.watches(Source.FRAMES, layout.channel)
        ):  # fmt: skip
            self._broken[ecu].append(failed(sentence, seen, blame="ecu"))
            floor.allowed = reported
        else:
            why = f"the release floor of {ecu} rose to {reported}, and nobody could see whether that was confirmed"
            self._unexplained[ecu] = (reported, undecided(why, seen, blame="bench"))

    def findings(self) -> list[Finding]:
        """Return what broke the floor of each ECU, or where it stands; nothing where no floor was ever seen."""
        found = []
        for ecu, seen in self._seen.items():
            floor = self._floors[ecu]
            counter, unexplained = self._unexplained.get(ecu, (0, None))
            open_questions = [] if unexplained is None or counter <= floor.derived else [unexplained]
            standing = [passed(f"the release floor of {ecu} is {floor.reported}", seen)]
            found += [*self._broken[ecu], *open_questions] or standing
        return found


def _reaches(exchange: Exchange, layout: EcuLayout) -> bool:
    """Return whether a request goes to an ECU, alone or with all others of its bus."""
    return exchange.ecu == layout.ecu or (exchange.ecu is None and exchange.channel == layout.channel)
