"""A flashing job is a value: whatever an ECU does, `next` is pure, blind to the hour, and equal keys go on equally."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import Phase as Phases
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from bench.core.clock import EPOCH_NS, NS_PER_MS, NS_PER_S
from bench.flasher.belief import EcuState
from bench.flasher.credentials import load_identity
from bench.flasher.errors import FlasherError, SeedKeyFailed, TransportError, VersionMismatch
from bench.flasher.exchange import Broken, Listen, Received, Send, Sent, Silence, Unanswered, Waited
from bench.flasher.exchange import Pause as ExchangePause
from bench.flasher.flash_state import Answered, Event, Failed, FlashState, FlashTurn, Phase, begin
from bench.flasher.recipe import Recipe, Step
from bench.flasher.signed_image import FlashJob
from bench.flasher.state import FRESH, JobState, Stage
from bench.flasher.task import MakeKey, Pause, Plan, Prepare, Rest, Task
from bench.flasher.task import Silence as KeptSilent
from bench.images.signing import sign_image
from tests.effort import effort
from tests.recipes import recipe_named

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HARDWARE, SOFTWARE, OLD, NEW = "BCM-HW-03", "BCM-APP", "1.0.0", "1.1.0"
IMAGE = bytes(range(100))
TICK_NS, NOON_NS = 10 * NS_PER_MS, 43_200 * NS_PER_S
LONGEST = 2_000
"""Events of a job that nothing answers: every poll of every try."""

# Jobs --------------------------------------------------------------------------------------------------

BLOCKS = [{"name": "low", "base": 0, "size_bytes": 64}, {"name": "high", "base": 64, "size_bytes": 0x40000 - 64}]


def with_blocks(values: dict[str, Any]) -> None:
    """Logical blocks in the place of erase and download."""
    at = values["steps"].index("erase")
    values["steps"][at : at + 2] = ["program_blocks"]
    values["memory"] |= {"blocks": BLOCKS}
    values["routines"]["check_block"] = 0x0206


def with_certificate(values: dict[str, Any]) -> None:
    """0x29 beside 0x27, packed data, every means of a reset, a read-back."""
    at = values["steps"].index("security_access")
    values["steps"].insert(at, "authentication")
    values["steps"].insert(values["steps"].index("clear_dtcs"), "read_back")
    values["authentication"] = {"certificate_name": "tester", "mode": "unidirectional"}
    values["download"] = {"compression": "lzma", "compression_nibble": 1}
    values["dids"]["read_back"] = {"serial_number": 0xF18C}
    values["reset"] = {"means": ["hard_reset", "default_session", "power_cycle", "session_timeout"]}


def asking_first(values: dict[str, Any]) -> None:
    """Preconditions before anything else."""
    values["steps"].insert(1, "check_preconditions")
    values["routines"]["check_preconditions"] = 0x0207


def as_it_is(values: dict[str, Any]) -> None:
    """A built-in recipe."""
    del values


RECIPES: Mapping[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "single_bank": ("single_bank", asking_first),
    "dual_bank": ("dual_bank", as_it_is),
    "resumed": ("door_module", as_it_is),
    "blocks": ("single_bank", with_blocks),
    "certificate": ("single_bank", with_certificate),
}


@cache
def plan_of(name: str, begin_ns: int = NOON_NS) -> Plan:
    """Return a job of 100 bytes that are sent in blocks of 32."""
    base, change = RECIPES[name]
    values = recipe_named(base).model_dump(mode="json", exclude_none=True)
    values["memory"] |= {"block_limit_bytes": 34, "program_unit_bytes": 8}
    values["retries"]["job"] = 2
    values["timing"] |= {"reboot_wait_ms": 500, "pending_limit_s": 12}
    change(values)
    recipe = Recipe.model_validate(values)
    ids: dict[str, Any] = {"hardware_id": HARDWARE, "software_id": SOFTWARE, "release_counter": 2}
    image = sign_image(IMAGE, version=NEW, load_address=recipe.memory.region_base, key=KEY, **ids)
    job = FlashJob(ecu="body", image=IMAGE, header=image.header.encode(), version=NEW, software_id=SOFTWARE)
    identity = None if recipe.authentication is None else load_identity(recipe.authentication)
    software, can_power_cycle = job.software(recipe), name == "certificate"
    return Plan("body", software, recipe, begin_ns, EPOCH_NS, can_power_cycle=can_power_cycle, identity=identity)


# An ECU without a memory --------------------------------------------------------------------------------

REFUSALS = (0x10, 0x11, 0x13, 0x22, 0x24, 0x31, 0x33, 0x35, 0x36, 0x37, 0x70, 0x72, 0x73, 0x7E, 0x7F)
NONSENSE = (
    "7f",
    "7f36",
    "7f3699ff",
    "62f19000",
    "62f189",
    "7601",
    "7602ff",
    "7401",
    "7101ff0001",
    "690101",
    "00",
    "59027f",
)
FIELDS = bytes.fromhex("0020") + bytes(range(32)) + bytes(2)


def good(state: FlashState, request: bytes) -> bytes:
    """Return what a healthy ECU answers, by what the job has come to: it has no memory of its own."""
    head = bytes((request[0] + 0x40,))
    match request[0]:
        case 0x10:
            return head + request[1:2] + bytes.fromhex("003201f4")
        case 0x19:
            return head + bytes.fromhex("027f0102032d")
        case 0x22:
            return head + request[1:3] + identifier(state, int.from_bytes(request[1:3], "big"))
        case 0x27:
            return head + request[1:2] + (bytes(range(8)) if request[1] % 2 else b"")
        case 0x29:
            return head + {8: b"\x08\x02", 1: b"\x01\x11" + FIELDS, 3: b"\x03\x12\x00\x00"}[request[1]]
        case 0x31:
            return head + request[1:4] + b"\x00" + progress(request)
        case 0x34:
            return head + bytes.fromhex("200fff")
        case 0x11 | 0x36:
            return head + request[1:2]
        case 0x2E:
            return head + request[1:3]
    return head


def identifier(state: FlashState, did: int) -> bytes:
    """Return F186, F191, F188, F189 or another one."""
    tried = state.step in (Step.VERIFY_VERSION, Step.READ_BACK) or state.job.stage is Stage.RESTARTED
    in_programming = state.step in (Step.PROGRAMMING_SESSION, Step.SECURITY_ACCESS)
    texts = {0xF191: HARDWARE, 0xF188: SOFTWARE, 0xF189: NEW if tried else OLD, 0xF18C: "serial"}
    return bytes((2 if in_programming else 1,)) if did == 0xF186 else texts[did].encode()


def progress(request: bytes) -> bytes:
    """Return what is stored of a range (routine 0x0205): 40 bytes of the image and a torn unit, nothing elsewhere."""
    if request[2:4] != b"\x02\x05":
        return b""
    ours = int.from_bytes(request[-4:], "big") == len(IMAGE)
    stored, dirty = (40, 8) if ours else (0, 0)
    echo = request[4:]
    digest = hashlib.sha256(IMAGE[:stored]).digest()
    return echo + b"\x00" + stored.to_bytes(4, "big") + dirty.to_bytes(4, "big") + digest


# What may happen ----------------------------------------------------------------------------------------

KINDS = ("good", "refused", "busy", "pending", "nonsense", "silent", "occupied", "broken", "dropped", "cancelled")
Turn = tuple[str, int]
"""What happens next, and which of its kind."""
GOOD: Turn = ("good", 0)


def event_of(state: FlashState, turn: Turn, now_ns: int) -> Event:
    """Return what comes of a job's action."""
    kind, n = turn
    match state.action:
        case Send():
            later_ns = now_ns + TICK_NS
            if kind == "broken":
                return Broken(later_ns, "N_TIMEOUT_Bs", "no flow control")
            return Sent(later_ns, dropped=1 + n % 2 if kind == "dropped" else 0)
        case Listen(until_ns):
            return heard(state, turn, now_ns, until_ns)
        case ExchangePause(until_ns):
            return Waited(max(now_ns, until_ns))
        case Rest(until_ns):
            return Answered(max(now_ns, until_ns))
        case KeptSilent(until_ns):
            return Answered(now_ns, False) if kind == "refused" else Answered(until_ns, True)
        case MakeKey() if kind in ("refused", "broken"):
            return Failed(now_ns + TICK_NS, SeedKeyFailed("NO_KEY", "the plug-in", "gave none"))
        case MakeKey():
            return Answered(now_ns + TICK_NS, b"key")
        case Prepare() if kind == "refused":
            return Answered(now_ns + TICK_NS, False)
        case _ if kind == "broken":
            return Failed(now_ns + TICK_NS, TransportError("N_TIMEOUT_A", "nobody acknowledged"))
    return Answered(now_ns + TICK_NS, True)


