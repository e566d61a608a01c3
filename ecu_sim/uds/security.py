"""SecurityAccess (0x27): seed and key, an attempt counter that survives power loss, a delay after too many.

Clauses in comments are those of ISO 14229-1:2020, from memory.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Protocol

from bench.core.clock import NS_PER_MS
from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.world import World
from bench.wire import seed_key
from bench.wire.uds import Nrc, SecurityAccess, Sid, positive
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.personality.sections import SecurityRules
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.sessions import SessionState

ATTEMPTS_LIMIT = 255


class AttemptCounter(Protocol):
    """Failed attempts at one lock, in NVM."""

    @property
    def attempts(self) -> int:
        """How many there were since the right key."""
        ...

    async def count(self, life: Incarnation, attempts: int) -> None:
        """Write; returns when it counts."""
        ...


class BootloaderAttempts:
    """The counter of the programming level, in the boot record."""

    def __init__(self, memory: EcuMemory) -> None:
        self._nvm = memory.nvm

    @property
    def attempts(self) -> int:
        """See `AttemptCounter`."""
        return self._nvm.record.security_attempts

    async def count(self, life: Incarnation, attempts: int) -> None:
        """See `AttemptCounter`."""
        await self._nvm.store(life, replace(self._nvm.record, security_attempts=attempts))


class ApplicationAttempts:
    """The counter of the application's level, in the settings."""

    def __init__(self, memory: EcuMemory) -> None:
        self._settings = memory.settings

    @property
    def attempts(self) -> int:
        """See `AttemptCounter`."""
        return self._settings.value.application_attempts

    async def count(self, life: Incarnation, attempts: int) -> None:
        """See `AttemptCounter`."""
        await self._settings.store(life, replace(self._settings.value, application_attempts=attempts))


class SecurityLock:
    """The lock of one level, in one life."""

    def __init__(
        self, life: Incarnation, world: World, counter: AttemptCounter, rules: SecurityRules, state: SessionState
    ) -> None:
        self._life, self._world, self._counter, self._rules, self._state = life, world, counter, rules, state
        self._seed: bytes | None = None
        self._static_seed: bytes | None = None
        self._closed_until_ns = 0
        state.on_change(self._forget_seed)
        # The counter is in NVM: were it volatile, switching the ECU off and on would give an attacker his attempts back
        # (ISO 14229-1:2020, 10.4).
        if rules.delay_at_power_on or counter.attempts >= rules.max_attempts:
            self._close()

    def state(self, now_ns: int) -> State:
        """Return the seeds that are out, and how long the lock stays closed; the attempts are in NVM."""
        return self._seed, self._static_seed, max(0, self._closed_until_ns - now_ns)

    async def access(self, request: SecurityAccess) -> Answer:
        """Serve requestSeed and sendKey of this level."""
        if request.access_type == self._rules.level:
            return self._request_seed(request)
        return await self._send_key(request)

    def _request_seed(self, request: SecurityAccess) -> Answer:
        if request.data:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        # An open level answers a seed of zeros (10.4.1): a tester that computed a key for it would lose an attempt.
        if self._state.security_open:
            return self._answer(request, bytes(self._rules.seed_bytes))
        # 0x37 to the seed, not to the key: the delay is there to slow guesses, and a seed is what a guess begins with.
        if self._life.now_ns() < self._closed_until_ns:
            raise Refused(Nrc.REQUIRED_TIME_DELAY_NOT_EXPIRED)
        self._seed = self._static_seed or self._new_seed()
        if self._rules.static_seed:
            self._static_seed = self._seed
        return self._answer(request, self._seed)

    def _answer(self, request: SecurityAccess, data: bytes = b"") -> Answer:
        return Answer(positive(Sid.SECURITY_ACCESS, bytes((request.access_type,)), data))

    def _new_seed(self) -> bytes:
        seed = self._world.seeds.draw(self._life.part, "security seed", self._rules.seed_bytes)
        return seed if any(seed) else b"\x01" * self._rules.seed_bytes  # a zero seed means: already open

    async def _send_key(self, request: SecurityAccess) -> Answer:
        seed = self._seed or bytes(self._rules.seed_bytes)
        expected = seed_key.compute(self._rules.algorithm, self._rules.secret_name, seed)
        # Length first: a key of a wrong length is a mistake in the tester, not an attempt.
        if len(request.data) != len(expected):
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        if self._seed is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        self._seed = None
        # The seed is used up before the key is judged: else one recorded seed would serve for all guesses.
        if not hmac.compare_digest(expected, request.data):
            await self._wrong_key()
        self._static_seed = None
        await self._count(0)
        self._state.security_open = True
        return self._answer(request)

    async def _wrong_key(self) -> None:
        """Count the attempt before it is answered, so that a power cut does not give it back."""
        attempts = min(self._counter.attempts + 1, ATTEMPTS_LIMIT)
        await self._count(attempts)
        if attempts < self._rules.max_attempts:
            raise Refused(Nrc.INVALID_KEY)
        self._close()
        raise Refused(Nrc.EXCEEDED_NUMBER_OF_ATTEMPTS)

    async def _count(self, attempts: int) -> None:
        if self._counter.attempts != attempts:
            await self._counter.count(self._life, attempts)

    def _close(self) -> None:
        self._closed_until_ns = self._life.now_ns() + self._rules.delay_ms * NS_PER_MS

    def _forget_seed(self) -> None:
        self._seed = None
