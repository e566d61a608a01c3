"""The agent's states and the one table of its transitions."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What the agent is doing with an order; also the phase of its fault points."""

    IDLE = "idle"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    INSTALLING = "installing"
    CONFIRMING = "confirming"
    REPORTING = "reporting"


class Event(StrEnum):
    """What moves the agent on."""

    ORDER_ACCEPTED = "order_accepted"
    BYTES_COMPLETE = "bytes_complete"
    DOWNLOAD_FAILED = "download_failed"
    PACKAGE_GOOD = "package_good"
    PACKAGE_REFUSED = "package_refused"
    INSTALLED = "installed"
    INSTALL_FAILED = "install_failed"
    CONFIRMED = "confirmed"
    REPORTED = "reported"


class IllegalTransition(RuntimeError):
    """An event that the state does not know: a mistake of the agent itself."""


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.IDLE, Event.ORDER_ACCEPTED): State.DOWNLOADING,
    (State.DOWNLOADING, Event.BYTES_COMPLETE): State.VERIFYING,
    (State.DOWNLOADING, Event.DOWNLOAD_FAILED): State.REPORTING,
    (State.VERIFYING, Event.PACKAGE_GOOD): State.INSTALLING,
    (State.VERIFYING, Event.PACKAGE_REFUSED): State.REPORTING,
    (State.INSTALLING, Event.INSTALLED): State.CONFIRMING,
    (State.INSTALLING, Event.INSTALL_FAILED): State.REPORTING,
    (State.CONFIRMING, Event.CONFIRMED): State.REPORTING,
    (State.REPORTING, Event.REPORTED): State.IDLE,
}
"""After a power loss the agent is in the state it stored last and does that state's work again."""


def next_state(state: State, event: Event) -> State:
    """Return where `event` leads; IllegalTransition when it may not happen in `state`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"{event} in state {state}") from None