def heard(state: FlashState, turn: Turn, now_ns: int, until_ns: int) -> Event:
    """Return what comes when an answer is waited for."""
    kind, n = turn
    assert state.exchange is not None
    request = state.exchange.payload
    at_ns = max(now_ns, min(until_ns, now_ns + TICK_NS))
    # What an ECU can say for ever is said at intervals that keep a history short.
    if kind in ("pending", "nonsense"):
        at_ns = max(now_ns, min(until_ns, now_ns + (4 * NS_PER_S if kind == "pending" else 4 * TICK_NS)))
    # A message takes its time: none begins at the end of a wait again and again.
    if kind in ("silent", "occupied") or now_ns >= until_ns:
        return Silence(max(now_ns, until_ns), occupied=kind == "occupied")
    refusal = {"refused": REFUSALS[n % len(REFUSALS)], "busy": 0x21, "pending": 0x78}.get(kind)
    if refusal is not None:
        return Received(at_ns, bytes((0x7F, request[0], refusal)))
    if kind == "nonsense":
        return Received(at_ns, bytes.fromhex(NONSENSE[n % len(NONSENSE)]))
    if kind == "broken":
        return Broken(at_ns, "N_TIMEOUT_Cr", "cut off")
    return Received(at_ns, good(state, request))


@dataclass(frozen=True)
class Moment:
    """A job, the instant it was come to, what it told on the way, and what happened then (None at the end)."""

    state: FlashState
    now_ns: int
    notes: str
    event: Event | None

    @property
    def key(self) -> tuple[object, ...]:
        """Return the state's key at this instant."""
        return self.state.state(self.now_ns)


