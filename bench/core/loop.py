"""The virtual-time loop: asyncio without selector, socket or thread (D1).

Integer nanoseconds from 0. When nothing is ready it jumps to the next timer; when nothing is scheduled
either it raises `Deadlock` and names the living, waiting tasks. Work that belongs to a retired incarnation
(`bench.core.node`) is skipped: its handles never run, its tasks stay parked and referenced (D3).
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from bench.core.clock import EPOCH_NS, NEVER_NS, NS_PER_S
from bench.core.errors import OtabenchError
from bench.core.stop import STOP

T = TypeVar("T")


class Owner(Protocol):
    """What a handle may belong to; once not alive, its handles are skipped."""

    alive: bool


OWNER: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("otabench_owner", default=None)
"""The incarnation whose code runs; set by `Incarnation.spawn` in the task's own context."""
_NO_OWNER = contextvars.Context()
_UNWINDINGS = 100
"""How many nested `finally` blocks that wait again are unwound when a parked task is closed."""


def speaks_for_the_dead() -> bool:
    """Return whether the running code belongs to a life that has ended (its `finally` blocks, for example)."""
    owner = OWNER.get()
    return owner is not None and not owner.alive


def outside(callback: Callable[..., T], *args: object) -> T:
    """Call what the bench does and no life: a life's own code may have set it off (a reset that it asked for)."""
    token = OWNER.set(None)
    try:
        return callback(*args)
    finally:
        OWNER.reset(token)


class Deadlock(OtabenchError):
    """Nothing is ready, nothing is scheduled, and the run has not ended."""


class PowerLost(BaseException):
    """Raised by a port inside a node that has just lost its power; not an `Exception`, so node code cannot
    swallow it by accident. What its `finally` blocks do afterwards the ports refuse."""


