"""What a life does belongs to it: who calls its code enters it, and once it has ended nothing is recorded (D3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.core.clock import NS_PER_MS
from bench.core.loop import OWNER, VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.records import BootRecord
from bench.core.world import World
from bench.link.sim_bus import SimCanBus
from bench.wire.can import CanFrame

DUE_NS = 5 * NS_PER_MS


def void(_result: object) -> None:
    """Drop a value."""


class Stage:
    """A world with one node `body`, driven for a while; what it journals beside frames and power."""

    def __init__(self, boot: Callable[[Stage, Incarnation], object]) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed=1)
        self.bus = SimCanBus(self.world, "can0", 500_000)
        self.node = Node(self.world, "body", lambda life: void(boot(self, life)))

    def run(self, *at: tuple[int, Callable[[], object]], until_ns: int = 20 * NS_PER_MS) -> None:
        async def main() -> None:
            self.node.power_on()
            for when_ns, action in at:
                self.loop.call_at_ns(when_ns, action)
            await self.loop.sleep_ns(until_ns)

        self.loop.run(main())

    @property
    def noted(self) -> list[str]:
        wanted = (e for e in self.world.journal.entries() if e.kind not in ("frame", "power"))
        return [f"{entry.part} {entry.kind} {entry.payload!s}" for entry in wanted]

    def dies_then_writes(self, life: Incarnation) -> None:
        """Lose power in the middle of one's own code, and go on as if nothing had happened."""
        self.node.cut("in its own callback")
        assert not life.alive
        self.world.journal.add("body", "ghost", "after the cut")
        self.world.boot(BootRecord(0, "body", "application", "A", "ghost"))


def hears(stage: Stage, life: Incarnation) -> None:
    stage.bus.attach(life).subscribe(lambda _frame, _t_ns: stage.dies_then_writes(life))


def hears_one_identifier(stage: Stage, life: Incarnation) -> None:
    stage.bus.attach(life).subscribe(lambda _frame, _t_ns: stage.dies_then_writes(life), (0x123,))


def hears_of_its_own_frame(stage: Stage, life: Incarnation) -> None:
    stage.bus.attach(life).send(CanFrame(0x100, b""), lambda _t_ns: stage.dies_then_writes(life))


def waits_for_a_timer(stage: Stage, life: Incarnation) -> None:
    life.call_at_ns(DUE_NS, stage.dies_then_writes, life)


@pytest.mark.parametrize("boot", [hears, hears_one_identifier, hears_of_its_own_frame, waits_for_a_timer])
def test_callback_of_a_life_that_ended_in_it_reaches_neither_journal_nor_records(
    boot: Callable[[Stage, Incarnation], None],
) -> None:
    stage = Stage(boot)

    def other(life: Incarnation) -> None:
        port = stage.bus.attach(life)
        life.call_at_ns(DUE_NS, port.send, CanFrame(0x123, b"\x01"))

    Node(stage.world, "tester", other).power_on()
    stage.run()
    assert not stage.node.powered, "the callback was called"
    assert stage.noted == []
    assert stage.world.recorder.boots == []


def test_callback_of_bus_off_belongs_to_the_life_too() -> None:
    def boot(stage: Stage, life: Incarnation) -> None:
        port = stage.bus.attach(life)
        port.on_bus_off(lambda: stage.dies_then_writes(life))
        for _ in range(32):
            port.confined.transmit_failed()

    stage = Stage(boot)
    stage.run((DUE_NS, stage.bus.errors.look))
    assert not stage.node.powered
    assert not [line for line in stage.noted if "ghost" in line]


def test_next_life_that_a_callback_of_the_old_one_boots_is_heard() -> None:
    def boot(stage: Stage, life: Incarnation) -> None:
        stage.world.boot(BootRecord(life.now_ns(), "body", "boot_manager", None, f"life {life.number}"))
        life.note("awake")
        if life.number == 1:
            life.call_at_ns(DUE_NS, stage.node.reset)

    stage = Stage(boot)
    stage.run()
    assert [record.reason for record in stage.world.recorder.boots] == ["life 1", "life 2"]
    assert [line for line in stage.noted if "awake" in line] == ["body awake ", "body awake "]


def test_power_record_of_a_node_that_cuts_itself_is_the_benchs() -> None:
    stage = Stage(waits_for_a_timer)
    stage.run()
    powers = [entry.payload for entry in stage.world.journal.entries() if entry.kind == "power"]
    assert powers == ["on supply", "off in its own callback"]


def test_tasks_that_are_done_are_forgotten_and_waiting_ones_are_not() -> None:
    async def request(life: Incarnation, n: int) -> None:
        await life.sleep_ns(n * NS_PER_MS)

    def boot(_stage: Stage, life: Incarnation) -> None:
        for n in range(200):
            life.spawn(request(life, 0 if n else 3_600_000), f"request-{n}")

    stage = Stage(boot)
    stage.run()
    life = stage.node.incarnation
    assert life is not None
    assert [task.get_name() for task in life.tasks] == ["body.request-0"]