@dataclass(frozen=True)
class History:
    """What happens to a job: at each event its turn, and `after` it what happens to the end."""

    turns: Mapping[int, Turn]
    after: Turn = GOOD
    since: int = 1 << 60

    def turn(self, n: int) -> Turn:
        """Return what happens at the n-th event."""
        return self.turns.get(n, self.after if n >= self.since else GOOD)


def next_of(state: FlashState, turn: Turn, now_ns: int) -> tuple[FlashTurn, Event | None, int]:
    """Return what a turn leads to; a job is cancelled once, and not while it restores already."""
    if turn[0] == "cancelled" and state.phase is not Phase.LEAVING:
        return state.cancelled(now_ns), None, now_ns
    event = event_of(state, turn, now_ns)
    return state.next(event), event, event.now_ns


def play(plan: Plan, history: History, job: JobState = FRESH, begin_ns: int = NOON_NS) -> Iterator[Moment]:
    """Yield every moment of a job, to its end."""
    now_ns, turn = begin_ns, begin(plan, job, begin_ns)
    for n in range(LONGEST):
        state, told = turn.state, repr(turn.notes)
        if state.action is None:
            yield Moment(state, now_ns, told, None)
            return
        turn, event, later_ns = next_of(state, history.turn(n), now_ns)
        yield Moment(state, now_ns, told, event)
        now_ns = later_ns
    raise AssertionError("it never ended")


def turns(kinds: tuple[str, ...] = KINDS) -> st.SearchStrategy[Turn]:
    return st.tuples(st.sampled_from(kinds), st.integers(0, 30))


NEVER_CANCELLED = tuple(kind for kind in KINDS if kind != "cancelled")
histories = st.builds(
    History,
    st.dictionaries(st.integers(0, 260), turns(), max_size=12),
    turns(NEVER_CANCELLED),
    st.integers(0, 400),
)
jobs = st.sampled_from(list(RECIPES))
EXAMPLES = settings(max_examples=effort(12, 1_000), deadline=None, phases=[Phases.explicit, Phases.generate])


def told(moment: Moment, now_ns: int | None = None) -> tuple[object, ...]:
    return moment.state.state(moment.now_ns if now_ns is None else now_ns), moment.notes


# The claims ---------------------------------------------------------------------------------------------


def seen(turn: FlashTurn, now_ns: int) -> tuple[object, ...]:
    return turn.state.state(now_ns), repr(turn.notes)


