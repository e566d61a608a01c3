"""SecurityAccess (0x27): seed and key, an attempt counter that survives power loss, a delay after too many."""

from __future__ import annotations

import hmac
from dataclasses import replace

from bench.core.clock import NS_PER_MS
from bench.core.node import Incarnation
from bench.core.world import World
from bench.wire import seed_key
from bench.wire.uds import Nrc, SecurityAccess, Sid, positive
from ecu_sim.memory.nvm import Nvm
from ecu_sim.personality.sections import SecurityRules
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.sessions import SessionState

REQUEST_SEED, SEND_KEY = 0x01, 0x02
ATTEMPTS_LIMIT = 255


class SecurityLock:
    """The lock of one life."""

    def __init__(self, life: Incarnation, world: World, nvm: Nvm, rules: SecurityRules, state: SessionState) -> None:
        self._life, self._world, self._nvm, self._rules, self._state = life, world, nvm, rules, state
        self._seed: bytes | None = None
        self._closed_until_ns = 0
        state.on_change(self._forget_seed)
        if nvm.record.security_attempts >= rules.max_attempts:
            self._close()

    async def access(self, request: SecurityAccess) -> Answer:
        """Serve 27 01 and 27 02."""
        if request.access_type == REQUEST_SEED:
            return self._request_seed(request)
        return await self._send_key(request)

    def _request_seed(self, request: SecurityAccess) -> Answer:
        if request.data:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        if self._state.security_open:
            return Answer(positive(Sid.SECURITY_ACCESS, bytes((REQUEST_SEED,)), bytes(self._rules.seed_bytes)))
        if self._life.now_ns() < self._closed_until_ns:
            raise Refused(Nrc.REQUIRED_TIME_DELAY_NOT_EXPIRED)
        self._seed = self._new_seed()
        return Answer(positive(Sid.SECURITY_ACCESS, bytes((REQUEST_SEED,)), self._seed))

    def _new_seed(self) -> bytes:
        seed = self._world.seeds.draw(self._life.part, "security seed", self._rules.seed_bytes)
        return seed if any(seed) else b"\x01" * self._rules.seed_bytes  # a zero seed means: already open

    async def _send_key(self, request: SecurityAccess) -> Answer:
        seed = self._seed or bytes(self._rules.seed_bytes)
        expected = seed_key.compute(self._rules.algorithm, self._rules.secret_name, seed)
        if len(request.data) != len(expected):
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        if self._seed is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        self._seed = None
        if not hmac.compare_digest(expected, request.data):
            await self._wrong_key()
        await self._count(0)
        self._state.security_open = True
        return Answer(positive(Sid.SECURITY_ACCESS, bytes((SEND_KEY,))))

    async def _wrong_key(self) -> None:
        """Count the attempt before it is answered, so that a power cut does not give it back."""
        attempts = min(self._nvm.record.security_attempts + 1, ATTEMPTS_LIMIT)
        await self._count(attempts)
        if attempts < self._rules.max_attempts:
            raise Refused(Nrc.INVALID_KEY)
        self._close()
        raise Refused(Nrc.EXCEEDED_NUMBER_OF_ATTEMPTS)

    async def _count(self, attempts: int) -> None:
        record = self._nvm.record
        if record.security_attempts != attempts:
            await self._nvm.store(self._life, replace(record, security_attempts=attempts))

    def _close(self) -> None:
        self._closed_until_ns = self._life.now_ns() + self._rules.delay_ms * NS_PER_MS

    def _forget_seed(self) -> None:
        self._seed = None
