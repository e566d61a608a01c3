"""The bootloader's server against a small model: sessions, security, transfer and time in any order.

The ECU is blank, so that no application takes over. The download goes to the header slot, which every personality
takes plain; the model says what each request is answered with, byte for byte where the standard leaves no choice.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bench.wire import seed_key
from bench.wire.image_header import HEADER_BYTES
from ecu_sim.personality.geometry import header_region
from tests.effort import effort
from tests.recipes import erase_routine, header_slot
from tests.soak.lab import kinds, open_lab

DEFAULT, PROGRAMMING, EXTENDED = 1, 2, 3
BLOCK = 64
BLOCKS = HEADER_BYTES // BLOCK
S3_SLACK_MS = 100
NAMES = sorted(
    name for name, kind in kinds().items() if kind.personality.security and not kind.personality.authentication
)
"""Those that a key alone opens."""


class ServerMachine(RuleBasedStateMachine):
    """The model: `session`, `opened`, `seed`, `failed_keys`, `taken` (blocks of a download) and `silent_ms`."""

    name = "body_controller"
    reached: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.lab = open_lab(self.name)
        personality, self.recipe = self.lab.kind.personality, self.lab.kind.recipe
        assert personality.security is not None
        assert self.recipe.security is not None
        self.lock, self.s3_ms, self.form = personality.security, personality.uds.s3_ms, self.recipe.transfer
        self.level = self.recipe.security.level
        self.failed_keys = 0
        self.closed_until_ms = -1
        self.written = False
        """Whether something stands in the slot; the model does not know before the first erase."""
        self.erased = True
        self.content = b""
        self._fresh()
        self.lab.do(self._on())

    def teardown(self) -> None:
        self.lab.close()

    def _fresh(self) -> None:
        """What a boot leaves: everything volatile is gone."""
        self.session, self.opened, self.seed = DEFAULT, False, b""
        self.taken: int | None = None
        self.silent_ms = 0

    async def _on(self) -> None:
        self.lab.node.power_on()
        assert await self.lab.answers_within(self.lab.kind.personality.boot.time_limit_ms) is not None
        self._boots_closed()

    def _boots_closed(self) -> None:
        if self.failed_keys >= self.lock.max_attempts:
            self.closed_until_ms = self._now_ms() + self.lock.delay_ms

    def _now_ms(self) -> int:
        return self.lab.world.clock.now_ns() // 1_000_000

    # Asking -----------------------------------------------------------------------------------------

    def _ask(self, pdu: bytes) -> bytes:
        """Ask, the silence before taken into account (a time too near to S3 is not judged)."""
        assume(self.session == DEFAULT or abs(self.silent_ms - self.s3_ms) > S3_SLACK_MS)
        if self.session != DEFAULT and self.silent_ms > self.s3_ms:
            self._enter(DEFAULT)
        answer = self.lab.do(self.lab.ask(pdu))
        assert answer is not None, f"no answer to {pdu.hex(' ')}"
        self.silent_ms = 0
        return answer

    def _expect(self, pdu: bytes, *expected: bytes) -> None:
        answer = self._ask(pdu)
        assert answer in expected, (
            f"{pdu[:16].hex(' ')} got {answer.hex(' ')}, not {[each.hex(' ') for each in expected]}"
        )

    def _refused(self, pdu: bytes, *nrcs: int) -> None:
        self._expect(pdu, *(bytes((0x7F, pdu[0], nrc)) for nrc in nrcs))

    def _expired(self) -> None:
        if self.session != DEFAULT and self.silent_ms > self.s3_ms + S3_SLACK_MS:
            self.reached["S3 expired"] += 1
            self._enter(DEFAULT)

    def _enter(self, session: int) -> None:
        self._lose_the_buffer()
        self.session, self.opened, self.seed, self.taken = session, False, b"", None

    # Rules ------------------------------------------------------------------------------------------

    @rule(session=st.sampled_from((DEFAULT, PROGRAMMING, EXTENDED)))
    def change_session(self, session: int) -> None:
        self._expired()
        answer = self._ask(bytes((0x10, session)))
        assert answer[:2] == bytes((0x50, session))
        assert len(answer) == 6
        self._enter(session)

    @rule()
    def open_programming(self) -> None:
        """The usual way to the unlocked programming session, in one step."""
        self.change_session(PROGRAMMING)
        self.request_seed()
        if self.seed:
            self.send_key(right=True)

    @rule(blocks=st.sampled_from((1, 2, BLOCKS, BLOCKS)), fill=st.integers(0, 255))
    def download(self, blocks: int, fill: int) -> None:
        """The usual way into memory, in one step; or the beginning of it."""
        self.open_programming()
        if self.opened:
            self.erase()
            self.request_download()
            for _ in range(blocks if self.taken == 0 else 0):
                self.transfer_data(0, fill)
            if fill % 2:
                self.transfer_exit()

    @rule(ms=st.sampled_from((30, 2_000, 5_300, 5_300, 11_000)))
    def say_nothing(self, ms: int) -> None:
        self.lab.do(self.lab.wait_ms(ms))
        self.silent_ms += ms

    @rule(functional=st.booleans())
    def tester_present(self, functional: bool) -> None:
        self._expired()
        if not functional:
            self._expect(b"\x3e\x00", b"\x7e\x00")
            return
        assume(abs(self.silent_ms - self.s3_ms) > S3_SLACK_MS)
        self.lab.do(self._tell_all(b"\x3e\x80"))
        self.silent_ms = 0

    async def _tell_all(self, pdu: bytes) -> None:
        self.lab.tester.heard.clear()
        await self.lab.tester.tell_all(pdu)
        await self.lab.wait_ms(20)
        assert self.lab.tester.heard == []

    @rule(times=st.integers(1, 3))
    def keep_the_session_alive_then_let_it_go(self, times: int) -> None:
        self.open_programming()
        for _ in range(times):
            self.say_nothing(3_000)
            self.tester_present(functional=True)
        self._expect(b"\x22\xf1\x86", b"\x62\xf1\x86\x02")
        self.tester_present(functional=True)
        self.say_nothing(5_300)
        self._expired()
        self._expect(b"\x22\xf1\x86", b"\x62\xf1\x86\x01")

    @rule()
    def request_seed(self) -> None:
        self._expired()
        pdu = bytes((0x27, self.level))
        if self.session != PROGRAMMING:
            self._refused(pdu, 0x7F)
        elif self.opened:
            self._expect(pdu, b"\x67" + pdu[1:] + bytes(self.lock.seed_bytes))
        elif self._now_ms() < self.closed_until_ms:
            assume(self.closed_until_ms - self._now_ms() > S3_SLACK_MS)
            self._refused(pdu, 0x37)
        else:
            answer = self._ask(pdu)
            assert answer[:2] == b"\x67" + pdu[1:]
            assert any(answer[2:])
            assert len(answer) == 2 + self.lock.seed_bytes
            self.seed = answer[2:]

    @rule(right=st.booleans())
    def send_key(self, right: bool) -> None:
        self._expired()
        seed = self.seed or bytes(self.lock.seed_bytes)
        key = seed_key.compute(self.lock.algorithm, self.lock.secret_name, seed)
        pdu = bytes((0x27, self.level + 1)) + (key if right else bytes((key[0] ^ 1,)) + key[1:])
        if self.session != PROGRAMMING:
            self._refused(pdu, 0x7F)
        elif not self.seed:
            self._refused(pdu, 0x24)
        elif right:
            self._expect(pdu, b"\x67" + pdu[1:2])
            self.seed, self.opened, self.failed_keys = b"", True, 0
        else:
            self.failed_keys, self.seed = self.failed_keys + 1, b""
            enough = self.failed_keys >= self.lock.max_attempts
            self._refused(pdu, 0x36 if enough else 0x35)
            if enough:
                self.reached["locked out"] += 1
                self.closed_until_ms = self._now_ms() + self.lock.delay_ms

    @rule()
    def erase(self) -> None:
        self._expired()
        place = self.form.range(self.recipe.memory.region_base, self.recipe.memory.program_unit_bytes)
        head = b"\x01" + erase_routine(self.recipe).to_bytes(2, "big")
        if self._guarded(b"\x31" + head + place):
            self._expect(b"\x31" + head + place, b"\x71" + head + b"\x00")
            self.taken, self.erased, self.content = None, True, b""

    def _guarded(self, pdu: bytes) -> bool:
        """Return whether session and security let it through; else it has been refused."""
        if self.session != PROGRAMMING:
            self._refused(pdu, 0x7F)
        elif not self.opened:
            self._refused(pdu, 0x33)
        else:
            return True
        return False

    @rule()
    def request_download(self) -> None:
        self._expired()
        pdu = b"\x34\x00" + self.form.range(header_slot(self.recipe), HEADER_BYTES)
        if not self._guarded(pdu):
            return
        if self.taken:
            self._refused(pdu, 0x22, 0x70)
        elif not self.erased:
            self._refused(pdu, 0x70)
        else:
            assert self._ask(pdu)[0] == 0x74
            self.taken = 0

    @rule(off=st.sampled_from((0, 0, 0, 0, -1, 1, 7)), fill=st.integers(0, 255))
    def transfer_data(self, off: int, fill: int) -> None:
        """Block `taken`, the one before (repeated), or another one."""
        self._expired()
        number = (self.taken or 0) + off
        counter = (self.form.first_counter + number) & 0xFF
        pdu = bytes((0x36, counter)) + bytes((fill,)) * BLOCK
        if self.session != PROGRAMMING:
            self._refused(pdu, 0x7F)
        elif self.taken is None:
            self._refused(pdu, 0x24)
        elif off == -1 and self.taken > 0:
            self._expect(pdu, bytes((0x76, counter)))
        elif self.taken == BLOCKS:
            self._refused(pdu, 0x24, 0x73)
        elif off:
            self._refused(pdu, 0x73)
        else:
            self._expect(pdu, bytes((0x76, counter)))
            self.taken, self.content, self.erased = self.taken + 1, self.content + bytes((fill,)) * BLOCK, False

    @rule()
    def transfer_exit(self) -> None:
        self._expired()
        if self.session != PROGRAMMING:
            self._refused(b"\x37", 0x7F)
        elif self.taken != BLOCKS:
            self._refused(b"\x37", 0x24)
        else:
            self._expect(b"\x37", b"\x77")
            self.taken = None
            self.reached["downloads"] += 1
            slot = header_region(self.lab.memory.target_bank)
            assert self.lab.memory.flash.read(slot, 0, HEADER_BYTES) == self.content

    @rule(kind=st.sampled_from((0x01, 0x02, 0x03)))
    def reset(self, kind: int) -> None:
        self._expired()
        self._expect(bytes((0x11, kind)), bytes((0x51, kind)))
        self._lose_the_buffer()
        self.lab.do(self._booted())

    @rule(off_ms=st.integers(1, 50))
    def cut(self, off_ms: int) -> None:
        self.lab.do(self._lose_power(off_ms))

    async def _lose_power(self, off_ms: int) -> None:
        await self.lab.wait_ms(60)  # a block that was taken is programmed meanwhile
        self.lab.node.cut("test")
        await self.lab.wait_ms(off_ms)
        self._lose_the_buffer()
        self._fresh()
        await self._on()

    def _lose_the_buffer(self) -> None:
        """A download ends early: less than a program unit was never programmed, so the slot is still erased."""
        if self.taken is not None and len(self.content) < self.lab.kind.personality.flash.unit_bytes:
            self.erased, self.content = True, b""

    async def _booted(self) -> None:
        await self.lab.wait_ms(self.lab.kind.personality.boot.reset_delay_ms + 20)
        self._fresh()
        await self._on()

    # What must hold always --------------------------------------------------------------------------

    @invariant()
    def session_is_the_models(self) -> None:
        if self.silent_ms == 0:
            answer: Any = self.lab.do(self.lab.ask(b"\x22\xf1\x86"))
            assert answer == b"\x62\xf1\x86" + bytes((self.session,))

    @invariant()
    def nothing_was_programmed_that_the_driver_forbids(self) -> None:
        assert self.lab.memory.flash.driver_faults == []


SETTINGS = settings(
    max_examples=effort(25, 200), stateful_step_count=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip


@pytest.mark.effort
@pytest.mark.parametrize("name", NAMES)
def test_server_answers_as_the_model_says(name: str) -> None:
    reached: Counter[str] = Counter()
    run_state_machine_as_test(type("Machine", (ServerMachine,), {"name": name, "reached": reached}), settings=SETTINGS)
    assert reached["downloads"] > 0
    assert reached["S3 expired"] > 0
