"""Everything the flasher can raise, by who is to blame.

FlasherError
├── ImageMismatch        the job is wrong for this ECU or recipe; the ECU was not touched
├── UdsError             one request failed
│   ├── TransportError       no answer we can trust: time-out, aborted transfer, bus lost
│   ├── ProtocolViolation    the ECU answered something ISO 14229-1 forbids
│   └── NegativeResponse     the ECU said no, correctly; the code is a field
├── SeedKeyFailed        whoever makes keys (plug-in, command, library) gave none; the ECU is not to blame
├── AuthenticationFailed the tester's certificate cannot be used, or the ECU did not prove who it is
├── PreconditionsNotMet  the application says why it must not be programmed now
├── CheckFailed          a routine ended with a status that means no
│   └── DataDiffers          the ECU received or stores other bytes than were sent
├── VersionMismatch      after the reset the ECU does not run what was programmed
│   └── ImageDoesNotRun      nor will it: what it stores is whole, and it does not run
└── FlashFailed          the job as a whole: every try that the recipe allows is used up, or trying again is pointless
"""

from __future__ import annotations

from collections.abc import Mapping

from udsoncan.ResponseCode import ResponseCode

from bench.core.errors import OtabenchError
from bench.flasher.belief import Belief
from bench.flasher.state import JobState
from bench.flasher.values import FlashReport
from bench.wire.uds import Sid

PENDING_LIMIT = "PENDING_LIMIT"
"""Name of the TransportError that ends a request after too many 0x78."""


NAMED_BYTES: Mapping[int, tuple[tuple[str, int, int], ...]] = {
    Sid.DIAGNOSTIC_SESSION_CONTROL: (("diagnosticSessionType", 1, 2),),
    Sid.ECU_RESET: (("resetType", 1, 2),),
    Sid.READ_DATA_BY_IDENTIFIER: (("dataIdentifier", 1, 3),),
    Sid.SECURITY_ACCESS: (("securityAccessType", 1, 2),),
    Sid.WRITE_DATA_BY_IDENTIFIER: (("dataIdentifier", 1, 3),),
    Sid.ROUTINE_CONTROL: (("routineControlType", 1, 2), ("routineIdentifier", 2, 4)),
    Sid.REQUEST_DOWNLOAD: (("dataFormatIdentifier", 1, 2), ("addressAndLengthFormatIdentifier", 2, 3)),
    Sid.TRANSFER_DATA: (("blockSequenceCounter", 1, 2),),
}
"""What the bytes behind a service id are called (ISO 14229-1), and where they stand: a refusal names them."""


class FlasherError(OtabenchError):
    """Root of everything the flasher can raise."""


class ImageMismatch(FlasherError):
    """Image and ECU (or recipe) do not belong together; both sides are named."""

    def __init__(self, ecu: str, what: str, image: object, allowed: object) -> None:
        super().__init__(f"{ecu}: {what}: the image has {image}, the ECU {allowed}; the ECU was not touched")
        self.ecu, self.what, self.image, self.allowed = ecu, what, str(image), str(allowed)


class UdsError(FlasherError):
    """Root of what the UDS client can raise for one request."""


