"""The verdict on a run: every invariant in order, then the rules of docs/contracts.md."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from bench.core.frame_run import FrameRunRecord
from bench.core.records import FlashDump, FrameRecord, RunRecord
from bench.oracle.bus import BusDecoder
from bench.oracle.consistency import Consistency
from bench.oracle.coverage import Doubt, doubts_of_coverage, not_looked_at
from bench.oracle.executing import ExecutedFlash
from bench.oracle.facts import Facts
from bench.oracle.findings import conclude
from bench.oracle.fold import Fold, Rule
from bench.oracle.invariants.authentic import GenuineExecutions
from bench.oracle.invariants.authentic_bus import GenuineData
from bench.oracle.invariants.authentic_floor import FloorIsDerived
from bench.oracle.invariants.authentic_mark import MarkedOnceChecked
from bench.oracle.invariants.authentic_seeds import SeedsDiffer
from bench.oracle.invariants.bootable import AnswersAfterwards, RunsWhatItMay
from bench.oracle.invariants.bootable_between import ApplicationAtEveryBoot
from bench.oracle.invariants.bootable_starts import StartsInTime
from bench.oracle.invariants.live import AGENT, ReachesItsEnd
from bench.oracle.invariants.neighbours import MemoryIsAsItWas, NobodyElseRestarts
from bench.oracle.invariants.neighbours_dtcs import NoNewDtc
from bench.oracle.invariants.neighbours_frames import FramesGoOn
from bench.oracle.invariants.silent import NothingTouchedTooEarly, when_silent
from bench.oracle.invariants.silent_car import CarIsAsDemanded, NotStartedWhileInhibited
from bench.oracle.invariants.silent_voltage import VoltageWasEnough
from bench.oracle.invariants.tidy import DiskIsFreed, NoDowngrade, SessionsFellBack
from bench.oracle.invariants.tidy_bus import Restored, StartIsAllowed
from bench.oracle.invariants.tidy_once import ErasedOnce, FlashedOnce
from bench.oracle.invariants.tidy_server import MessagesAreAccepted, PollsAsAgreed, SessionsEnd
from bench.oracle.invariants.tidy_tester import TesterPresentEnds
from bench.oracle.invariants.truthful import BelievesWhatIsRead, NoSuccessTooEarly, ReadsWhatItRuns
from bench.oracle.invariants.truthful_confirmed import ConfirmedWhatItClaims
from bench.oracle.invariants.truthful_orders import OrdersEndOnce
from bench.oracle.invariants.truthful_results import RegistrationEnds, ReportsItsOwnEcus
from bench.oracle.invariants.truthful_view import BelievesItsOwnLog
from bench.oracle.invariants.whole import RunningImage
from bench.oracle.result import Invariant, InvariantVerdict, RunVerdict, Verdict
from bench.oracle.situation import Situation
from bench.oracle.state import relative
from bench.oracle.stream import AgentDisk, Ended, Event, RawEvent, events, instant_ns

RULES: Mapping[Invariant, tuple[type[Rule], ...]] = {
    Invariant.BOOTABLE: (AnswersAfterwards, StartsInTime, RunsWhatItMay, ApplicationAtEveryBoot),
    Invariant.AUTHENTIC: (GenuineExecutions, FloorIsDerived, GenuineData, MarkedOnceChecked, SeedsDiffer),
    Invariant.WHOLE: (RunningImage, ExecutedFlash),
    Invariant.TRUTHFUL: (
        ReadsWhatItRuns, BelievesWhatIsRead, NoSuccessTooEarly, OrdersEndOnce, ConfirmedWhatItClaims,
        ReportsItsOwnEcus, RegistrationEnds, BelievesItsOwnLog,
    ),
    Invariant.LIVE: (ReachesItsEnd,),
    Invariant.TIDY: (Restored, FlashedOnce, ErasedOnce, StartIsAllowed, SessionsFellBack, NoDowngrade, DiskIsFreed,
        TesterPresentEnds, MessagesAreAccepted, SessionsEnd, PollsAsAgreed),
    Invariant.SILENT: (NothingTouchedTooEarly, CarIsAsDemanded, NotStartedWhileInhibited, VoltageWasEnough),
    Invariant.NEIGHBOURS: (NobodyElseRestarts, MemoryIsAsItWas, FramesGoOn, NoNewDtc),
}  # fmt: skip
"""In the order of docs/contracts.md. A new rule stands here and in a file of its own; nothing else changes."""

WHEN_PASSED: Mapping[Invariant, Callable[[Situation], str]] = {
    Invariant.BOOTABLE: lambda _: "every ECU answers, came up in time and runs what it may run",
    Invariant.AUTHENTIC: lambda _: "only genuine images were executed, and no other one was sent to an ECU",
    Invariant.WHOLE: lambda _: "the flash of every running image equals the signed image",
    Invariant.TRUTHFUL: lambda _: "the server knows what the ECUs hold, and said nothing too early",
    Invariant.LIVE: lambda _: "the order reached its expected end within the limit",
    Invariant.TIDY: lambda _: "everything that the update changed on the way is as it was before",
    Invariant.SILENT: when_silent,
    Invariant.NEIGHBOURS: lambda _: "what the order does not name is as it was, and no ECU has a new DTC",
}
"""The sentence of a pass."""


class InvariantFold:
    """One invariant: its rules together."""

    def __init__(self, invariant: Invariant, facts: Facts, situation: Situation) -> None:
        self.invariant, self._situation = invariant, situation
        self._rules = tuple(rule(facts, situation) for rule in RULES[invariant])

    def readers(self, kind: type) -> tuple[Rule, ...]:
        """Return the rules that read a kind of event."""
        return tuple(rule for rule in self._rules if issubclass(kind, rule.takes))

    def key(self) -> Hashable:
        """Return the state of all rules."""
        return tuple((type(rule).__name__, rule.key()) for rule in self._rules)

    def verdict(self, doubts: Sequence[Doubt] = ()) -> InvariantVerdict:
        """Return the worst that any rule found; a doubt about a source that a rule relies on undoes a pass."""
        found = [finding for rule in self._rules for finding in rule.findings()]
        relied_on = tuple(dict.fromkeys(source for rule in self._rules for source in rule.relies_on))
        found += [doubt.finding for doubt in doubts if any(source in relied_on for source in doubt.sources)]
        verdict = conclude(self.invariant, found, WHEN_PASSED[self.invariant](self._situation))
        overlooked = not_looked_at(self._situation.facts, relied_on)
        if verdict.verdict is Verdict.NOT_OBSERVED and overlooked is not None:
            return conclude(self.invariant, [overlooked, *found], verdict.sentence)
        return verdict


class Judge:
    """All invariants over one stream of events. The bus is decoded once, and nothing of the record is kept."""

    def __init__(self, facts: Facts, invariants: Iterable[Invariant] = tuple(Invariant)) -> None:
        self._bus, self._situation = BusDecoder(facts), Situation.of(facts)
        self._consistency = Consistency(facts, self._situation)
        self._folds = tuple(InvariantFold(invariant, facts, self._situation) for invariant in invariants)
        self._readers: dict[type, tuple[Fold, ...]] = {}
        self._now_ns = 0

    def take(self, event: RawEvent) -> None:
        """Read what was observed next; frames are decoded, and `Ended` ends what is under way on the bus."""
        self._now_ns = max(self._now_ns, instant_ns(event))
        if isinstance(event, FrameRecord):
            self._hand_on(event)
            for heard in self._bus.take(event):
                self._hand_on(heard)
            return
        if isinstance(event, FrameRunRecord):
            self._take_run(event)
            return
        if isinstance(event, Ended):
            for heard in self._bus.finish():
                self._hand_on(heard)
        self._situation.take(event)
        self._hand_on(event)

    def _take_run(self, run: FrameRunRecord) -> None:
        """Read a run at once, unless some rule reads frames as such."""
        if self._readers_of(FrameRecord):
            for frame in run.frames():
                self.take(frame)
        else:
            for heard in self._bus.take_run(run):
                self._hand_on(heard)

    def _hand_on(self, event: Event) -> None:
        for reader in self._readers_of(type(event)):
            reader.take(event)

    def _readers_of(self, kind: type) -> tuple[Fold, ...]:
        """Return who reads a kind of event; found once for each kind, since most events interest nearly nobody."""
        if kind not in self._readers:
            readers: list[Fold] = [rule for fold in self._folds for rule in fold.readers(kind)]
            readers += [self._consistency] if issubclass(kind, self._consistency.takes) else []
            self._readers[kind] = tuple(readers)
        return self._readers[kind]

    def key(self) -> Hashable:
        """Return the whole state: two runs of equal keys are judged alike as far as they go on alike.

        Alike means: at the same distances in time from the last event that was read.
        """
        folds = tuple(fold.key() for fold in self._folds)
        return relative((self._bus.key(), self._situation.key(), self._consistency.key(), folds), self._now_ns)

    def verdicts(self) -> tuple[InvariantVerdict, ...]:
        """Return the verdict on every invariant, in order."""
        doubts = [*self._consistency.doubts(), *doubts_of_coverage(self._situation)]
        return tuple(fold.verdict(doubts) for fold in self._folds)


def judge(record: RunRecord, demanded: Sequence[Invariant]) -> RunVerdict:
    """Return the verdict on a run of which `demanded` is asked; all of them are judged and shown.

    It fails when any invariant failed, is inconclusive when a demanded one that could be observed came out
    neither passed nor failed or when `bootable` was not observed, else it passes.
    """
    every = tuple(Invariant)
    verdicts, crash = _verdicts(record, every), record.crash
    if crash is None or crash.part == AGENT:
        return sum_up(verdicts, demanded)
    return sum_up(verdicts, demanded, proven=_verdicts(record, every, until_ns=crash.t_ns))


def judge_one(record: RunRecord, invariant: Invariant) -> InvariantVerdict:
    """Return the verdict on one invariant alone."""
    return _verdicts(record, (invariant,))[0]


def _verdicts(
    record: RunRecord, invariants: tuple[Invariant, ...], until_ns: int | None = None
) -> tuple[InvariantVerdict, ...]:
    """Judge the record, or what it had shown until an instant."""
    run = Judge(Facts.of(record), invariants)
    for event in events(record):
        if until_ns is None:
            run.take(event)
        elif isinstance(event, Ended):
            run.take(replace(event, t_ns=until_ns))
        elif isinstance(event, FrameRunRecord):
            for frame in event.frames():
                if frame.t_ns <= until_ns:
                    run.take(frame)
        elif not isinstance(event, FlashDump | AgentDisk) and event.t_ns <= until_ns:
            run.take(event)
    return run.verdicts()


def sum_up(
    verdicts: tuple[InvariantVerdict, ...],
    demanded: Sequence[Invariant],
    *,
    proven: tuple[InvariantVerdict, ...] | None = None,
) -> RunVerdict:
    """Apply the rules of docs/contracts.md to the verdicts on the invariants.

    `proven` are the verdicts at the instant at which a simulated part crashed, None without a crash: it hides no
    failure that was proven by then, and what came after it proves nothing.
    """
    not_observed = tuple(v.id for v in verdicts if v.id in demanded and v.verdict is Verdict.NOT_OBSERVED)
    failures = [v for v in (verdicts if proven is None else proven) if v.verdict is Verdict.FAIL]
    if failures:
        blame = next((v.blame for v in failures if v.blame is not None), None)
        return RunVerdict(Verdict.FAIL, not_observed, blame, verdicts)
    if proven is not None:
        return RunVerdict(Verdict.INCONCLUSIVE, not_observed, "bench", verdicts)
    for kind in (Verdict.EQUIPMENT_ERROR, Verdict.INCONCLUSIVE):
        stopped = next((v for v in verdicts if v.id in demanded and v.verdict is kind), None)
        if stopped is not None:
            return RunVerdict(kind, not_observed, stopped.blame, verdicts)
    observed = any(v.id is Invariant.BOOTABLE and v.verdict is Verdict.PASS for v in verdicts)
    return RunVerdict(Verdict.PASS if observed else Verdict.INCONCLUSIVE, not_observed, None, verdicts)
