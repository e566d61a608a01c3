"""A flashing job as a value with one step: where in the recipe it is, what is left of tries, what the ECU confirmed.

Nothing here waits or sends. `begin` gives the first action; whoever performs it (`bench.flasher.sequence`) gives what
came of it to `FlashState.next`, until the job has ended. Jobs of one plan with equal `state()` go on equally, whatever
lay before. The layers, from above: the job's phases and tries (here), the agenda of tasks of the step under way
(`bench.flasher.task`), the request under way (`bench.flasher.exchange`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from bench.flasher.belief import Belief, EcuState, belief_untouched
from bench.flasher.errors import FlasherError, TransportError, UdsError
from bench.flasher.exchange import (
    NOTHING_REMEMBERED,
    Broken,
    Done,
    Exchange,
    Limits,
    Listen,
    Memory,
    Received,
    Send,
    Sent,
    Silence,
    Waited,
    Wanted,
)
from bench.flasher.exchange import Pause as ExchangePause
from bench.flasher.known import tells_version
from bench.flasher.notes import Entered, JobNote
from bench.flasher.recipe import Step
from bench.flasher.retrying import TRIED_AGAIN, WRITING, is_final, restarts_download, step_tries
from bench.flasher.services import SessionTiming
from bench.flasher.state import JobState
from bench.flasher.steps import PHASES, STEPS
from bench.flasher.steps.dtcs import NoteDtcs
from bench.flasher.steps.joint import KeepState, Leave
from bench.flasher.steps.reading import Believe, Identify, LeaveProgramming
from bench.flasher.task import Ask, At, Pause, Plan, Request, Task, Turn, cause, continuing, noted
from bench.flasher.tries import NO_MORE, Tries

IDENTIFY = "identify"
"""Name of what comes before the recipe's steps."""
ERASING = (Step.ERASE, Step.PROGRAM_BLOCKS, Step.PROGRAM_PARTS)
AS_IT_WAS = belief_untouched("as it was: it was not touched")