def test_parked_tasks_of_a_cut_life_stay_referenced() -> None:
    async def wait(life: Incarnation) -> None:
        await life.sleep_ns(3_600_000 * NS_PER_MS)

    lives: list[Incarnation] = []

    def boot(_stage: Stage, life: Incarnation) -> None:
        lives.append(life)
        life.spawn(wait(life), "parked")

    stage = Stage(boot)
    stage.run((DUE_NS, lambda: stage.node.cut("test")))
    assert [task.get_name() for task in lives[0].tasks] == ["body.parked"]


# One way to do an effect ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "done"),
    [
        ("before", []),
        ("torn", ["begun"]),
        ("after", ["begun", "half"]),
        (None, ["begun", "half", "over"]),
    ],
)
def test_effect_is_announced_before_inside_and_after_and_ends_with_the_life(where: str | None, done: list[str]) -> None:
    async def work(life: Incarnation) -> None:
        with life.effect("program", units=4) as effect:
            life.note("begun")
            effect.inside(2)
            life.note("half")
        life.note("over")

    stage = Stage(lambda _stage, life: life.spawn(work(life), "work"))
    if where is not None:
        counter = stage.world.points.counter("body", "program")
        counter.arm(1, where, 2 if where == "torn" else None, lambda: stage.node.cut("fault"))
    stage.run()
    assert stage.noted == [f"body {word} " for word in done]
    assert stage.world.crash is None
    (seen,) = stage.world.points.table()["body", "program"]
    assert (seen.n, seen.units) == (1, 4)


def test_effect_that_fails_is_not_announced_as_complete() -> None:
    struck: list[int] = []

    async def work(life: Incarnation) -> None:
        with pytest.raises(OSError, match="disk"), life.effect("sync"):
            raise OSError("disk")

    stage = Stage(lambda _stage, life: life.spawn(work(life), "work"))
    stage.world.points.counter("body", "sync").arm(1, "after", None, lambda: struck.append(1))
    stage.run()
    assert struck == []
    assert stage.world.crash is None


def test_effect_of_a_life_that_has_ended_is_not_even_announced() -> None:
    from bench.core.loop import PowerLost

    lives: list[Incarnation] = []
    stage = Stage(lambda _stage, life: lives.append(life))
    stage.run((DUE_NS, lambda: stage.node.cut("test")))
    with pytest.raises(PowerLost):
        lives[0].effect("sync")
    with pytest.raises(PowerLost):
        lives[0].note("ghost")
    assert stage.world.points.table().get(("body", "sync"), ()) == ()


def test_bound_callback_enters_its_life_and_is_dropped_after_it() -> None:
    stage = Stage(lambda _stage, _life: None)
    stage.run()
    life = stage.node.incarnation
    assert life is not None
    called: list[str] = []
    changed = life.bound(called.append)
    changed("alive")
    stage.node.cut("test")
    changed("dead")
    assert called == ["alive"]


def test_life_that_another_one_calls_in_the_middle_of_its_own_callback_takes_it_and_stays_itself() -> None:
    def nobody(_stage: Stage, _life: Incarnation) -> None:
        return

    stage = Stage(nobody)
    other = Node(stage.world, "other", lambda _life: None)
    owners: list[object] = []

    def body_asks() -> None:
        body, asked = stage.node.incarnation, other.incarnation
        assert body is not None
        assert asked is not None
        asked.call((lambda: body.call((lambda: owners.append(OWNER.get()),)), lambda: owners.append(OWNER.get())))
        owners.append(OWNER.get())
        body.tell(lambda _t_ns: owners.append(OWNER.get()), 1)
        body.take((lambda _frame, _t_ns: owners.append(OWNER.get()),), CanFrame(1, b""), 1)
        body.call((stage.node.cut,), "by a call in a call")
        stage.world.journal.add("body", "ghost", "after the cut")

    def asked() -> None:
        life = stage.node.incarnation
        assert life is not None
        life.call((body_asks,))
        assert OWNER.get() is None

    stage.run((1, other.power_on), (2, asked))
    body, asked_life = stage.node, other.incarnation
    assert [getattr(owner, "part", None) for owner in owners] == ["body", "other", "body", "body", "body"]
    assert owners[1] is asked_life
    assert not body.powered
    assert stage.noted == []


def test_what_a_callback_schedules_on_the_loop_dies_with_its_life() -> None:
    ran: list[str] = []

    def boot(stage: Stage, life: Incarnation) -> None:
        def due() -> None:
            stage.loop.call_soon(ran.append, "soon")
            stage.loop.call_later(0.001, ran.append, "later")

        life.call_at_ns(DUE_NS, due)

    stage = Stage(boot)
    stage.run((DUE_NS + 1, lambda: stage.node.cut("meanwhile")))
    assert ran == ["soon"]
