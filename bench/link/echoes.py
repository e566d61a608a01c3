"""Our frames that an interface took and has not given back yet, and what an echo, or its absence, says about them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from bench.wire.can import CanFrame


class _Waits(Enum):
    """Whether somebody still waits for the outcome of a frame."""

    FOR_ECHO = auto()
    GIVEN_UP = auto()
    """Its sender wanted it back, which was too late: it has its outcome to come, but later frames go first."""
    TOLD = auto()
    """Told as lost; should it cross all the same its echo is still ours, and not another node's frame."""


@dataclass(slots=True, eq=False)
class _Entry:
    frame: CanFrame
    token: int
    t_ns: int
    lost_before: int
    waits: _Waits = _Waits.FOR_ECHO
    taken: bool = False


class Echo(NamedTuple):
    """What the echo of a frame of ours says."""

    token: int
    overtaken: tuple[int, ...]
    """Earlier frames that will not come back any more, since an interface keeps the order of one sender."""
    unseen: tuple[int, ...]
    """Those of them whose echo may be among what our own receive queue dropped: they crossed as far as one can tell."""


class Echoes:
    """A list in the order of the hand-over; whoever uses it from several threads locks it."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def handing_over(self, frame: CanFrame, token: int, t_ns: int, lost: int = 0) -> None:
        """Note a frame before the interface gets it: its echo may be back before that call returns.

        `lost` counts what the receive queue has dropped so far.
        """
        self._entries.append(_Entry(frame, token, t_ns, lost))

    def taken(self, token: int) -> None:
        """The interface has it: from now on a flush loses it."""
        for entry in self._entries:
            entry.taken |= entry.token == token

    def refused(self, token: int) -> None:
        """The interface did not take it: no echo will come."""
        self._entries = [entry for entry in self._entries if entry.token != token]

    def given_up(self, tokens: set[int]) -> None:
        """Their senders wanted them back; the interface cannot do that."""
        for entry in self._entries:
            if entry.token in tokens and entry.waits is _Waits.FOR_ECHO:
                entry.waits = _Waits.GIVEN_UP

    def came(self, frame: CanFrame, lost: int = 0) -> Echo | None:
        """Take an echo; None when no frame of ours has these bytes.

        Of several equal ones it belongs to the first that is still waited for. One that was given up has most likely
        lost its echo: taking it for that one would make each later equal frame look as if it had not crossed.
        """
        equal = [entry for entry in self._entries if entry.frame == frame]
        if not equal:
            return None
        mine = min(equal, key=lambda entry: entry.waits.value)  # of equals the first one in the list
        # An equal one that was given up may be the one that crossed: only what is older than both is overtaken, and an
        # echo may still come where the younger one stood.
        oldest = self._entries.index(equal[0])
        gone, self._entries = self._entries[:oldest], self._entries[oldest:]
        self._entries[self._entries.index(mine)] = equal[0]
        del self._entries[0]
        unseen = tuple(entry.token for entry in gone if entry.lost_before != lost)
        overtaken = tuple(entry.token for entry in gone if entry.lost_before == lost)
        return Echo(mine.token, overtaken, unseen)

    def flushed(self) -> list[int]:
        """The controller dropped what it had; returns what is lost with it and was not told yet."""
        lost = [entry for entry in self._entries if entry.taken and entry.waits is not _Waits.TOLD]
        for entry in lost:
            entry.waits = _Waits.TOLD
        return [entry.token for entry in lost]

    def forget_before(self, t_ns: int) -> None:
        """Drop frames handed over before then: of an interface whose echoes mean nothing and get lost."""
        self._entries = [entry for entry in self._entries if entry.t_ns >= t_ns]
