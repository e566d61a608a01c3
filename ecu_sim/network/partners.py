"""Frames that an ECU expects of its partners; their absence becomes a DTC, their return heals it."""

from __future__ import annotations

from collections.abc import Callable

from bench.core.clock import NS_PER_MS
from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.records import EXTENDED
from bench.core.specs import PartnerSpec
from bench.ports.can import CanPort
from bench.wire.can import CanFrame, identifier_of
from ecu_sim.memory.dtcs import Dtc, DtcMemory

DTC_STEP = 0x100
"""From one partner's DTC to the next one's."""


class Partner:
    """Watches one frame in one life: a note of its last arrival, and one timer per time-out."""

    def __init__(
        self,
        life: Incarnation,
        port: CanPort,
        spec: PartnerSpec,
        number: int,
        dtcs: DtcMemory,
        watching: Callable[[], bool],
    ) -> None:
        """`number` counts from 0; while `watching` says no (ignition off, reception off) nobody is missed."""
        self._life, self._port, self._dtcs, self._watching = life, port, dtcs, watching
        self._name = identifier_of(spec.can_id, EXTENDED if spec.id_29_bit else 0)
        self._timeout_ns = spec.timeout_ms * NS_PER_MS
        self._code = Dtc.LOST_COMMUNICATION + number * DTC_STEP
        dtcs.declare((self._code,))
        self._since_ns = 0
        self._unheeded = False
        self._passed: bool | None = None
        self.label = number
        """Which of the ECU's partners it is."""

    def state(self, now_ns: int) -> State:
        """Return how long ago it was heard, and what was reported of it."""
        return now_ns - self._since_ns, self._unheeded, self._passed

    def start(self) -> None:
        """Begin to watch; the first time-out begins now."""
        self._since_ns = self._life.now_ns()
        self._port.subscribe(self._heard, (self._name,))
        self._life.call_at_ns(self._since_ns + self._timeout_ns, self._look)

    def _heard(self, _frame: CanFrame, t_ns: int) -> None:
        # Reception off (0x28) hears nothing: what arrives then says nothing about the partner either.
        if self._watching():
            self._since_ns = t_ns
            if not self._passed:
                self._report(passed=True)

    def _look(self) -> None:
        now_ns = self._life.now_ns()
        heeded = self._watching() and self._dtcs.setting_on
        if not heeded or self._unheeded:
            self._unheeded = not heeded
            # DTC setting off (0x85 02) or an ignition that is off: a partner may be silent then without a fault of its
            # own.
            self._since_ns = now_ns  # once it counts again the partner has a whole time-out
        elif now_ns - self._since_ns >= self._timeout_ns:
            self._report(passed=False)
            self._since_ns = now_ns
        self._life.call_at_ns(self._since_ns + self._timeout_ns, self._look)

    def _report(self, *, passed: bool) -> None:
        if self._dtcs.setting_on:
            self._passed = passed
            self._dtcs.report(self._code, failed=not passed)
