"""RoutineControl (0x31): start, stop and results of routines, each with a state of its own in this life."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.wire.uds import Nrc, RoutineControl, RoutineType, routine_response
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.sessions import SessionState

Work = Callable[[bytes], Awaitable[bytes]]
"""Takes the routineControlOptionRecord, returns the routineStatusRecord (first byte: status); raises `Refused`."""
RUNNING: Final = b"\x01"
STOPPED: Final = b"\x02"
"""Status of a routine in the background; what it found follows a status of 00 once it came to its end."""


@dataclass(frozen=True, slots=True)
class Routine:
    """A routine. One in the `background` answers at once and can be stopped; of all the results can be asked for.

    `results` tells them where the routine itself keeps them, beyond this life.
    """

    work: Work
    unlocked: bool = True
    results: Callable[[], bytes] | None = None
    background: bool = False

    @property
    def control_types(self) -> frozenset[RoutineType]:
        """The sub-functions that it has."""
        return frozenset(RoutineType) if self.background else frozenset((RoutineType.START, RoutineType.RESULTS))


class _Run:
    """A start of a routine: what asking for its results answers."""

    def __init__(self) -> None:
        self.status = RUNNING

    def state(self, now_ns: int) -> State:
        """Return what is known of it."""
        del now_ns
        return (self.status,)

    @property
    def running(self) -> bool:
        return self.status == RUNNING


class RoutineService:
    """Serves 0x31 from a table of routine ids, in the order of refusals that the standard has for this service."""

    def __init__(self, life: Incarnation, routines: Mapping[int, Routine], state: SessionState) -> None:
        self._life, self._routines, self._state = life, routines, state
        self._runs: dict[int, _Run] = {}
        state.on_change(self._stop_all)

    def state(self, now_ns: int) -> State:
        """Return the starts in this life; where one in the background waits stands in the state of its task."""
        return tuple((routine_id, run.state(now_ns)) for routine_id, run in sorted(self._runs.items()))

    async def control(self, request: RoutineControl) -> Answer:
        """Check routine id, security, sub-function; then start, stop or tell the results."""
        routine = self._routines.get(request.routine_id)
        if routine is None:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if routine.unlocked and self._state.missing is not None:
            raise Refused(self._state.missing)
        if request.control_type not in routine.control_types:
            raise Refused(Nrc.SUB_FUNCTION_NOT_SUPPORTED)
        if request.control_type == RoutineType.START:
            status = await self._start(request.routine_id, routine, request.option)
        elif request.option:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        elif request.control_type == RoutineType.STOP:
            status = self._stop(request.routine_id)
        else:
            status = self._results(request.routine_id) if routine.results is None else routine.results()
        return Answer(routine_response(request.control_type, request.routine_id, status))

    async def _start(self, routine_id: int, routine: Routine, option: bytes) -> bytes:
        known = self._runs.get(routine_id)
        if known is not None and known.running and routine.background:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        if not routine.background:
            status = await routine.work(option)
            self._runs[routine_id] = run = _Run()
            run.status = status
            return status
        if option:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        self._runs[routine_id] = run = _Run()
        self._life.spawn(self._work(run, routine.work), f"routine {routine_id:04X}")
        return run.status

    async def _work(self, run: _Run, work: Work) -> None:
        """Let a routine come to its end, and keep what it found unless it was stopped meanwhile."""
        found = await work(b"")
        if run.running:
            run.status = b"\x00" + found

    def _stop(self, routine_id: int) -> bytes:
        run = self._runs.get(routine_id)
        if run is None or not run.running:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        run.status = STOPPED
        return STOPPED

    def _results(self, routine_id: int) -> bytes:
        run = self._runs.get(routine_id)
        if run is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        return run.status

    def _stop_all(self) -> None:
        for routine_id, run in self._runs.items():
            if run.running and self._routines[routine_id].background:
                run.status = STOPPED
