"""A small ECU at message level that can misbehave, and the ports to it.

It knows an application and a bootloader, sessions with S3, security access, write-once flash in one or two banks,
and a boot that starts an application only from a checked image. It has nothing in common with `ecu_sim`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.core.clock import NS_PER_MS, NS_PER_S, Clock
from bench.ports.diagnostics import AnswerTimeout, LinkError
from bench.wire.image_header import HeaderError, ImageHeader

NS_PER_BYTE = 32_000
SEED = bytes.fromhex("1122334455667788")
REGION_BYTES = 0x40000
HEADER_ADDRESS = 0x00F0_0000
S3_NS = 5 * NS_PER_S
BOOT_NS = 35 * NS_PER_MS


class Answer(NamedTuple):
    """A message of the ECU: how long after the request it begins, and its bytes."""

    delay_ms: float
    payload: bytes


Act = Callable[["FakeEcu", bytes], list[Answer]]


@dataclass(slots=True)
class Rule:
    """Do `act` instead of behaving, for requests that begin with `prefix`: skip some, then so many times."""

    prefix: bytes
    act: Act
    skip: int
    times: int


@dataclass(slots=True)
class Bank:
    """Flash of one bank: erased cells are None; write-once until erased."""

    cells: dict[int, bytes] = field(default_factory=dict)
    erased_bytes: int = 0
    header: bytes = b""
    mark: bool = False

    def image(self) -> bytes:
        return b"".join(self.cells[at] for at in sorted(self.cells))


class FakeEcu:
    """The ECU; `received` and `functional` are what reached it, in order."""

    answer = Answer

    def __init__(self, clock: Clock, secret_name: str, *, dual: bool = False, max_block: int = 4095) -> None:
        self.clock, self.dual, self.max_block = clock, dual, max_block
        self.secret = hashlib.sha256(f"otabench test key {secret_name}".encode()).digest()
        self.hardware_id, self.software_id = "BCM-HW-03", "BCM-APP"
        self.banks = [Bank(), Bank()] if dual else [Bank()]
        self.active = self.boot_from = 0
        self.rules: list[Rule] = []
        self.received: list[bytes] = []
        self.functional: list[tuple[int, bytes]] = []
        self.sent: list[tuple[int, int, bytes]] = []
        self.broken_off = False
        self.powered = True
        self.up_at_ns = 0
        self.boots = 0
        self.communication = self.dtc_setting = True
        self.dtcs: dict[int, int] = {}
        self.wrong_keys = self.erases = self.confirms = self.writes = 0
        self.start_life(programming=False)

    # Life and power ---------------------------------------------------------------------------------

    def start_life(self, *, programming: bool) -> None:
        bank = self.banks[self.boot_from]
        self.active = self.boot_from
        self.in_application = bank.mark and not programming
        self.session = 2 if programming else 1
        self.unlocked = False
        self.seed_given = False
        self.download: tuple[int, int] | None = None
        self.buffer = b""
        self.last_counter = -1
        self.heard_ns = self.clock.now_ns()
        self.communication = self.dtc_setting = True
        self.boots += 1
        self.sent = []

    def reset(self, *, programming: bool = False, after_ms: float = 5) -> None:
        """Reset a little later; until it is up again it hears nothing."""

        def now() -> None:
            if self.powered:
                self.start_life(programming=programming)
                self.up_at_ns = self.clock.now_ns() + BOOT_NS

        self.clock.call_at_ns(self.clock.now_ns() + round(after_ms * NS_PER_MS), now)

    def cut(self, off_ms: int) -> None:
        """Lose power now; it comes back after `off_ms`."""
        self.powered = False
        self.broken_off = any(start <= self.clock.now_ns() for start, _, _ in self.sent)
        self.sent = []
        self.clock.call_at_ns(self.clock.now_ns() + off_ms * NS_PER_MS, self.power_on)

    def power_on(self) -> None:
        self.powered = True
        self.start_life(programming=False)
        self.up_at_ns = self.clock.now_ns() + BOOT_NS

    @property
    def up(self) -> bool:
        return self.powered and self.clock.now_ns() >= self.up_at_ns

    # Misbehaviour -----------------------------------------------------------------------------------

    def on(self, prefix: str, act: Act, *, skip: int = 0, times: int = 1) -> None:
        """Have the next requests that begin with `prefix` (hex) answered by `act`."""
        self.rules.append(Rule(bytes.fromhex(prefix), act, skip, times))

    def _rule_for(self, request: bytes) -> Rule | None:
        for rule in self.rules:
            if request.startswith(rule.prefix) and rule.times:
                if rule.skip:
                    rule.skip -= 1
                    continue
                rule.times -= 1
                return rule
        return None

    # Requests ---------------------------------------------------------------------------------------

    def hear(self, request: bytes) -> None:
        """Take a complete physical request and schedule what it is answered with."""
        self.received.append(request)
        rule = self._rule_for(request)
        answers = rule.act(self, request) if rule is not None else [Answer(1, self.obey(request))]
        now_ns = self.clock.now_ns()
        for delay_ms, payload in answers:
            start_ns = now_ns + round(delay_ms * NS_PER_MS)
            self.sent.append((start_ns, start_ns + len(payload) * NS_PER_BYTE, payload))
        self.sent.sort(key=lambda item: item[0])

    def hear_functional(self, request: bytes) -> None:
        self.functional.append((self.clock.now_ns(), request))
        self._watch_s3()
        head = request[:2]
        if head == b"\x10\x83":
            self.session, self.unlocked = 3, False
        elif head == b"\x10\x81":
            self.session, self.unlocked = 1, False
        elif head in (b"\x28\x83", b"\x28\x80"):
            self.communication = head == b"\x28\x80"
        elif head in (b"\x85\x82", b"\x85\x81"):
            self.dtc_setting = head == b"\x85\x81"

    def _watch_s3(self) -> None:
        now_ns = self.clock.now_ns()
        if self.session != 1 and now_ns - self.heard_ns > S3_NS:
            self.session, self.unlocked, self.download = 1, False, None
        self.heard_ns = now_ns

    def obey(self, request: bytes) -> bytes:
        """Behave: return the answer of a healthy ECU."""
        self._watch_s3()
        service = {
            0x10: self._session, 0x11: self._reset, 0x14: self._clear, 0x19: self._dtcs_by_mask, 0x22: self._read,
            0x27: self._security, 0x2E: self._write, 0x31: self._routine, 0x34: self._download,
            0x36: self._transfer, 0x37: self._exit, 0x3E: self._present,
        }.get(request[0])  # fmt: skip
        programming_only = request[0] in (0x27, 0x2E, 0x34, 0x36, 0x37)
        if service is None or (programming_only and self.in_application):
            return no(request, 0x11)
        if programming_only and self.session != 2:
            return no(request, 0x7F)
        return service(request)

    def _session(self, request: bytes) -> bytes:
        wanted = request[1]
        if wanted == 2 and self.in_application:
            if self.session != 3:
                return no(request, 0x7E)
            self.reset(programming=True)
        elif wanted != self.session:
            self.session, self.unlocked, self.download = wanted, False, None
        return bytes((0x50, wanted)) + bytes.fromhex("003201f4")

    def _present(self, request: bytes) -> bytes:
        return b"\x7e" + request[1:2]

    def _reset(self, request: bytes) -> bytes:
        self.reset()
        return b"\x51" + request[1:]

    def _clear(self, request: bytes) -> bytes:
        group = int.from_bytes(request[1:4], "big")
        if group != 0xFFFFFF and group not in self.dtcs:
            return no(request, 0x31)
        self.dtcs = {} if group == 0xFFFFFF else {dtc: status for dtc, status in self.dtcs.items() if dtc != group}
        return b"\x54"

    def _dtcs_by_mask(self, request: bytes) -> bytes:
        if request[1] != 2:
            return no(request, 0x12)
        stored = [(dtc, status) for dtc, status in self.dtcs.items() if status & request[2]]
        return b"\x59\x02\x7f" + b"".join(dtc.to_bytes(3, "big") + bytes((status,)) for dtc, status in stored)

    def _read(self, request: bytes) -> bytes:
        did = int.from_bytes(request[1:3], "big")
        header = self.banks[self.active].header
        version = ImageHeader.decode(header).version if self.in_application else ""
        values = {0xF186: bytes((self.session,)), 0xF191: self.hardware_id.ljust(16, "\x00").encode()}
        if self.in_application:
            values |= {0xF188: self.software_id.encode(), 0xF189: version.encode()}
        return b"\x62" + request[1:3] + values[did] if did in values else no(request, 0x31)

    def _security(self, request: bytes) -> bytes:
        if request[1] == 1:
            self.seed_given = True
            return b"\x67\x01" + (bytes(8) if self.unlocked else SEED)
        if not self.seed_given:
            return no(request, 0x24)
        self.seed_given = False
        if request[2:] != hmac.digest(self.secret, SEED, "sha256")[:8]:
            self.wrong_keys += 1
            return no(request, 0x35)
        self.unlocked = True
        return b"\x67\x02"

    def _write(self, request: bytes) -> bytes:
        if not self.unlocked:
            return no(request, 0x33)
        self.fingerprint = request[3:]
        return b"\x6e" + request[1:3]

    @property
    def target(self) -> Bank:
        return self.banks[1 - self.active] if self.dual else self.banks[0]

    def _routine(self, request: bytes) -> bytes:
        routine = int.from_bytes(request[2:4], "big")
        if routine == 0x0204:
            self.confirms += 1
            return b"\x71" + request[1:4] + b"\x00" if self.in_application and self.session == 3 else no(request, 0x7F)
        if self.session != 2:
            return no(request, 0x7F)
        if not self.unlocked:
            return no(request, 0x33)
        status = 0
        if routine == 0xFF00:
            self.erases += 1
            index = self.banks.index(self.target)
            self.banks[index] = Bank(erased_bytes=REGION_BYTES)
        elif routine == 0x0202:
            status = self._checked(self.target)
        elif routine == 0x0203 and self.dual:
            self.boot_from = 1 - self.active
        elif routine != 0xFF01:
            return no(request, 0x31)
        return b"\x71" + request[1:4] + bytes((status,))

    def _checked(self, bank: Bank) -> int:
        try:
            header = ImageHeader.decode(bank.header)
        except HeaderError:
            return 5
        if header.hardware_id != self.hardware_id:
            return 2
        bank.mark = header.fits(bank.image())
        return 0 if bank.mark else 4

    def _download(self, request: bytes) -> bytes:
        if not self.unlocked:
            return no(request, 0x33)
        address, size = int.from_bytes(request[3:7], "big"), int.from_bytes(request[7:11], "big")
        bank = self.target
        header = address == HEADER_ADDRESS and size == 256 and not bank.header
        if not header and (bank.cells or address + size > bank.erased_bytes):
            return no(request, 0x31)
        self.download, self.buffer, self.last_counter = (address, size), b"", 0
        return b"\x74\x20" + self.max_block.to_bytes(2, "big")

    def _transfer(self, request: bytes) -> bytes:
        counter = request[1]
        if self.download is None:
            return no(request, 0x24)
        if self.buffer and counter == self.last_counter:
            return b"\x76" + request[1:2]
        if counter != (self.last_counter + 1) & 0xFF:
            return no(request, 0x73)
        address, size = self.download
        if len(request) > self.max_block or len(self.buffer) + len(request) - 2 > size:
            return no(request, 0x71)
        self.last_counter = counter
        if address != HEADER_ADDRESS:
            self.target.cells[address + len(self.buffer)] = request[2:]
        self.writes += 1
        self.buffer += request[2:]
        return b"\x76" + request[1:2]

    def _exit(self, request: bytes) -> bytes:
        if self.download is None or len(self.buffer) != self.download[1]:
            return no(request, 0x24)
        if self.download[0] == HEADER_ADDRESS:
            self.target.header = self.buffer
        self.download = None
        return b"\x77"


def no(request: bytes, nrc: int) -> bytes:
    return bytes((0x7F, request[0], nrc))


# Acts: what an ECU may do instead of behaving ---------------------------------------------------------


class Acts:
    """Makers of misbehaviour."""

    @staticmethod
    def pending(times: int, every_ms: float) -> Act:
        """Ask for patience so often, then do and answer."""
        return lambda ecu, request: [
            *(Answer(1 + every_ms * n, no(request, 0x78)) for n in range(times)),
            Answer(1 + every_ms * times, ecu.obey(request)),
        ]

    @staticmethod
    def refuse(nrc: int) -> Act:
        """Say no, do nothing."""
        return lambda _ecu, request: [Answer(1, no(request, nrc))]

    @staticmethod
    def pretend(payload: str) -> Act:
        """Answer, do nothing."""
        return lambda _ecu, _request: [Answer(1, bytes.fromhex(payload))]

    @staticmethod
    def lose_request() -> Act:
        """The request never arrived."""
        return lambda _ecu, _request: []

    @staticmethod
    def lose_answer() -> Act:
        """Done, but the answer never arrives."""

        def act(ecu: FakeEcu, request: bytes) -> list[Answer]:
            ecu.obey(request)
            return []

        return act

    @staticmethod
    def late(delay_ms: float) -> Act:
        """Done, answered after `delay_ms`."""
        return lambda ecu, request: [Answer(delay_ms, ecu.obey(request))]

    @staticmethod
    def instead(payload: str, *, then_proper_after_ms: float | None = None) -> Act:
        """Done, but something else is sent; perhaps the proper answer later."""

        def act(ecu: FakeEcu, request: bytes) -> list[Answer]:
            proper = ecu.obey(request)
            wrong = [Answer(1, bytes.fromhex(payload))]
            return wrong if then_proper_after_ms is None else [*wrong, Answer(then_proper_after_ms, proper)]

        return act

    @staticmethod
    def cut(off_ms: int, *, done: bool) -> Act:
        """Lose power, before or after doing it, unanswered."""

        def act(ecu: FakeEcu, request: bytes) -> list[Answer]:
            if done:
                ecu.obey(request)
            ecu.cut(off_ms)
            return []

        return act


# Ports ------------------------------------------------------------------------------------------------


class FakeLink:
    """`DiagLink` to the ECU; messages take time on the wire."""

    def __init__(self, ecu: FakeEcu, clock: Clock) -> None:
        self.ecu, self.clock = ecu, clock

    async def send(self, payload: bytes) -> None:
        if not self.ecu.up:
            await self.clock.sleep_ns(NS_PER_S)
            raise LinkError("N_TIMEOUT_Bs" if len(payload) > 7 else "N_TIMEOUT_A")
        await self.clock.sleep_ns(len(payload) * NS_PER_BYTE)
        if self.ecu.up:
            self.ecu.hear(payload)

    async def receive(self, start_within_ns: int) -> bytes:
        deadline_ns = self.clock.now_ns() + start_within_ns
        if not self.ecu.sent or self.ecu.sent[0][0] > deadline_ns:
            await self.clock.sleep_ns(start_within_ns)
            raise AnswerTimeout(f"{start_within_ns} ns")
        item = self.ecu.sent[0]
        await self.clock.sleep_ns(item[1] - self.clock.now_ns())
        if item not in self.ecu.sent:
            raise LinkError("N_TIMEOUT_Cr")
        self.ecu.sent.remove(item)
        return item[2]

    def discard(self) -> int:
        now_ns = self.clock.now_ns()
        kept = [item for item in self.ecu.sent if item[1] > now_ns]
        dropped = len(self.ecu.sent) - len(kept)
        self.ecu.sent = kept
        return dropped


class FakeFunctional:
    """`FunctionalLink`: a frame that nobody acknowledges repeats until somebody does."""

    def __init__(self, ecu: FakeEcu, clock: Clock) -> None:
        self.ecu, self.clock = ecu, clock
        self.refuse_with: str | None = None

    async def send(self, payload: bytes) -> None:
        if self.refuse_with is not None:
            raise LinkError(self.refuse_with)
        while not self.ecu.powered:
            await self.clock.sleep_ns(NS_PER_MS)
        await self.clock.sleep_ns(NS_PER_MS // 4)
        if self.ecu.up:
            self.ecu.hear_functional(payload)