class Phase(StrEnum):
    """What a job is about."""

    IDENTIFYING = "identifying"
    """Looking who answers, before this try does anything to the ECU."""
    FLASHING = "flashing"
    """Going through the recipe's steps."""
    RESTING = "resting"
    """Before another try: an ECU that is stuck in a session falls back to its default one meanwhile."""
    LEAVING = "leaving"
    """Switching on what was switched off, and looking what the ECU is now."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Answered:
    """What was asked for is done; `value` is what it gave."""

    now_ns: int
    value: Any = None


@dataclass(frozen=True, slots=True)
class Failed:
    """What was asked for did not work."""

    now_ns: int
    error: FlasherError


Action = Send | Listen | ExchangePause | Ask
Event = Sent | Received | Silence | Broken | Waited | Answered | Failed


@dataclass(frozen=True, slots=True)
class FlashTurn:
    """What one event led to: the job after it, and what is worth telling. The job's `action` is what is done next."""

    state: FlashState
    notes: tuple[JobNote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashState:
    """A job under way. Instants are the run's."""

    plan: Plan
    job: JobState
    limits: Limits
    tries: Tries
    """How many more tries of the whole job there are."""
    phase: Phase = Phase.IDENTIFYING
    step: Step | None = None
    """The step of the recipe that was begun last; None while there was none in this try."""
    step_tries: Tries = NO_MORE
    agenda: tuple[Task, ...] = ()
    """What is to be done before the next step; the first task has asked for `ask`."""
    ask: Ask | None = None
    exchange: Exchange | None = None
    """The request under way, and what it waits for."""
    exchange_action: Send | Listen | ExchangePause | None = None
    memory: Memory = NOTHING_REMEMBERED
    try_started_ns: int = 0
    error: FlasherError | None = None
    """Why the job is over; None while it is under way, when it was called off, and when the ordered version runs."""
    called_off: bool = False
    """Whether it was given up from outside."""
    belief: Belief = AS_IT_WAS

    @property
    def action(self) -> Action | None:
        """Return what is to be done next; None once the job has ended."""
        return self.ask if self.exchange_action is None else self.exchange_action

    @property
    def name(self) -> str:
        """Return what is under way, as reports name it."""
        return IDENTIFY if self.step is None else self.step

    @property
    def asking(self) -> bool:
        """Return whether the ECU is being asked who it is: it would miss a functional request meanwhile."""
        # An ECU that is served a physical request takes no functional one (ISO 14229-1, one service at a time).
        return self.phase is Phase.IDENTIFYING and not isinstance(self.agenda[0], KeepState)

    @property
    def succeeded(self) -> bool:
        """Return whether the job has ended and the ordered version runs."""
        return self.phase is Phase.ENDED and self.error is None and not self.called_off

    @property
    def kept_alive(self) -> bool:
        """Return whether tester present is sent for this job."""
        return self.phase is Phase.FLASHING

    @property
    def pending(self) -> bool:
        """Return whether the ECU asked for patience (0x78) and has not answered yet."""
        return self.exchange is not None and self.exchange.pending

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return all that decides how the job goes on, instants as what is left of them."""
        action = self.action
        return (
            str(self.phase),
            self.name,
            continuing(self.job, now_ns),
            self.limits,
            self.memory.state(now_ns),
            (self.tries.left, self.step_tries.left, self.try_started_ns - now_ns),
            tuple(task.state(now_ns) for task in self.agenda),
            None if self.exchange is None else self.exchange.state(now_ns),
            None if action is None else continuing(action, now_ns),
            None if self.error is None else cause(self.error),
            self.called_off,
            self.belief,
        )

    def next(self, event: Event) -> FlashTurn:
        """Return what an event leads to."""
        return _Move(self, event.now_ns).take(event)

    def cancelled(self, now_ns: int) -> FlashTurn:
        """Return the turn of a job that is given up from outside: what was switched off is switched on again."""
        memory, asked = self.memory, self.exchange
        # Who asks again at once may get the answer to what was under way: taken for an answer to the new request, it
        # would be one that ISO 14229-1 forbids. A request that was refused with 0x21 has its answer.
        if asked is not None and not isinstance(self.exchange_action, ExchangePause):
            until_ns = now_ns + asked.limits.late_ns
            memory = asked.memory.without_overdue(now_ns).given_up(asked.expected, until_ns)
        given_up = replace(self, exchange=None, exchange_action=None, memory=memory, called_off=True)
        move = _Move(given_up, now_ns)
        move.leave(None)
        return move.go_on()


def begin(plan: Plan, job: JobState, now_ns: int) -> FlashTurn:
    """Return the first turn of a job: the ECU is asked who it is."""
    tries = Tries(plan.recipe.retries.job - 1)
    limits = Limits.of(plan.recipe, SessionTiming(0, 0))
    move = _Move(FlashState(plan=plan, job=replace(job, kept=job.durable), limits=limits, tries=tries), now_ns)
    move.identify()
    return move.go_on()


class _Move:
    """The working copy of a job while one event is worked off, until something is to be done outside."""

    def __init__(self, state: FlashState, now_ns: int) -> None:
        self._now_ns = now_ns
        self._base = state
        self._changes: dict[str, Any] = {}
        self._notes: list[JobNote] = []

    @property
    def _state(self) -> FlashState:
        """The job with all changes so far."""
        if self._changes:
            self._base, self._changes = replace(self._base, **self._changes), {}
        return self._base

    def _change(self, **changes: Any) -> None:
        # Gathered: a state has many fields, and each block of a download is some turns.
        self._changes.update(changes)

    def _now(self, name: str) -> Any:
        """Return a field as it is now."""
        return self._changes[name] if name in self._changes else getattr(self._base, name)

    def _at(self) -> At:
        return At(self._base.plan, self._now("job"), self._now_ns)

    def _turn(self) -> FlashTurn:
        return FlashTurn(self._state, tuple(self._notes))

    # Events and turns ---------------------------------------------------------------------------------

    def take(self, event: Event) -> FlashTurn:
        """Return what an event leads to."""
        outcome = event if isinstance(event, Answered | Failed) else self._exchanged(event)
        if outcome is None:
            return self._turn()
        task, at = self._now("agenda")[0], self._at()
        if isinstance(outcome, Failed):
            return self._follow(_failed(task, at, outcome.error))
        try:
            turn = task.answered(at, outcome.value)
        except FlasherError as error:
            turn = _failed(task, at, error)
        return self._follow(turn)

    def _exchanged(self, event: Sent | Received | Silence | Broken | Waited) -> Answered | Failed | None:
        """Return how the request under way ended; None while it has not."""
        exchange, ask = self._base.exchange, self._base.ask
        assert exchange is not None, "an exchange is under way"
        assert isinstance(ask, Request), "a request was asked for"
        turn = exchange.next(event)
        self._notes += turn.notes
        if not isinstance(turn.action, Done):
            self._change(exchange=turn.exchange, exchange_action=turn.action)
            return None
        self._change(exchange=None, exchange_action=None, memory=turn.exchange.memory)
        if turn.action.error is not None:
            return Failed(self._now_ns, turn.action.error)
        assert turn.action.answer is not None, "an exchange without an error has an answer"
        try:
            return Answered(self._now_ns, ask.call.decode(turn.action.answer))
        except UdsError as violation:
            return Failed(self._now_ns, violation)

    def _follow(self, turn: Turn) -> FlashTurn:
        """Take what a task has come to, and go on."""
        self._notes += turn.notes
        self._change(job=turn.job)
        if turn.timing is not None:
            self._change(limits=Limits.of(self._base.plan.recipe, turn.timing))
        if turn.belief is not None:
            self._change(belief=turn.belief)
        rest = self._now("agenda")[1:]
        if turn.ask is not None:
            assert turn.task is not None, "a task has asked"
            return self._ask(turn.ask, (turn.task, *rest))
        self._change(agenda=(*turn.then, *rest))
        if turn.error is not None:
            self._fail(turn.error)
        elif turn.goto is not None:
            self._enter(turn.goto)
        return self.go_on()

    def _ask(self, ask: Ask, agenda: tuple[Task, ...]) -> FlashTurn:
        self._change(ask=ask, agenda=agenda)
        if isinstance(ask, Request):
            call, wanted = ask.call, Wanted.NEWEST if ask.newest else Wanted.FIRST
            turn = Exchange.of(call.payload, call.expected, self._now("limits"), self._now("memory"), wanted).begin()
            assert not isinstance(turn.action, Done), "nothing is over before it was sent"
            self._change(exchange=turn.exchange, exchange_action=turn.action)
        return self._turn()

    def go_on(self) -> FlashTurn:
        """Begin what is next on the agenda, or what the job comes to when that is empty."""
        while not self._now("agenda"):
            if self._state.phase is Phase.LEAVING:
                self._change(phase=Phase.ENDED, ask=None)
                return self._turn()
            self._advance()
        task, at = self._now("agenda")[0], self._at()
        try:
            turn = task.begin(at)
        except FlasherError as error:
            turn = _failed(task, at, error)
        return self._follow(turn)

    # Phases -------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Go to what follows when the agenda is done."""
        if self._state.phase is Phase.IDENTIFYING:
            self._first_step()
        elif self._state.phase is Phase.RESTING:
            self.identify()
        else:
            self._next_step()

    def identify(self) -> None:
        """Begin a try: look who answers, and what it has noted."""
        agenda = (Identify(), NoteDtcs(), KeepState())
        self._change(phase=Phase.IDENTIFYING, step=None, agenda=agenda, try_started_ns=self._now_ns)
        self._notes.append(Entered(IDENTIFY, "pre"))

    def _first_step(self) -> None:
        """Begin at the end when the ECU runs what this job has committed, else at the beginning."""
        job = self._state.job
        self._change(phase=Phase.FLASHING, job=replace(job, touched=True))
        if job.runs_target:
            self._notes.append(noted("resumed_after_check"))
            self._enter(Step.VERIFY_VERSION)
            return
        if not job.sends_image:
            self._notes.append(noted("image_kept", stage=job.stage.name.lower()))
        self._enter(self._state.plan.recipe.steps[0])

    def _next_step(self) -> None:
        state, steps = self._state, self._state.plan.recipe.steps
        assert state.step is not None, "a step was begun"
        following = steps[steps.index(state.step) + 1 :]
        # What the ECU has checked stands in its flash: to erase and send it again costs wear, minutes, and the risk of
        # a cut in between.
        step = next((each for each in following if state.job.sends_image or each not in WRITING), None)
        if step is None:
            self._leave_with(Leave())
            self._change(belief=_believed(state))
        else:
            self._enter(step)

    def _enter(self, step: Step) -> None:
        """Begin a step of the recipe."""
        job = self._state.job
        if step in ERASING:
            job = replace(job.writing(), erased=True)
        # Kept before an erase too: what was known of an image ends with it.
        agenda = (KeepState(), STEPS[step], KeepState())
        tries = Tries(step_tries(self._state.plan.recipe, step))
        self._change(step=step, job=job, agenda=agenda, step_tries=tries)
        self._notes.append(Entered(step, PHASES[step]))

    # Failures -----------------------------------------------------------------------------------------

    def _fail(self, error: FlasherError) -> None:
        """Repeat the step, begin the download anew, try the whole job again, or give up."""
        state, step = self._state, self._state.step
        if state.phase is Phase.LEAVING:
            return
        if state.phase is Phase.FLASHING and step is not None:
            if isinstance(error, TransportError) and state.step_tries.left and error.worth_repeating:
                self._notes.append(noted("step_repeat", step=step, error=error.name))
                self._change(agenda=(STEPS[step], KeepState()), step_tries=Tries(state.step_tries.left - 1))
                return
            if restarts_download(state.plan.recipe, state.job, step, error):
                self._notes.append(noted("download_restart", step=step, error=error))
                job = state.job.writing()
                self._change(job=replace(job, download_restarts=job.download_restarts + 1))
                self._enter(state.plan.recipe.restart_step)
                return
        self._end_try(error)

    def _end_try(self, error: FlasherError) -> None:
        state = self._state
        if not isinstance(error, TRIED_AGAIN):
            self.leave(error)
            return
        job, final = is_final(state.plan.recipe, state.job, state.name, error)
        self._change(job=job)
        if final or not state.tries.left:
            self.leave(error)
            return
        self._notes.append(noted("job_retry", step=state.name, error=error))
        pause = Pause(state.plan.recipe.retries.job_pause_ms, kept_alive=False)
        self._change(phase=Phase.RESTING, tries=Tries(state.tries.left - 1), agenda=(pause,))

    def leave(self, error: FlasherError | None) -> None:
        """Give up: switch on what was switched off, leave the programming session, and look what the ECU is now."""
        job = self._state.job
        self._change(error=error, belief=belief_untouched("silent or as it was: it was not touched"))
        if not job.touched:
            self._leave_with(Leave())
        elif job.entered_programming:
            self._leave_with(Leave(), LeaveProgramming(), Believe())
        else:
            self._leave_with(Leave(), Believe())

    def _leave_with(self, *agenda: Task) -> None:
        self._change(phase=Phase.LEAVING, agenda=agenda)


def _believed(state: FlashState) -> Belief:
    """Return what is believed of an ECU with which all went well."""
    software = state.plan.software
    if not tells_version(state.plan.recipe):
        return Belief(EcuState.STORED, f"given {software.software_id}", erased=state.job.erased)
    return Belief(EcuState.NEW_SOFTWARE, f"running {software.software_id} {software.version}", erased=state.job.erased)


def _failed(task: Task, at: At, error: FlasherError) -> Turn:
    try:
        return task.failed(at, error)
    except FlasherError as last:
        return at.fail(last)
