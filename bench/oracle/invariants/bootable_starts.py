"""The part of *bootable* about time: how long each start of an ECU took, from power-on or reset until it was up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from bench.core.clock import NS_PER_MS
from bench.core.records import EXTENDED, BootRecord, DidReading, EcuLayout, FrameRecord, PowerRecord
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, failed, passed, seconds, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.lateness import missed
from bench.oracle.result import Evidence
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

_UP = ("bootloader", "application")


class _Late(NamedTuple):
    """A start that took longer than it may, and what ended it: `up`, or `off`."""

    since_ns: int
    elapsed_ns: int
    what: str


@dataclass(slots=True)
class _Starts:
    """The starts of one ECU: the one under way, how many there were, the slowest, and what took too long."""

    only_shown: ClassVar[tuple[str, ...]] = ("count", "slowest_ns")

    since_ns: int | None = None
    count: int = 0
    slowest_ns: int = 0
    last_sign_ns: int | None = None
    late: list[_Late] = field(default_factory=list)


class StartsInTime(Rule):
    """Follows supply and boots; without boots, the ECU's own frames and its readings tell that it is up."""

    relies_on = (Source.POWER, Source.BOOTS)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._starts = {layout.ecu: _Starts() for layout in facts.layouts}

    @property
    def takes(self) -> tuple[type, ...]:  # type: ignore[override]  # depends on what this bench can see
        """Frames are read only where some ECU's boots cannot be seen: they are by far the most events."""
        always = (PowerRecord, BootRecord, DidReading)
        seen = all(self.facts.watches(Source.BOOTS, layout.ecu) for layout in self.facts.layouts)
        return always if seen else (*always, FrameRecord)

    def take(self, event: Event) -> None:
        """Read a sign of an ECU: on, off, reset (the boot manager runs) or up."""
        if isinstance(event, FrameRecord):
            for speaker in self.facts.layouts:
                if not self._boots_seen(speaker.ecu) and _said_by(speaker, event):
                    self._sign(speaker, event.t_ns, "up")
            return
        layout = self.facts.layout(event.part if isinstance(event, PowerRecord) else event.ecu)
        if layout is None:
            return
        if isinstance(event, PowerRecord):
            self._sign(layout, event.t_ns, "on" if event.on else "off")
        elif isinstance(event, BootRecord):
            if self._boots_seen(layout.ecu):
                self._sign(layout, event.t_ns, "up" if event.stage in _UP else "reset")
        else:
            self._starts[layout.ecu].last_sign_ns = event.t_ns
            if event.value is not None and not self._boots_seen(layout.ecu):
                self._sign(layout, event.t_ns, "up")

    def _boots_seen(self, ecu: str) -> bool:
        return self.facts.watches(Source.BOOTS, ecu)

    def _sign(self, layout: EcuLayout, t_ns: int, what: str) -> None:
        starts = self._starts[layout.ecu]
        elapsed_ns = 0 if starts.since_ns is None else t_ns - starts.since_ns
        if starts.since_ns is not None and what in ("off", "up") and elapsed_ns > _limit_ns(layout):
            starts.late.append(_Late(starts.since_ns, elapsed_ns, what))
        if what in ("on", "reset"):
            starts.count += starts.since_ns is None or what == "on"
            starts.since_ns = t_ns if starts.since_ns is None or what == "on" else starts.since_ns
        else:
            starts.slowest_ns = max(starts.slowest_ns, elapsed_ns if what == "up" else 0)
            starts.since_ns = None

    def findings(self) -> list[Finding]:
        """Return what took too long for each ECU, or how long the slowest start took."""
        return [finding for layout in self.facts.layouts for finding in self._of(layout)]

    def _of(self, layout: EcuLayout) -> list[Finding]:
        starts = self._starts[layout.ecu]
        found = [self._late(layout, late) for late in starts.late]
        if starts.since_ns is not None:
            found.append(self._open_start(layout, starts.since_ns))
        if found:
            return found
        limit = seconds(_limit_ns(layout))
        text = f"{starts.count} starts, the slowest took {seconds(starts.slowest_ns)}, allowed {limit}"
        source = "boot" if self._boots_seen(layout.ecu) else "power"
        return [passed(f"{layout.ecu} came up in time", Evidence(source, layout.ecu, text))]

    def _open_start(self, layout: EcuLayout, since_ns: int) -> Finding:
        if not self._boots_seen(layout.ecu):
            return _silent_start(layout, since_ns)
        signs = [starts.last_sign_ns for starts in self._starts.values() if starts.last_sign_ns is not None]
        horizon_ns = max((self.situation.ended_t_ns, *signs))
        if self.situation.crash is not None and self.situation.crash.part != layout.ecu:
            open_start = at("boot", layout.ecu, since_ns, "start")
            return undecided(f"a part crashed while {layout.ecu} was booting", open_start, blame="bench")
        if horizon_ns - since_ns > _limit_ns(layout):
            text = f"no boot followed until {seconds(horizon_ns)}"
            sentence = f"{layout.ecu} never came up after its last start"
            never = failed(sentence, at("boot", layout.ecu, since_ns, text), blame="bootloader")
            return self._missed(layout, never, since_ns, horizon_ns)
        ended = at("time", layout.ecu, since_ns, f"started {seconds(horizon_ns - since_ns)} before the end of the run")
        return undecided(f"the run ended while {layout.ecu} was still booting", ended)

    def _late(self, layout: EcuLayout, late: _Late) -> Finding:
        if not self._boots_seen(layout.ecu):
            return _silent_start(layout, late.since_ns)
        ending = "it came up" if late.what == "up" else "the supply went off again, and it had not come up"
        text = f"{seconds(late.elapsed_ns)} after its start {ending}; allowed are {layout.boot_time_limit_ms} ms"
        sentence = f"{layout.ecu} did not boot within {layout.boot_time_limit_ms} ms"
        failure = failed(sentence, at("boot", layout.ecu, late.since_ns, text), blame="bootloader")
        return self._missed(layout, failure, late.since_ns, late.since_ns + late.elapsed_ns)

    def _missed(self, layout: EcuLayout, failure: Finding, since_ns: int, until_ns: int) -> Finding:
        """Return the failure, unless this machine itself was as late as that (real time)."""
        lateness, limit_ns = self.situation.lateness, _limit_ns(layout)
        return missed(failure, lateness, since_ns=since_ns, until_ns=until_ns, limit_ns=limit_ns)


def _limit_ns(layout: EcuLayout) -> int:
    return layout.boot_time_limit_ms * NS_PER_MS


def _said_by(layout: EcuLayout, frame: FrameRecord) -> bool:
    """Return whether a frame is a response of the ECU."""
    address = layout.response
    where = (layout.channel, address.can_id, address.id_29_bit)
    if (frame.channel, frame.can_id, bool(frame.flags & EXTENDED)) != where:
        return False
    return address.extension is None or frame.data[:1] == bytes((address.extension,))


def _silent_start(layout: EcuLayout, since_ns: int) -> Finding:
    text = "start; nobody heard of it within its boot time, and boots are not observed"
    return unseen(f"how long {layout.ecu} took to boot was not observed", at("power", layout.ecu, since_ns, text))
