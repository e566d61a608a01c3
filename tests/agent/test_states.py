"""The agent's transition table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.agent.states import TRANSITIONS, Event, IllegalTransition, State, next_state


def test_every_state_but_idle_is_left_towards_idle() -> None:
    for start in State:
        state, steps = start, 0
        while state is not State.IDLE:
            state = next(after for (before, _), after in TRANSITIONS.items() if before is state)
            steps += 1
            assert steps <= len(State)


def test_no_ecu_is_touched_before_the_package_was_found_good() -> None:
    into_installing = [(before, event) for (before, event), after in TRANSITIONS.items() if after is State.INSTALLING]
    assert into_installing == [(State.VERIFYING, Event.PACKAGE_GOOD)]


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_illegal_event_is_refused_and_changes_nothing(events: list[Event]) -> None:
    state = State.IDLE
    for event in events:
        if (state, event) in TRANSITIONS:
            state = next_state(state, event)
        else:
            with pytest.raises(IllegalTransition, match=event):
                next_state(state, event)