class _Timer:
    """A bare callback in the heap: no context, no exception bookkeeping beyond the loop's own."""

    __slots__ = ("_args", "_callback", "_cancelled", "_loop")
    _context = None

    def __init__(self, loop: VirtualLoop, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        self._loop, self._callback, self._args = loop, callback, args
        self._cancelled = False

    def cancel(self) -> None:
        """Drop the callback."""
        self._cancelled = True

    def _run(self) -> None:
        try:
            self._callback(*self._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._loop.call_exception_handler({"message": "callback failed", "exception": error})


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose time is a number; it is also the `Clock` of a simulated run."""

    virtual = True
    epoch_ns = EPOCH_NS
    _ready: deque[Any]
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now_ns = 0
        self._heap: list[tuple[int, int, Any]] = []
        self._sequence = 0
        self._living: dict[asyncio.Task[Any], Owner | None] = {}
        self._failure: BaseException | None = None
        self.set_task_factory(self._make_task)
        self.set_exception_handler(VirtualLoop._note_failure)

    # Clock ------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """Return virtual nanoseconds since the start."""
        return self._now_ns

    def call_at_ns(self, when_ns: int, callback: Callable[..., object], *args: object) -> _Timer:
        """Schedule a bare callback; equal instants keep the order in which they were asked for."""
        timer = _Timer(self, callback, args)
        self._sequence += 1
        heapq.heappush(self._heap, (when_ns, self._sequence, timer))
        return timer

    def advance_inline(self, when_ns: int) -> bool:
        """Move time to `when_ns` and return True when nothing is ready and no timer is due until then."""
        if self._ready or self._stopping:
            return False
        heap = self._heap
        while heap and heap[0][2]._cancelled:
            heapq.heappop(heap)
        if heap and heap[0][0] <= when_ns:
            return False
        if when_ns > self._now_ns:
            self._now_ns = when_ns
        return True

    def quiet_until_ns(self) -> int:
        """Return when the next timer is due; now when something is ready to run."""
        if self._ready or self._stopping:
            return self._now_ns
        heap = self._heap
        while heap and heap[0][2]._cancelled:
            heapq.heappop(heap)
        return heap[0][0] if heap else NEVER_NS

    async def sleep_ns(self, duration_ns: int) -> None:
        """Wait in virtual time."""
        done = self.create_future()
        timer = self.call_at_ns(self._now_ns + max(0, duration_ns), _wake, done)
        try:
            await done
        finally:
            timer.cancel()

    def scheduled(self) -> list[tuple[int, Callable[..., object], tuple[object, ...]]]:
        """Return (instant, callback, arguments) of all that is ready or due, in the order in which it will come."""
        ready = [(self._now_ns, 0, handle) for handle in self._ready]
        return [
            (when_ns, handle._callback, handle._args)
            for when_ns, _, handle in [*ready, *sorted(self._heap, key=lambda entry: entry[:2])]
            if not handle._cancelled
        ]

    def owner(self, task: asyncio.Task[Any]) -> Owner | None:
        """Return the life that a task belongs to; None for the bench's own."""
        return self._living.get(task)

    # asyncio's loop, on virtual time ----------------------------------------------------------------

    def time(self) -> float:
        """Return virtual seconds, for asyncio's own time-outs."""
        return self._now_ns / NS_PER_S

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule as asyncio does; `when` in virtual seconds, rounded to nanoseconds."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._sequence += 1
        heapq.heappush(self._heap, (round(when * NS_PER_S), self._sequence, handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule `delay` virtual seconds from now."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when they come to the top of the heap."""

    def run_in_executor(self, executor: object, func: object, *args: object) -> Any:
        """Refuse: virtual time would jump past a thread (D1)."""
        raise RuntimeError("no thread may run under virtual time")

    def _write_to_self(self) -> None:
        """Refuse what another thread asks for: none exists in simulation."""
        raise RuntimeError("no thread may run under virtual time")

    def _run_once(self) -> None:
        ready = self._ready
        if not ready:
            self._jump()
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            context = handle._context
            if context is not None:
                owner = context.get(OWNER)
                if owner is not None and not owner.alive:
                    continue
            handle._run()
            if self._stopping:
                break

    def _jump(self) -> None:
        heap = self._heap
        while heap and heap[0][2]._cancelled:
            heapq.heappop(heap)
        if not heap:
            raise Deadlock(f"nothing is scheduled and nothing can go on; waiting: {self._waiting() or 'no task'}")
        now_ns = self._now_ns = max(self._now_ns, heap[0][0])
        while heap and heap[0][0] <= now_ns:
            self._ready.append(heapq.heappop(heap)[2])

    # Tasks ------------------------------------------------------------------------------------------

    def _make_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Any,
        context: contextvars.Context | None = None,
        **more: Any,
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, context=context, **more)
        self._living[task] = OWNER.get() if context is None else context.get(OWNER)
        task.add_done_callback(self._living.pop, context=_NO_OWNER)
        return task

    def _waiting(self) -> str:
        living = (task for task, owner in self._living.items() if owner is None or owner.alive)
        return ", ".join(sorted(task.get_name() for task in living if not task.done()))

    def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        """Close an async generator that was left early, in the context of who left it."""
        self._asyncgens.discard(agen)  # type: ignore[attr-defined]  # BaseEventLoop's own set
        if not self.is_closed():
            self.call_soon(lambda: self.create_task(agen.aclose()))

    @staticmethod
    def _note_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        assert isinstance(loop, VirtualLoop)
        error = context.get("exception")
        if isinstance(error, PowerLost):
            return
        if loop._failure is None:
            loop._failure = error or RuntimeError(str(context.get("message")))
        loop.stop()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` to its end; an unhandled failure anywhere stops the run and is raised here.

        KeyboardInterrupt when `STOP` was asked before the end: the loop stops between two handles.
        """
        task = self.create_task(main, name="main")
        task.add_done_callback(lambda _done: self.stop())
        with STOP.telling(self.stop):
            self.run_forever()
        if self._failure is not None:
            raise self._failure
        if not task.done():
            STOP.check()
        return task.result()

    def __del__(self) -> None:
        """Say nothing: an unclosed loop of this kind holds no socket or selector."""

    def discard(self) -> None:
        """Close the loop after the run was sealed; parked tasks are dropped without a word."""
        self.set_exception_handler(lambda _loop, _context: None)
        for task in list(self._living):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # parked on purpose (D3)
            _close_quietly(task)
        self._heap.clear()
        self.close()


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _close_quietly(task: asyncio.Task[Any]) -> None:
    """Unwind a parked task here: when the collector did it, its refused effects would be printed as errors."""
    work = task.get_coro()
    for _ in range(_UNWINDINGS):
        if work is None or getattr(work, "cr_frame", None) is None:
            return
        try:
            work.close()
        except BaseException:  # noqa: S112  # whatever its finally blocks raise came after the end
            continue
