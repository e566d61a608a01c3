"""A UDS exchange is a value: the same events lead to the same turns, whenever they come and wherever it is taken up."""

from __future__ import annotations

import pickle
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.flasher.errors import TransportError
from bench.flasher.exchange import (
    Broken,
    Done,
    Event,
    Exchange,
    Limits,
    Listen,
    Memory,
    Pause,
    Received,
    Send,
    Sent,
    Silence,
    Turn,
    Waited,
    Wanted,
)

LIMITS = Limits(
    p2_ns=100 * NS_PER_MS, p2_star_ns=5 * NS_PER_S, late_ns=5 * NS_PER_S, pending_ns=12 * NS_PER_S,
    busy_pause_ns=50 * NS_PER_MS, busy_tries=2,
)  # fmt: skip
PAYLOAD, EXPECTED = bytes.fromhex("2701"), bytes.fromhex("6701")
ANSWERS = [
    bytes.fromhex(text) for text in ("6701aa", "6701bb", "7f2778", "7f2721", "7f2735", "62f190aa", "7f27", "6703aa")
]
EARLIER = Memory().given_up(EXPECTED, 3 * NS_PER_S).given_up(bytes.fromhex("62f190"), 4 * NS_PER_S)
Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(st.sampled_from(["answer", "silence", "occupied", "broken"]), st.integers(0, len(ANSWERS) - 1),
              st.integers(0, 6 * NS_PER_S)),
    max_size=12,
)  # fmt: skip


def event(turn: Turn, step: Step, now_ns: int) -> tuple[Event, int]:
    """Return what may come of an action, and when."""
    kind, n, later_ns = step
    match turn.action:
        case Send():
            return Sent(now_ns + later_ns % NS_PER_MS, dropped=n % 2), now_ns + later_ns % NS_PER_MS
        case Pause(until_ns):
            return Waited(until_ns), until_ns
        case Listen(until_ns) if kind == "answer":
            at_ns = min(until_ns, now_ns + later_ns)
            return Received(at_ns, ANSWERS[n]), at_ns
        case Listen(until_ns) if kind == "broken":
            return Broken(now_ns, "N_TIMEOUT_Cr", "cut off"), now_ns
        case Listen(until_ns):
            return Silence(until_ns, occupied=kind == "occupied"), until_ns
        case Done():
            raise AssertionError("it is over")


def play(given_steps: list[Step], wanted: Wanted, begin_ns: int) -> list[tuple[object, ...]]:
    """Return every turn, instants as what is left of them; between two turns the value is written and read back."""
    memory = replace(
        EARLIER, unanswered=tuple(replace(each, until_ns=each.until_ns + begin_ns) for each in EARLIER.unanswered)
    )
    now_ns = begin_ns
    turn = Exchange.of(PAYLOAD, EXPECTED, LIMITS, memory, wanted).begin()
    seen = []
    for step in given_steps:
        seen.append((shown(turn, now_ns), turn.exchange.state(now_ns)))
        if isinstance(turn.action, Done):
            break
        came, now_ns = event(turn, step, now_ns)
        turn = pickle.loads(pickle.dumps(turn.exchange)).next(came)
    return [*seen, (shown(turn, now_ns), turn.exchange.state(now_ns))]


def shown(turn: Turn, now_ns: int) -> tuple[object, ...]:
    match turn.action:
        case Send(payload):
            return "send", payload, turn.notes
        case Listen(until_ns) | Pause(until_ns):
            return type(turn.action).__name__, until_ns - now_ns, turn.notes
        case Done(answer, error):
            return "done", answer, str(error), turn.notes


@given(steps, st.sampled_from(Wanted), st.integers(1, 10**15))
def test_equal_events_lead_to_equal_turns_whenever_they_come(
    given_steps: list[Step], wanted: Wanted, later_ns: int
) -> None:
    assert play(given_steps, wanted, 0) == play(given_steps, wanted, later_ns)


@given(steps, st.sampled_from(Wanted))
def test_an_exchange_ends_with_an_answer_of_its_own_or_a_named_error_and_never_waits_beyond_its_limits(
    given_steps: list[Step], wanted: Wanted
) -> None:
    turn, now_ns = Exchange.of(PAYLOAD, EXPECTED, LIMITS, EARLIER, wanted).begin(), 0
    for step in [*given_steps, *[("silence", 0, 0)] * 40]:
        match turn.action:
            case Done(answer, error):
                assert (answer is None) is not (error is None)
                assert answer is None or answer.startswith(EXPECTED)
                return
            case Listen(until_ns):
                assert 0 <= until_ns - now_ns <= LIMITS.p2_star_ns
        came, now_ns = event(turn, step, now_ns)
        turn = turn.exchange.next(came)
    raise AssertionError("it never ended")


def test_who_gives_up_remembers_that_a_late_answer_may_come() -> None:
    turn = Exchange.of(PAYLOAD, EXPECTED, LIMITS, Memory(), Wanted.FIRST).begin().exchange.next(Sent(7))
    ended = turn.exchange.next(Silence(7 + LIMITS.p2_ns))
    assert isinstance(ended.action, Done)
    assert isinstance(ended.action.error, TransportError)
    (late,) = ended.exchange.memory.unanswered
    assert (late.prefix, late.until_ns) == (EXPECTED, 7 + LIMITS.p2_ns + LIMITS.late_ns)
    assert ended.exchange.memory.state(late.until_ns + 1) == ((), b"")