class TransportError(UdsError):
    """No answer we can trust; `name` is the transport's (N_TIMEOUT_Bs ...), P2, P2* or PENDING_LIMIT."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name

    @property
    def worth_repeating(self) -> bool:
        """Return whether the same request may be sent again at once: not after an ECU was given all its patience."""
        return self.name != PENDING_LIMIT


class ProtocolViolation(UdsError):
    """The ECU answered something ISO 14229-1 forbids."""


class NegativeResponse(UdsError):
    """The ECU refused service `sid` with negative response code `nrc`; `request_head` is how the request began."""

    def __init__(self, sid: int, nrc: int, request_head: bytes = b"", explanation: str = "") -> None:
        named = "" if explanation else _named_bytes(request_head)
        head = f" (request {request_head.hex(' ')}{named})" if request_head else ""
        name = str(ResponseCode.get_name(nrc))
        more = f": {explanation}" if explanation else ""
        super().__init__(f"service 0x{sid:02X} refused with NRC 0x{nrc:02X} {name}{head}{more}")
        self.sid, self.nrc, self.request_head = sid, nrc, request_head

    @property
    def code_text(self) -> str:
        """The negative response code alone, with its name of ISO 14229-1 Annex A: `NRC 0x31 RequestOutOfRange`."""
        return f"NRC 0x{self.nrc:02X} {ResponseCode.get_name(self.nrc)}"

    def explained(self, explanation: str) -> NegativeResponse:
        """Return the same refusal with a word on what may be wrong in the request."""
        return NegativeResponse(self.sid, self.nrc, self.request_head, explanation)


class SeedKeyFailed(FlasherError):
    """Whoever makes keys gave none; `name` says how, the text who, what was seen and what to do."""

    def __init__(self, name: str, who: str, what: str, hint: str = "") -> None:
        super().__init__(f"{name}: {who}: {what}{f'; next: {hint}' if hint else ''}")
        self.name, self.who, self.what, self.hint = name, who, what, hint


class AuthenticationFailed(FlasherError):
    """The tester has no usable certificate, or the ECU did not prove who it is; `name` says which."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name


class PreconditionsNotMet(FlasherError):
    """The application says why it must not be programmed now: `conditions` by number, `meanings` in words."""

    def __init__(self, conditions: tuple[int, ...], meanings: tuple[str, ...]) -> None:
        super().__init__(f"not now: {', '.join(meanings)}")
        self.conditions, self.meanings = conditions, meanings


def _named_bytes(request: bytes) -> str:
    if not request:
        return ""
    named = [
        f"{name} 0x{request[start:end].hex().upper()}"
        for name, start, end in NAMED_BYTES.get(request[0], ())
        if len(request) >= end
    ]
    return f": {', '.join(named)}" if named else ""


class CheckFailed(FlasherError):
    """A routine ended, and its status says no."""

    def __init__(self, routine_id: int, status: int, meaning: str) -> None:
        super().__init__(f"routine 0x{routine_id:04X} ended with status 0x{status:02X} ({meaning})")
        self.routine_id, self.status = routine_id, status


class DataDiffers(CheckFailed):
    """What the ECU received or stores is not what was sent; `routine_id` is the service that tells so (0x37, 0x23)."""

    def __init__(self, sid: int, found: int, what: str) -> None:
        super().__init__(sid, found, what)
        self.args = (f"service 0x{sid:02X}: {what}",)


class VersionMismatch(FlasherError):
    """The ECU was reset and runs something else; empty texts mean that its bootloader answers."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"after the reset {expected!r} should run, found {found or 'the bootloader'!r}")
        self.expected, self.found = expected, found


class ImageDoesNotRun(VersionMismatch):
    """The ECU checked the image, was reset, runs something else, and finds nothing wrong with the image: it crashed, or
    the boot manager will not have it. Another download would bring the same bytes."""

    def __init__(self, expected: str, found: str, why: str) -> None:
        super().__init__(expected, found)
        self.args = (f"the image passed its check and does not run: {self}; {why}",)


class FlashFailed(FlasherError):
    """The job failed at `step`; `belief` says what the ECU was seen to be afterwards, `report` what was done, `state`
    what another job for the same image need not do again."""

    def __init__(
        self, ecu: str, step: str, cause: FlasherError, belief: Belief, report: FlashReport, state: JobState
    ) -> None:
        super().__init__(f"{ecu}: {step} failed: {cause}; the ECU is believed to be {belief}")
        self.ecu, self.step, self.cause, self.belief, self.report = ecu, step, cause, belief, report
        self.state = state

    @property
    def believed(self) -> str:
        """Return what the ECU was seen to be, in words."""
        return str(self.belief)
