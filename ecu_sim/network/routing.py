"""A gateway's routes: frames of one bus that are sent on another, a little later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from bench.core.clock import NS_PER_US
from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.records import EXTENDED, FD
from bench.core.specs import RouteSpec
from bench.ports.can import CanPort
from bench.wire.can import CanFrame, identifier_of
from bench.wire.outcome import Outcome


class Route:
    """One route in one life: what is under way is lost with the life (D3)."""

    def __init__(
        self,
        life: Incarnation,
        ports: Mapping[str, CanPort],
        spec: RouteSpec,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stopped` tells whether a tester keeps these frames back (0x28 with a node)."""
        self._life, self._spec, self._stopped = life, spec, stopped
        self._source, self._target = ports[spec.source], ports[spec.target]
        self._held: deque[tuple[int, CanFrame]] = deque()
        """Frames that wait for the delay to end, which is the same for all, and when that is."""
        self._waiting = 0
        """Frames in the controller of the other bus."""
        self.label = f"{spec.source} {spec.first_id} {spec.target}"
        """Which of the gateway's routes it is."""

    def state(self, now_ns: int) -> State:
        """Return what is under way."""
        held = tuple((due_ns - now_ns, *_values(frame)) for due_ns, frame in self._held)
        return held, self._waiting

    def open(self) -> None:
        """Begin to route."""
        flags = EXTENDED if self._spec.id_29_bit else 0
        span = range(self._spec.first_id, self._spec.last_id + 1)
        self._source.subscribe(self._heard, [identifier_of(can_id, flags) for can_id in span])

    def _heard(self, frame: CanFrame, _t_ns: int) -> None:
        if (frame.flags & FD and self._spec.classic_only) or self._stopped():
            return
        if len(self._held) + self._waiting >= self._spec.capacity:
            self._life.note("route.lost", f"{self._spec.target} 0x{frame.can_id:X}")
            return
        can_id = frame.can_id - self._spec.first_id + self._spec.to_id
        onward = CanFrame(can_id, frame.data, frame.flags)
        due_ns = self._life.now_ns() + self._spec.delay_us * NS_PER_US
        self._held.append((due_ns, onward))
        self._life.call_at_ns(due_ns, self._forward)

    def _forward(self) -> None:
        _, frame = self._held.popleft()
        self._waiting += 1
        self._target.send(frame, self._ended)

    def _ended(self, _outcome: Outcome) -> None:
        """The frame has left the other bus's controller, one way or the other."""
        self._waiting -= 1


def _values(frame: CanFrame) -> State:
    return frame.can_id, frame.data, frame.flags
