"""Into the programming session, and past its locks: 10 02, 27, 2E of the fingerprint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bench.flasher.errors import FlasherError, NegativeResponse, TransportError, UdsError
from bench.flasher.services import read_did, request_seed, send_key, session_control, write_did
from bench.flasher.steps.conditions import ExtendedByAddress
from bench.flasher.task import At, EnterProgramming, MakeKey, Pause, Task, Turn, noted
from bench.wire.uds import Nrc

WAITED_OUT = (Nrc.EXCEEDED_NUMBER_OF_ATTEMPTS, Nrc.REQUIRED_TIME_DELAY_NOT_EXPIRED)
"""What 0x27 answers while the ECU's own delay runs; every request in that time may begin it anew."""

# 10 02 -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProgrammingSession(Task):
    """10 02, then wait until the bootloader answers in the programming session (F186).

    Where the programming session lives in a bootloader, 10 02 leads to a reset, and the answer may come before it or
    after it (ISO 14229-1, 0x10, from memory). The session that F186 names is the only proof of where one is.
    """

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.ask(self, EnterProgramming())

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        del value
        job = replace(at.job, entered_programming=True)
        return at.over(AskForProgramming(), Pause(at.recipe.timing.reboot_settle_ms), InProgramming(), job=job)


@dataclass(frozen=True, slots=True)
class AskForProgramming(Task):
    """10 02; an application that missed the functional 10 03 gets it by its own address first."""

    by_address: bool = False

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.request(self, session_control(at.recipe.sessions.programming))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`: the time limits that the answer tells are those of the session that begins."""
        return replace(at.over(), timing=value)

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`: the functional 10 03 was suppressed, so nobody told that it was missed (0x7E)."""
        in_other_session = Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION
        if self.by_address or not isinstance(error, NegativeResponse) or error.nrc != in_other_session:
            return at.fail(error)
        return at.over(ExtendedByAddress(), AskForProgramming(by_address=True), notes=(noted("extended_by_address"),))


@dataclass(frozen=True, slots=True)
class InProgramming(Task):
    """22 F186 of a rebooting ECU until it says *programming*; after `reboot_wait_ms` the last failure counts."""

    until_ns: int | None = None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        # ISO 14229-1 has no limit for a reboot: powerDownTime of 0x11 is for standby alone. The recipe sets one.
        until_ns = at.after_ms(at.recipe.timing.reboot_wait_ms) if self.until_ns is None else self.until_ns
        return at.request(InProgramming(until_ns), read_did(at.recipe.dids.active_session))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        if value == bytes((at.recipe.sessions.programming,)):
            return at.over()
        return self.failed(at, TransportError("REBOOT", "the ECU did not reach the wanted state"))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        assert self.until_ns is not None, "it began"
        return poll_again(at, self, error, self.until_ns)


def poll_again(at: At, task: Task, error: FlasherError, until_ns: int) -> Turn:
    """Return the turn after a probe of a rebooting ECU that failed: another one after a pause, or the failure."""
    if not isinstance(error, UdsError) or at.now_ns >= until_ns:
        return at.fail(error)
    return at.over(Pause(at.recipe.timing.reboot_poll_ms), task, notes=(noted("reboot_poll", problem=error),))


# 27 ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SecurityAccess(Task):
    """27: seed and key; 0x36 and 0x37 are waited out, `again` times more (None: as often as the recipe says)."""

    again: int | None = None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        # A late answer to an earlier 27 01 carries a seed that the ECU has thrown away: the key of that one is wrong,
        # and a wrong key costs an attempt. So the newest seed counts.
        assert at.recipe.security is not None, "the recipe was checked: the step has its table"
        return at.request(self, request_seed(at.recipe.security.level), newest=True)

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`. All zeros: the level is open already (ISO 14229-1, 0x27)."""
        return at.over(_Key(value, self.again)) if any(value) else at.over()

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        return _locked(at, error, self.again)


@dataclass(frozen=True, slots=True)
class _Key(Task):
    """The key of a seed, made by whoever the recipe names."""

    seed: bytes
    again: int | None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.ask(self, MakeKey(self.seed))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        return at.over(_SendKey(value, self.again))


@dataclass(frozen=True, slots=True)
class _SendKey(Task):
    """27, even level."""

    key: bytes
    again: int | None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        assert at.recipe.security is not None, "the recipe was checked: the step has its table"
        return at.request(self, send_key(at.recipe.security.level, self.key))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        return _locked(at, error, self.again)


def _locked(at: At, error: FlasherError, again: int | None) -> Turn:
    """Return the turn after a refusal of 0x27: another try after the ECU's delay, while it is worth one."""
    left = at.recipe.retries.security if again is None else again
    if not isinstance(error, NegativeResponse) or error.nrc not in WAITED_OUT or not left:
        return at.fail(error)
    note = noted("security_wait", nrc=f"0x{error.nrc:02X}")
    return at.over(Pause(at.recipe.retries.security_wait_ms), SecurityAccess(left - 1), notes=(note,))


# 2E F15A -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fingerprint(Task):
    """2E F15A: date (BCD yymmdd) and the tester's id."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        date = bytes.fromhex(at.date.strftime("%y%m%d"))
        tester_id = at.recipe.fingerprint.tester_id.encode("ascii")
        return at.request(self, write_did(at.recipe.dids.fingerprint, date + tester_id))