@pytest.mark.effort
@EXAMPLES
@given(jobs, histories)
def test_next_is_pure(name: str, history: History) -> None:
    for moment in play(plan_of(name), history):
        if moment.event is None:
            continue
        before, values = moment.key, [getattr(moment.state, each.name) for each in fields(FlashState)]
        first, second = moment.state.next(moment.event), moment.state.next(moment.event)
        now_ns = moment.event.now_ns
        assert seen(first, now_ns) == seen(second, now_ns)
        assert moment.key == before
        assert all(
            getattr(moment.state, each.name) is value for each, value in zip(fields(FlashState), values, strict=True)
        )


@pytest.mark.effort
@EXAMPLES
@given(jobs, histories, st.integers(-NOON_NS, NOON_NS - 3_600 * NS_PER_S))
def test_a_job_goes_the_same_way_at_another_hour_of_its_day(name: str, history: History, later_ns: int) -> None:
    # The date of the fingerprint (2E F15A) and of a certificate are the instant's own: hence within the day.
    early = play(plan_of(name), history)
    late = play(plan_of(name, NOON_NS + later_ns), history, begin_ns=NOON_NS + later_ns)
    for one, other in zip(early, late, strict=True):
        assert other.now_ns - one.now_ns == later_ns
        assert told(one) == told(other)


@dataclass
class Said:
    """What the ECU said that decides whether the image is there: a download by address, the check, the version."""

    taken: dict[int, bytes]
    address: int | None = None
    counter: int | None = None
    refused: bool = False
    checked: bool = False
    version: str = ""

    def take(self, moment: Moment) -> None:
        exchange, event = moment.state.exchange, moment.event
        if exchange is None or not isinstance(event, Received):
            return
        request, answer = exchange.payload, event.answer
        positive = answer.startswith(exchange.expected)
        if request[0] == 0x31 and request[2:4] == b"\xff\x00" and positive:
            self.taken, self.checked = {}, False
        if request[0] == 0x31 and request[2:4] == b"\x02\x02" and positive:
            self.checked = answer[4:5] == b"\x00"
        if request[0] == 0x34 and positive:
            self.address, self.counter = int.from_bytes(request[3:7], "big"), None
            self.taken[self.address] = b""
        if request[0] == 0x36 and self.address is not None:
            self.refused = not positive
            if positive and request[1] != self.counter:
                self.counter = request[1]
                self.taken[self.address] += request[2:]
        if request[:3] == bytes.fromhex("22f189"):
            self.version = answer[3:].decode("latin-1") if positive else ""


@pytest.mark.effort
@EXAMPLES
@given(jobs, histories)
def test_every_job_ends_and_succeeds_only_with_every_block_taken_and_the_new_version_read(
    name: str, history: History
) -> None:
    plan, said = plan_of(name), Said({})
    for moment in play(plan, history):
        assert hash(moment.key) == hash(moment.key)
        said.take(moment)
        last = moment.state
    assert last.phase is Phase.ENDED
    if not last.succeeded:
        assert last.called_off or last.error is not None
        assert last.belief.state is not EcuState.NEW_SOFTWARE or said.checked
        return
    assert last.belief.state is EcuState.NEW_SOFTWARE
    assert (said.version, said.checked, said.refused) == (NEW, True, False)
    if name in ("single_bank", "dual_bank"):
        base, slot = plan.recipe.memory.region_base, plan.recipe.memory.header_address
        assert slot is not None
        assert said.taken[base] == IMAGE
        assert (set(said.taken), len(said.taken[slot])) == ({base, slot}, 256)


@pytest.mark.parametrize("name", RECIPES)
def test_a_healthy_ecu_is_flashed(name: str) -> None:
    *_, last = play(plan_of(name), History({}))
    assert (last.state.succeeded, last.state.belief.state) == (True, EcuState.NEW_SOFTWARE)


@pytest.mark.parametrize("name", RECIPES)
def test_no_job_succeeds_when_the_last_block_is_refused(name: str) -> None:
    plan = plan_of(name)
    sends = [n for n, moment in enumerate(play(plan, History({}))) if sends_block(moment)]
    *_, last = play(plan, History(dict.fromkeys(range(sends[-1] + 1, LONGEST), ("refused", 6))))
    assert (last.state.succeeded, last.state.error is None) == (False, False)


def sends_block(moment: Moment) -> bool:
    action = moment.state.action
    return isinstance(action, Send) and action.payload[0] == 0x36


# Equal keys ---------------------------------------------------------------------------------------------

