"""Network management of one life of an ECU: alive messages, and the way to sleep (AUTOSAR CanNm)."""

from __future__ import annotations

from collections.abc import Callable

from bench.core.clock import NS_PER_MS, Timer
from bench.core.continuing import State, left_ns
from bench.core.node import Incarnation
from bench.core.specs import ManagementSpec
from bench.ports.can import CanPort
from bench.wire.can import CanFrame
from bench.wire.isotp import Deadline
from ecu_sim.network.slot import TransmitSlot
from ecu_sim.network.states import SENDS_ALIVE, SENDS_FRAMES, NmEvent, NmState, next_state

NODES = 64
"""Alive messages have the identifiers from the base on, one for each node."""
REPEAT_MESSAGE_REQUEST = 0x01
"""Bit 0 of the control bit vector: a tester or gateway asks all nodes to show themselves; none of ours sends it."""
USER_DATA = bytes((0xFF,)) * 6


class NetworkManagement:
    """Decides when the ECU is awake; `asleep` is called once nobody has needed the network for long enough."""

    def __init__(
        self,
        life: Incarnation,
        port: CanPort,
        spec: ManagementSpec,
        may_send: Callable[[], bool],
        asleep: Callable[[], None],
    ) -> None:
        """Begin without frames; `may_send` says whether alive messages are allowed (0x28)."""
        self._life, self._port, self._spec = life, port, spec
        self._may_send, self._asleep = may_send, asleep
        self._slot = TransmitSlot(port)
        self.state = NmState.BUS_SLEEP
        self._requested = False
        self._cycle: Timer | None = None
        self._due_ns: int | None = None
        """When the next alive message is due, while `_cycle` runs."""
        self._wait = Deadline(life, self._waited)

    def start(self, *, requested: bool) -> None:
        """Enter the network: after a start or a wake-up every node repeats its message for a while."""
        first = self._spec.base_id
        self._port.subscribe(self._heard, range(first, first + NODES))
        self._requested = requested
        self._happened(NmEvent.REQUESTED)

    def continuing(self, now_ns: int) -> State:
        """Return where it stands, what it waits for, and when the next alive message is due."""
        cycle = None if self._cycle is None else left_ns(self._due_ns, now_ns)
        return self.state.name, self._requested, self._wait.state(now_ns), cycle, self._slot.state(now_ns)

    @property
    def sends_frames(self) -> bool:
        """Whether application frames go out in this state."""
        return self.state in SENDS_FRAMES

    def request(self, *, requested: bool) -> None:
        """Say whether this ECU needs the network; told again it changes nothing."""
        if requested is not self._requested:
            self._requested = requested
            self._happened(NmEvent.REQUESTED if requested else NmEvent.RELEASED)

    def busy(self) -> None:
        """Somebody asks something of this ECU: it stays awake a little longer, or comes back to the network."""
        # Diagnosis keeps the network awake (AUTOSAR CanNm, from memory): an ECU that falls asleep under a download
        # loses it.
        if self.state is NmState.READY_SLEEP:
            self._wait_ms(self._spec.timeout_ms)
        elif self.state is NmState.PREPARE_BUS_SLEEP:
            self._happened(NmEvent.HEARD)

    def _heard(self, frame: CanFrame, _t_ns: int) -> None:
        repeat = len(frame.data) > 1 and frame.data[1] & REPEAT_MESSAGE_REQUEST
        self.busy()
        self._happened(NmEvent.REPEAT_REQUESTED if repeat else NmEvent.HEARD)

    def _waited(self) -> None:
        if self.state is NmState.REPEAT_MESSAGE:
            over = NmEvent.REPEAT_OVER_REQUESTED if self._requested else NmEvent.REPEAT_OVER_RELEASED
            self._happened(over)
        else:
            self._happened(NmEvent.TIMEOUT if self.state is NmState.READY_SLEEP else NmEvent.WAITED)

    def _happened(self, event: NmEvent) -> None:
        before, self.state = self.state, next_state(self.state, event)
        # A message that was heard again restarts nothing here: repeat message has a fixed length, else two nodes would
        # keep each other in it.
        if self.state is before:
            return
        if self.state is NmState.REPEAT_MESSAGE:
            self._wait_ms(self._spec.repeat_ms)
        elif self.state is NmState.READY_SLEEP:
            self._wait_ms(self._spec.timeout_ms)
        elif self.state is NmState.PREPARE_BUS_SLEEP:
            self._wait_ms(self._spec.wait_bus_sleep_ms)
        else:
            self._wait.drop()
        if self.state in SENDS_ALIVE and self._cycle is None:
            self._alive(self._life.now_ns())
        if self.state is NmState.BUS_SLEEP:
            self._asleep()

    def _wait_ms(self, duration_ms: int) -> None:
        self._wait.drop()
        self._wait.set(self._life.now_ns() + duration_ms * NS_PER_MS)

    def _alive(self, due_ns: int) -> None:
        """Send the alive message and come again, as long as the state has it sent."""
        self._cycle = None
        if self.state not in SENDS_ALIVE:
            return
        if self._may_send():
            alive = CanFrame(self._spec.base_id + self._spec.node, bytes((self._spec.node, 0)) + USER_DATA)
            self._slot.send(alive, due_ns)
        # From the instant at which it was due, not from now: late frames would add up, and the cycle drift away from
        # its time-outs.
        due_ns = self._due_ns = due_ns + self._spec.cycle_ms * NS_PER_MS
        self._cycle = self._life.call_at_ns(due_ns, self._alive, due_ns)
