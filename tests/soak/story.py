"""One case of the soak: an ECU in some condition, a hundred requests to it, and what must hold after each of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bench.core.clock import NS_PER_MS
from tests.recipes import erase_routine
from tests.soak.lab import Heard, Lab, is_pending
from tests.soak.nrcs import PARTLY_DONE
from tests.soak.rules import Request, Timing, judge, nrc_of, short

REQUESTS_PER_CASE = 100
BLOCK_UNITS = 1_024
"""At most so many program units are in one block."""
PATIENCE_MS = 700_000
"""How long a request may be pending: 64 MiB are erased in 154 s."""
READ_SESSION = b"\x22\xf1\x86"
S3_SLACK_MS, RESTART_SLACK_MS = 150, 50


class Broken(AssertionError):
    """The ECU broke a rule; says after which request."""


class Memory(NamedTuple):
    """What no negative response may change."""

    programs: int
    erases: int
    nvm: object
    flash: int | None
    """None while an operation runs."""


@dataclass
class Tally:
    """What a case, or many of them, met."""

    requests: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    services: Counter[int] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add what another one counted."""
        self.requests += other.requests
        for mine, more in (
            (self.answers, other.answers), (self.states, other.states), (self.events, other.events),
        ):  # fmt: skip
            mine.update(more)
        self.services.update(other.services)