DETOURS: tuple[Turn, ...] = (("busy", 0), ("pending", 0), ("nonsense", 3), ("silent", 0), ("broken", 0), ("dropped", 0))
WHAT_NEXT: tuple[Turn, ...] = (GOOD, ("refused", 5), ("refused", 9), ("silent", 0), ("broken", 0), ("nonsense", 4))


def by_key(plan: Plan, given_histories: list[History]) -> dict[tuple[object, ...], list[Moment]]:
    """Return the moments of several histories that share a key, one for each history."""
    found: dict[tuple[object, ...], list[Moment]] = defaultdict(list)
    for history in given_histories:
        mine = {moment.key: moment for moment in play(plan, history)}
        for key, moment in mine.items():
            found[key].append(moment)
    return {key: moments for key, moments in found.items() if len(moments) > 1}


def assert_go_on_equally(moments: list[Moment]) -> None:
    for turn in WHAT_NEXT:
        outcomes = set()
        for moment in moments:
            if moment.state.action is None:
                continue
            following, _, now_ns = next_of(moment.state, turn, moment.now_ns)
            outcomes.add((now_ns - moment.now_ns, seen(following, now_ns)))
        assert len(outcomes) <= 1


@pytest.mark.effort
@settings(EXAMPLES, max_examples=effort(6, 600))
@given(jobs, st.sampled_from(DETOURS), st.lists(st.integers(0, 120), min_size=2, max_size=3, unique=True), turns())
def test_equal_keys_go_on_equally_whatever_lay_before(name: str, detour: Turn, at: list[int], later: Turn) -> None:
    # The same detour at another place of each history: the time that it takes is the same, so keys can meet behind it.
    shared = {max(at) + 40: later}
    for moments in by_key(plan_of(name), [History({n: detour, **shared}) for n in at]).values():
        assert_go_on_equally(moments)


@pytest.mark.parametrize("detour", [turn for turn in DETOURS if turn[0] not in ("silent", "broken")])
def test_keys_of_different_histories_do_meet(detour: Turn) -> None:
    plan, wanted = plan_of("single_bank"), Send if detour[0] == "dropped" else Listen
    blocks = [
        n
        for n, moment in enumerate(play(plan, History({})))
        if moment.state.step is Step.DOWNLOAD_IMAGE and isinstance(moment.state.action, wanted)
    ]
    shared = by_key(plan, [History({blocks[1]: detour}), History({blocks[3]: detour})])
    behind = [moments for moments in shared.values() if moments[0].state.step is Step.CHECK_MEMORY]
    assert behind
    for moments in behind:
        assert_go_on_equally(moments)


# What differs has another key ---------------------------------------------------------------------------

FAR_NS = 10 * 86_400 * NS_PER_S
OF_NOTHING: Mapping[str, object] = {
    "until_ns": FAR_NS,
    "error": TransportError("P2", "silence"),
    "unanswered": TransportError("P2", "silence"),
    "step": Step.ACTIVATE,
    "kept": FRESH.durable,
    "dtcs_before": (),
}
"""What stands in the place of None, by the end of a field's name; else a number."""


OF_EMPTY: Mapping[str, object] = {"unanswered": Unanswered(b"\x76", FAR_NS), "agenda": Pause(7)}
"""What is added to an empty tuple, by the name of its field; else a number."""


def another(name: str, value: Any) -> Any:
    """Return a value of the same kind that is not equal."""
    if value is None:
        return next((other for end, other in OF_NOTHING.items() if name.endswith(end)), 7)
    if isinstance(value, bool):
        return not value
    if isinstance(value, Enum):
        return next(each for each in type(value) if each is not value)
    if isinstance(value, int):
        return value + FAR_NS
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, bytes):
        return value + b"x"
    if isinstance(value, frozenset):
        return value | {("erase", 0x31, 0x31)}
    if isinstance(value, FlasherError):
        return VersionMismatch("another", "one")
    if isinstance(value, BaseModel):
        first = next(iter(type(value).model_fields))
        return value.model_copy(update={first: another(first, getattr(value, first))})
    raise AssertionError(f"no other value for {name} = {value!r}")


