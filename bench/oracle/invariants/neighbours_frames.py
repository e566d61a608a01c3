"""The part of *neighbours* that listens: every cyclic frame goes on, but for windows that 0x28 states."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from bench.core.records import BUS_SLEEP, BootRecord, ConditionRecord, CyclicFrame, PowerRecord
from bench.oracle.bus import CyclicHeard, FunctionalRequest
from bench.oracle.exchange import COMMUNICATION, RESET, SESSION, Exchange
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, on_bus, passed, seconds, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.invariants.neighbours import FIRST_STAGE, runs_application, struck
from bench.oracle.situation import Situation
from bench.oracle.state import Instant
from bench.oracle.stream import DriveBegan, DriveEnded, Event, ExecutionEnded

NS_PER_MS = 1_000_000
S3_NS = 5_000 * NS_PER_MS
"""S3_server: without a request the session falls back, and with it what 0x28 switched off (ISO 14229-2)."""
STOPS_SENDING = (0x01, 0x03)
"""controlType enableRxAndDisableTx and disableRxAndTx (ISO 14229-1, 0x28)."""
NORMAL_MESSAGES = 0x01
"""Bit of communicationType: normal communication messages."""
DEFAULT_SESSION = 0x01


@dataclass(slots=True)
class _Frame:
    """One cyclic frame: since when its next one is waited for (None: it need not come), and the longest gap."""

    spec: CyclicFrame
    since_ns: int | None = None
    heard: int = 0
    gap_ns: int = 0
    gap_until_ns: int = 0

    @property
    def late(self) -> bool:
        """Whether it was missing for longer than it may."""
        return self.gap_ns > self.spec.limit_ms * NS_PER_MS

    def key(self) -> Hashable:
        """Return what counts: gaps within the limit are all alike."""
        return (None if self.since_ns is None else Instant(self.since_ns), self.gap_ns if self.late else 0)


class FramesGoOn(Rule):
    """Frames of ECUs that the order does not name come in their time; those of the ordered ones in the drive after it.

    They need not come while the ECU has no supply, sleeps, boots, or was silenced: from a functional 0x28 on the ECU's
    own bus to what takes it back there, or to the end of S3 after the last functional request.
    """

    takes = (
        CyclicHeard, FunctionalRequest, PowerRecord, BootRecord, ExecutionEnded, ConditionRecord, DriveBegan,
        DriveEnded,
    )  # fmt: skip
    relies_on = (Source.FRAMES, Source.POWER, Source.BOOTS)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        around = facts.surroundings
        self._frames = [] if around is None else [_Frame(spec) for spec in around.cyclic]
        self._buses = {} if around is None else dict(around.buses)
        self._ordered = () if around is None else around.ordered
        self._sleepers = () if around is None else around.sleepers
        self._began_ns = 0 if around is None else around.began_t_ns
        self._silenced_ns: dict[str, int] = {}
        """Buses that 0x28 silenced, and when a functional request was last heard there."""
        self._driving = self._over = False

    def take(self, event: Event) -> None:
        """Follow every frame until the drive is over, and what allows it to be missing."""
        if self._over:
            return
        match event:
            case CyclicHeard():
                self._heard(event)
            case FunctionalRequest():
                self._requested(event.exchange)
            case PowerRecord():
                self._wait_from_boot(event.part, event.t_ns) if event.on else self._stop(event.part, event.t_ns)
            case BootRecord():
                if event.stage == FIRST_STAGE:
                    self._wait_from_boot(event.ecu, event.t_ns)
            case ExecutionEnded():
                if event.cause == BUS_SLEEP:
                    self._stop(event.ecu, event.t_ns)
            case ConditionRecord():
                self._ignition(event)
            case DriveBegan():
                self._drive(event.t_ns)
            case DriveEnded():
                for ecu in self._buses:
                    self._stop(ecu, event.t_ns)
                self._over = True

    # What is waited for -----------------------------------------------------------------------------

    def _heard(self, event: CyclicHeard) -> None:
        self._end_silence(event.t_ns)
        for frame in self._frames:
            spec = frame.spec
            if (spec.channel, spec.can_id, spec.id_29_bit) == (event.channel, event.can_id, event.id_29_bit):
                frame.heard += 1
                if frame.since_ns is not None:
                    self._note_gap(frame, event.t_ns)
                    frame.since_ns = event.t_ns

    def _note_gap(self, frame: _Frame, t_ns: int) -> None:
        """Keep the longest time that the frame was waited for."""
        if frame.since_ns is not None and t_ns - frame.since_ns > frame.gap_ns:
            frame.gap_ns, frame.gap_until_ns = t_ns - frame.since_ns, t_ns

    def _of(self, ecu: str) -> list[_Frame]:
        return [frame for frame in self._frames if frame.spec.ecu == ecu]

    def _stop(self, ecu: str, t_ns: int) -> None:
        """Nothing need come from an ECU from now on."""
        for frame in self._of(ecu):
            self._note_gap(frame, t_ns)
            frame.since_ns = None

    def _wait_from_boot(self, ecu: str, t_ns: int) -> None:
        """Wait for an ECU's frames from its boot on: the time of its boot comes on top of the first one's own."""
        layout = self.facts.layout(ecu)
        if layout is None or t_ns < self._began_ns or (ecu in self._ordered and not self._driving):
            return
        for frame in self._of(ecu):
            self._note_gap(frame, t_ns)
            first_ms = layout.boot_time_limit_ms + frame.spec.first_ms - frame.spec.limit_ms
            frame.since_ns = t_ns + first_ms * NS_PER_MS

    def _wait(self, ecu: str, t_ns: int) -> None:
        """Wait for an ECU's frames from now on, unless they are waited for already or need not come."""
        silenced = self._buses.get(ecu) in self._silenced_ns
        if silenced or not runs_application(self.situation, ecu) or (ecu in self._ordered and not self._driving):
            return
        for frame in self._of(ecu):
            if frame.since_ns is None:
                frame.since_ns = t_ns

    def _ignition(self, change: ConditionRecord) -> None:
        if change.key != "ignition" or not change.accepted or change.t_ns < self._began_ns:
            return
        for ecu in self._sleepers:
            if change.value:
                self._wait(ecu, change.t_ns)
            else:
                self._stop(ecu, change.t_ns)

    def _drive(self, t_ns: int) -> None:
        self._driving = True
        self._end_silence(t_ns)
        for ecu in self._ordered:
            self._wait(ecu, t_ns)

    # Windows of 0x28 --------------------------------------------------------------------------------

    def _requested(self, exchange: Exchange) -> None:
        t_ns, bus = exchange.request.t_end_ns, exchange.channel
        self._end_silence(t_ns)
        if exchange.request.t_end_ns < self._began_ns:
            return
        if exchange.service == COMMUNICATION and exchange.sub_function in STOPS_SENDING:
            if exchange.request.payload[2:3] and exchange.request.payload[2] & NORMAL_MESSAGES:
                for ecu in self._on(bus):
                    self._stop(ecu, t_ns)
                self._silenced_ns[bus] = t_ns
        elif bus in self._silenced_ns:
            self._silenced_ns[bus] = t_ns
            default = exchange.service == SESSION and exchange.sub_function == DEFAULT_SESSION
            if default or exchange.service in (COMMUNICATION, RESET):
                self._speaks_again(bus, t_ns)

    def _end_silence(self, t_ns: int) -> None:
        """End the windows of buses on which S3 has run out by now."""
        for bus, last_ns in list(self._silenced_ns.items()):
            if t_ns > last_ns + S3_NS:
                self._speaks_again(bus, last_ns + S3_NS)

    def _speaks_again(self, bus: str, t_ns: int) -> None:
        del self._silenced_ns[bus]
        for ecu in self._on(bus):
            self._wait(ecu, t_ns)

    def _on(self, bus: str) -> list[str]:
        return [ecu for ecu, own in self._buses.items() if own == bus]

    # Findings ---------------------------------------------------------------------------------------

    def findings(self) -> list[Finding]:
        """Return a finding for each cyclic frame of the vehicle, and that it was driven."""
        if self.facts.surroundings is None:
            return []
        if not self._over:
            return [undecided("the vehicle was not driven after the story", bench("no drive after the story"))]
        return [self._judged(frame) for frame in self._frames]

    def _judged(self, frame: _Frame) -> Finding:
        spec = frame.spec
        name = f"frame 0x{spec.can_id:X} of {spec.ecu}"
        watch = self.facts.watch(Source.FRAMES, spec.channel)
        if not watch.watched:
            return unseen(f"{name} was not observed", bench(f"no frames of {spec.channel}"))
        if frame.late and not self._disturbed(spec.ecu):
            since_ns = frame.gap_until_ns - frame.gap_ns
            text = f"nothing for {seconds(frame.gap_ns)}, at most {spec.limit_ms} ms are allowed"
            shown = at("frame", spec.channel, since_ns, f"{name}: {text}")
            if watch.lost:
                return undecided(f"{name} was missed, but {watch.lost} frames of its bus were lost", shown)
            whose = "" if spec.ecu in self._ordered else ", which the order does not name,"
            return failed(f"{name}{whose} was missing for {seconds(frame.gap_ns)}", shown, blame="ecu")
        return passed(f"{name} came in time", on_bus(spec.channel, f"{frame.heard} times {name}"))

    def _disturbed(self, ecu: str) -> bool:
        """Return whether a fault makes the ECU itself misbehave; a supply that was lost is known by itself."""
        return struck(self.situation, ecu) and any(
            fault.fault_class in ("ecu", "isotp", "storage") for fault in self.situation.faults
        )