class Soak:
    """The story of one case; `trace` gets a line for everything that happens."""

    def __init__(self, lab: Lab, draw: random.Random, trace: Callable[[str], None]) -> None:
        self.lab, self.draw, self.trace = lab, draw, trace
        self.tally = Tally()
        uds = lab.kind.personality.uds
        self.timing = Timing(uds.p2_ms, uds.p2_star_ms, uds.s3_ms)
        self.boot_limit_ms = lab.kind.personality.boot.time_limit_ms
        self.sessions: set[int] | None = None
        """Which sessions the ECU may be in now; None: any."""
        self.security = "locked"
        self.life = 0
        self.excuses: list[tuple[int, int]] = [(0, 0)]
        """From when to when (ns) a restart has an explanation."""
        self.boots_seen = 0
        self.block_ns = 0
        """When a block of a download was taken last."""
        self.last_exchange_ns = 0
        self.verdicts: dict[tuple[str, int, int], str] = {}
        """By (mode, session or 0, service): whether it was said to be unknown, or known."""
        self.bootloader = self.boot_digest()

    # Looking at the ECU -----------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """What runs: the last stage that a boot reached."""
        boots = self.lab.world.recorder.boots
        return boots[-1].stage if boots else "off"

    def excuse_restart(self, since_ns: int | None = None) -> None:
        """Something happened (since then, or just now) that makes the ECU restart, at once or after its delay."""
        now_ns = self.lab.world.clock.now_ns()
        delay_ms = self.lab.kind.personality.boot.reset_delay_ms + RESTART_SLACK_MS
        begin_ns = now_ns - RESTART_SLACK_MS * NS_PER_MS if since_ns is None else since_ns
        self.excuses.append((begin_ns, now_ns + delay_ms * NS_PER_MS))

    @property
    def may_restart(self) -> bool:
        """Whether a restart that has an explanation may be still to come."""
        return any(end_ns >= self.lab.world.clock.now_ns() for _, end_ns in self.excuses)

    def _unexplained(self) -> list[int]:
        """Return the instants of restarts, since the last look, that nothing explains."""
        starts = [boot.t_ns for boot in self.lab.world.recorder.boots if boot.stage == "boot_manager"]
        new, self.boots_seen = starts[self.boots_seen :], len(starts)
        return [t_ns for t_ns in new if not any(begin <= t_ns <= end for begin, end in self.excuses)]

    def boot_digest(self) -> bytes:
        """Return what stands in the protected regions: the bootloader."""
        regions = [region for region in self.lab.kind.personality.regions() if region.protected]
        return b"".join(self.lab.memory.flash.raw(region.name, 0, region.size_bytes) for region in regions)

    def memory(self) -> Memory:
        """Return flash and NVM as they are now, without what may count by itself."""
        flash = self.lab.memory.flash
        record = replace(self.lab.memory.nvm.record, security_attempts=0)
        try:
            state = flash.state_value()
        except ValueError:  # a block that was taken is being programmed
            state = None
        return Memory(flash.programs, flash.erases, record, state)

    def _now_ms(self) -> int:
        return self.lab.world.clock.now_ns() // NS_PER_MS

    async def awake(self) -> None:
        """Wait until the ECU answers again after a boot; it must within its time limit."""
        incarnation = self.lab.node.incarnation
        number = incarnation.number if incarnation else 0
        if number == self.life and self.mode in ("application", "bootloader"):
            return
        self._explain_restarts()
        begin_ms = self._now_ms()
        if await self.lab.answers_within(self.boot_limit_ms) is None:
            raise Broken(f"silent {self._now_ms() - begin_ms} ms after it got power or was reset")
        self.life = self.lab.node.incarnation.number if self.lab.node.incarnation else 0
        self.sessions, self.security = None, "locked"
        self.last_exchange_ns = self.lab.world.clock.now_ns()

    def _explain_restarts(self) -> None:
        unexplained = self._unexplained()
        if unexplained:
            raise Broken(f"the ECU restarted without a reason, at {unexplained[0] / NS_PER_MS:.3f} ms")
        self.excuses = self.excuses[-5:]

    def note_silence(self) -> None:
        """Take into account how long the tester was silent."""
        silent_ms = (self.lab.world.clock.now_ns() - self.last_exchange_ns) / NS_PER_MS
        if silent_ms < self.timing.s3_ms - S3_SLACK_MS:
            return
        since_ns = self.last_exchange_ns + (self.timing.s3_ms - S3_SLACK_MS) * NS_PER_MS
        self.excuse_restart(since_ns)  # a bootloader leaves its programming session by a reset
        if silent_ms > self.timing.s3_ms + S3_SLACK_MS:
            self.sessions, self.security = {1}, "locked"
        else:
            self.sessions = None if self.sessions is None else self.sessions | {1}
            self.security = "?"

    # One exchange -----------------------------------------------------------------------------------

    async def exchange(self, pdu: bytes, *, functional: bool = False) -> bytes | None:
        """Send a request and judge what comes; returns the final answer, or None."""
        self.note_silence()
        await self.awake()
        before, mode, life = self.memory(), self.mode, self.life
        tester = self.lab.tester
        tester.heard.clear()
        if functional:
            await tester.tell_all(pdu)
            error = None
        else:
            error = await tester.put(pdu)
        request = Request(pdu, functional, tester.sent_ns)
        self._count(request)
        if error is not None:
            await self._transport_failed(request, error)
            return None
        heard = await self.collect(request)
        self._settle(request, heard, before, mode, life)
        return next((each.pdu for each in heard if not is_pending(each.pdu)), None)

    def _count(self, request: Request) -> None:
        self.tally.requests += 1
        self.tally.services[request.sid] += 1
        session = next(iter(self.sessions)) if self.sessions is not None and len(self.sessions) == 1 else 0
        self.tally.states[f"{self.mode}, session {session or '?'}, {self.security}"] += 1

    async def _transport_failed(self, request: Request, error: str) -> None:
        """A long message may find an ECU that is just restarting, or whose buffer is smaller; nothing else."""
        self.trace(f"{self._now_ms():>8} ms  {request}: {error}")
        restarted = self.lab.node.incarnation is not None and self.lab.node.incarnation.number != self.life
        too_long = error == "N_BUFFER_OVFLW" and len(request.pdu) > self.lab.kind.personality.isotp.max_length
        if restarted:
            self._explain_restarts()
        if not too_long and not restarted:
            raise Broken(f"{request} was not taken: {error}")
        self.last_exchange_ns = self.lab.world.clock.now_ns()

    async def collect(self, request: Request) -> list[Heard]:
        """Wait for the final answer as long as 0x78 says so, then a little for one too many."""
        tester, clock = self.lab.tester, self.lab.world.clock
        limit_ns = request.sent_ns + (self.timing.p2_ms + 5) * NS_PER_MS
        end_ns = request.sent_ns + PATIENCE_MS * NS_PER_MS
        seen = 0
        while clock.now_ns() < min(limit_ns, end_ns):
            await tester.something(min(limit_ns, end_ns) - clock.now_ns())
            if len(tester.heard) > seen:
                seen = len(tester.heard)
                pending = is_pending(tester.heard[-1].pdu)
                limit_ns = clock.now_ns() + ((self.timing.p2_star_ms + 50) if pending else 2) * NS_PER_MS
            elif self._receiving():
                limit_ns = clock.now_ns() + 5 * NS_PER_MS
        return list(tester.heard)

    def _receiving(self) -> bool:
        return self.lab.tester.receiving

    def _settle(self, request: Request, heard: list[Heard], before: Memory, mode: str, life: int) -> None:
        """Judge the answers, and learn from them what the ECU is now."""
        now = self.lab.node.incarnation
        restarted = now is None or now.number != life
        self.trace(
            f"{request.sent_ns // NS_PER_MS:>8} ms  {request} -> {', '.join(short(each.pdu) for each in heard) or '-'}"
        )
        if request.sid in (0x10, 0x11) and not any(nrc_of(each.pdu) for each in heard if not is_pending(each.pdu)):
            self.excuse_restart(request.sent_ns)  # before the answer or, where 0x78 said so, between the two
        if restarted:
            self._explain_restarts()
        problems = judge(request, heard, self.timing, may_be_lost=restarted)
        final = next((each.pdu for each in heard if not is_pending(each.pdu)), None)
        nrc = None if final is None else nrc_of(final)
        self.tally.answers[_named(final, nrc)] += 1
        self.tally.answers["NRC 0x78 (wait)"] += sum(is_pending(each.pdu) for each in heard)
        if nrc is not None and nrc not in PARTLY_DONE and not self._part_of_a_packed_stream(request):
            problems += self._denied_changes(before, restarted)
        problems += self._contradictions(request, mode, nrc, final)
        if final is not None and nrc is None and self.security == "locked" and self._guarded(request.pdu):
            problems.append("a positive response, though security is locked")
        if problems:
            raise Broken(f"{request} in {mode}, session {self.sessions}: {'; '.join(problems)}")
        self._learn(request, final, nrc)
        self.last_exchange_ns = self.lab.world.clock.now_ns()

    def _guarded(self, pdu: bytes) -> bool:
        """Return whether a request changes memory (checks and erases included)."""
        dids, erase = self.lab.kind.recipe.dids, erase_routine(self.lab.kind.recipe).to_bytes(2, "big")
        return pdu[0] in (0x34, 0x36, 0x37, 0x3D) or pdu[:4].startswith(
            (b"\x31\x01" + erase, b"\x2e" + dids.fingerprint.to_bytes(2, "big"))
        )

    def _part_of_a_packed_stream(self, request: Request) -> bool:
        """A packed download is known to be too long or wrong once some of it was unpacked and programmed."""
        return request.sid in (0x36, 0x37) and self.lab.kind.personality.download.data_format != 0

    def _denied_changes(self, before: Memory, restarted: bool) -> list[str]:
        after = self.memory()
        if restarted or self._programs_beside() or None in (before.flash, after.flash):
            return []
        names = (name for name in Memory._fields if getattr(before, name) != getattr(after, name))
        return [f"a negative response, but {name} changed" for name in names]

    def _programs_beside(self) -> bool:
        """Return whether a block that was taken may still be on its way into flash."""
        flash = self.lab.kind.personality.flash
        longest_ns = BLOCK_UNITS * flash.program_us * 1_000
        return flash.while_receiving and self.lab.world.clock.now_ns() < self.block_ns + longest_ns

    def _contradictions(self, request: Request, mode: str, nrc: int | None, final: bytes | None) -> list[str]:
        """A service is known to a mode or it is not; in a session it is there or it is not."""
        if final is None or nrc == 0x21:
            return []
        found = self._compare((mode, 0, request.sid), "unknown" if nrc == 0x11 else "known", "0x11")
        if self.sessions is not None and len(self.sessions) == 1 and nrc != 0x11:
            key = (mode, next(iter(self.sessions)), request.sid)
            found += self._compare(key, "absent" if nrc == 0x7F else "there", "0x7F")
        return found

    def _compare(self, key: tuple[str, int, int], verdict: str, code: str) -> list[str]:
        said = self.verdicts.setdefault(key, verdict)
        return [] if said == verdict else [f"service was {said} in {key[0]} session {key[1]} ({code}), is {verdict}"]

    def _learn(self, request: Request, final: bytes | None, nrc: int | None) -> None:
        sub = request.pdu[1] & 0x7F if len(request.pdu) > 1 else 0
        if request.sid in (0x27, 0x29) and final is None:
            self.security = "?"
        if request.sid == 0x36 and nrc is None:
            self.block_ns = self.lab.world.clock.now_ns()
        if request.sid == 0x10 and nrc is None:
            uncertain = final is None
            self.sessions, self.security = (None, "?") if uncertain else ({sub}, "locked")
        elif final is not None and nrc is None and _opens(request.sid, sub):
            self.security = "unlocked"
        if final is not None and request.pdu == READ_SESSION and final[:3] == b"\x62\xf1\x86":
            found = final[3]
            if self.sessions is not None and found not in self.sessions:
                raise Broken(f"session is {found}, but should be {sorted(self.sessions)}")
            self.sessions = {found}


def _named(final: bytes | None, nrc: int | None) -> str:
    if final is None:
        return "silence"
    return "positive" if nrc is None else f"NRC 0x{nrc:02X}"


def _opens(sid: int, sub: int) -> bool:
    """Return whether success means that security is open: a key was right, or ownership proven."""
    return (sid == 0x27 and sub % 2 == 0) or (sid == 0x29 and sub == 3)
