"""The states of network management (AUTOSAR CanNm) and their table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto


class NmState(Enum):
    """Where an ECU's network management stands; the first two are without frames."""

    BUS_SLEEP = auto()
    PREPARE_BUS_SLEEP = auto()
    REPEAT_MESSAGE = auto()
    NORMAL_OPERATION = auto()
    READY_SLEEP = auto()


class NmEvent(Enum):
    """What moves it: the ECU's own need of the network, alive messages of others, and its timers."""

    REQUESTED = auto()
    RELEASED = auto()
    HEARD = auto()
    REPEAT_REQUESTED = auto()
    REPEAT_OVER_REQUESTED = auto()
    REPEAT_OVER_RELEASED = auto()
    TIMEOUT = auto()
    WAITED = auto()


TRANSITIONS: Mapping[tuple[NmState, NmEvent], NmState] = {
    (NmState.BUS_SLEEP, NmEvent.REQUESTED): NmState.REPEAT_MESSAGE,
    (NmState.BUS_SLEEP, NmEvent.HEARD): NmState.REPEAT_MESSAGE,
    (NmState.REPEAT_MESSAGE, NmEvent.REPEAT_OVER_REQUESTED): NmState.NORMAL_OPERATION,
    (NmState.REPEAT_MESSAGE, NmEvent.REPEAT_OVER_RELEASED): NmState.READY_SLEEP,
    (NmState.NORMAL_OPERATION, NmEvent.RELEASED): NmState.READY_SLEEP,
    (NmState.NORMAL_OPERATION, NmEvent.REPEAT_REQUESTED): NmState.REPEAT_MESSAGE,
    (NmState.READY_SLEEP, NmEvent.REQUESTED): NmState.NORMAL_OPERATION,
    (NmState.READY_SLEEP, NmEvent.REPEAT_REQUESTED): NmState.REPEAT_MESSAGE,
    (NmState.READY_SLEEP, NmEvent.TIMEOUT): NmState.PREPARE_BUS_SLEEP,
    (NmState.PREPARE_BUS_SLEEP, NmEvent.REQUESTED): NmState.REPEAT_MESSAGE,
    (NmState.PREPARE_BUS_SLEEP, NmEvent.HEARD): NmState.REPEAT_MESSAGE,
    (NmState.PREPARE_BUS_SLEEP, NmEvent.REPEAT_REQUESTED): NmState.REPEAT_MESSAGE,
    (NmState.PREPARE_BUS_SLEEP, NmEvent.WAITED): NmState.BUS_SLEEP,
}
"""What is not here changes nothing."""

SENDS_ALIVE = frozenset((NmState.REPEAT_MESSAGE, NmState.NORMAL_OPERATION))
SENDS_FRAMES = frozenset((NmState.REPEAT_MESSAGE, NmState.NORMAL_OPERATION, NmState.READY_SLEEP))


def next_state(state: NmState, event: NmEvent) -> NmState:
    """Return the state after an event."""
    return TRANSITIONS.get((state, event), state)