def variants(value: Any, left_out: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield a dataclass with each of its fields changed, one at a time and down to the ground."""
    for each in fields(value):
        if each.name not in left_out:
            for where, changed in changes(each.name, getattr(value, each.name)):
                yield f"{type(value).__name__}.{where}", replace(value, **{each.name: changed})


def changes(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield other values of a field."""
    if isinstance(value, tuple):
        yield f"{name}[:]", (*value, *(value[-1:] or (OF_EMPTY.get(name, 7),)))
        for n, element in enumerate(value):
            for where, changed in changes(f"{name}[{n}]", element):
                yield where, (*value[:n], changed, *value[n + 1 :])
    elif is_dataclass(value) and not isinstance(value, type):
        for where, changed in variants(value):
            yield f"{name}: {where}", changed
    else:
        yield name, another(name, value)


def left_out(state: FlashState) -> tuple[str, ...]:
    """Return the fields of a state that its key may leave out: equal keys are those of one plan, and a request's bytes
    stand in its exchange."""
    out = ("plan",) if state.exchange is None else ("plan", "ask")
    return out + tuple(name for name in ("ask", "exchange", "exchange_action") if getattr(state, name) is None)


STORIES = [
    History({}),
    History({40: ("silent", 0), 70: ("broken", 0), 100: ("refused", 11)}),
    History({}, after=("silent", 0), since=60),
    History({}, after=("silent", 0), since=150),
    History({}, after=("refused", 8), since=90),
    *(History({n: ("cancelled", 0)}) for n in (3, 40, 70)),
]


def kinds_of_moments(name: str) -> Iterator[Moment]:
    """Yield moments of a job that differ in what they are made of, from healthy jobs and from others."""
    known = set()
    for story in STORIES:
        for moment in play(plan_of(name), story):
            state = moment.state
            parts = tuple(map(type, state.agenda)), type(state.action), state.phase, bool(state.memory.unanswered)
            if parts not in known:
                known.add(parts)
                yield moment


@pytest.mark.parametrize("name", RECIPES)
def test_a_state_that_differs_in_one_field_has_another_key(name: str) -> None:
    for moment in kinds_of_moments(name):
        for where, changed in variants(moment.state, left_out(moment.state)):
            assert changed.state(moment.now_ns) != moment.key, where


def concrete(kind: type) -> Iterator[type]:
    each: type
    for each in kind.__subclasses__():
        yield from concrete(each)
        yield each


def test_tasks_are_told_apart_by_their_names() -> None:
    # A set of both: a dataclass with slots is made twice, and the first one stays known as a subclass.
    kinds = {(kind.__module__, kind.__name__) for kind in concrete(Task) if kind.__module__.startswith("bench.")}
    assert len(kinds) == len({name for _, name in kinds}) > 30


def test_the_class_of_an_error_is_part_of_the_key() -> None:
    # A mismatch that nothing was done for ends a job by itself, any other error as FlashFailed.
    *_, last = play(plan_of("single_bank"), History({}, after=("silent", 0), since=0))
    told = SeedKeyFailed("X", "who", "what"), TransportError("X", "who: what")
    assert str(told[0]) == str(told[1])
    keys = {replace(last.state, error=error).state(last.now_ns) for error in told}
    assert len(keys) == 2


def test_a_job_that_was_called_off_is_no_success() -> None:
    *_, last = play(plan_of("single_bank"), History({50: ("cancelled", 0)}))
    assert (last.state.phase, last.state.error, last.state.succeeded) == (Phase.ENDED, None, False)


def test_the_answer_that_a_cancelled_job_no_longer_waits_for_is_known_when_it_comes_late() -> None:
    plan = plan_of("single_bank")
    waiting = next(
        m for m in play(plan, History({})) if isinstance(m.state.action, Listen) and m.state.step is not None
    )
    assert waiting.state.exchange is not None
    late = waiting.state.cancelled(waiting.now_ns).state.memory
    assert Unanswered(waiting.state.exchange.expected, waiting.now_ns + waiting.state.limits.late_ns) in late.unanswered


def test_whether_the_patience_with_an_ecu_is_over_is_part_of_the_key() -> None:
    # Asked of late, both of two deadlines may be over: which of them was, decides between P2* and PENDING_LIMIT.
    plan = plan_of("single_bank")
    asked = next(m for m in play(plan, History(dict.fromkeys(range(9), ("pending", 0)))) if m.state.pending)
    assert asked.state.exchange is not None
    patient = replace(asked.state.exchange, deadline_ns=5, pending_until_ns=9)
    impatient = replace(patient, pending_until_ns=5)
    outcomes = {str(each.next(Silence(20)).action) for each in (patient, impatient)}
    assert len(outcomes) == len({each.state(20) for each in (patient, impatient)}) == 2
