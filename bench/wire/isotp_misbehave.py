"""ISO-TP that breaks its own rules on purpose, by name: fault injectors between an endpoint and its frames.

An endpoint's frames pass through `Misbehaver.transmit`, what it hears is shown to `Misbehaver.heard`; the endpoint
itself knows nothing of it. What each injector does to the other side stands beside it (N_Result of ISO 15765-2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.core.clock import NS_PER_MS, Clock
from bench.wire.isotp_params import (
    CONSECUTIVE,
    FIRST,
    FLOW,
    MAX_LENGTH,
    OVERFLOW,
    SINGLE,
    WAIT,
    IsoTpError,
    Transmit,
)
from bench.wire.occasions import ALWAYS, Occasions, split
from bench.wire.outcome import OutcomeCallback, ignore_outcome, sent_on_wire

N_OK, IGNORED = "N_OK", "ignored"
INVALID_STATUS = 3
LATE_MS = 1_500
"""Beyond N_Bs and N_Cr, which are 1000 ms."""
WAIT_EVERY_MS = 400
MORE_BYTES = 64
"""More than the padding of the longest frame could make up for."""
Sent = OutcomeCallback


class Misbehaver:
    """One life of one side of an address pair, with the injectors that were chosen for it."""

    def __init__(
        self,
        clock: Clock,
        chosen: Sequence[Misbehaviour],
        put: Transmit,
        prefix_bytes: int = 0,
        note: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """`put` carries a frame out, `note` is told the name of each injector when it strikes.

        Frames begin with `prefix_bytes` of address extension. Of several injectors due at a frame the first one acts.
        """
        self._clock, self._chosen, self._put, self._note = clock, chosen, put, note
        self._pci = prefix_bytes
        self._last_begun: int | None = None  # what began the message on its way out
        self._flow_control_due = False  # a first frame was heard, its flow control is due
        self._mute = False
        self._held: list[bytes] | None = None
        self._blocks: bytes | None = None  # the flow control to repeat after each consecutive frame
        self._left_bytes = 0
        self._waits = 0

    def transmit(self, data: bytes, sent: Sent) -> None:
        """Send a frame of the endpoint, or what an injector makes of it (`Transmit`)."""
        kind = data[self._pci] >> 4
        if not self._begins(kind):
            if (self._mute and kind == CONSECUTIVE) or (self._blocks is not None and kind == FLOW):
                self.drop(sent)
            else:
                self.send(data, sent)
            return
        due = [each for each in self._chosen if kind in each.injector.kinds and each.strikes()]
        if not due:
            self.send(data, sent)
            return
        self._note(due[0].injector.name)
        due[0].injector.act(self, data, sent)

    def heard(self, data: bytes) -> None:
        """See the data of a frame of the other side, before the endpoint does."""
        if len(data) <= self._pci:
            return
        kind = data[self._pci] >> 4
        if kind == FIRST:
            length, head_bytes = self._announced(data)
            self._left_bytes = length - (len(data) - self._pci - head_bytes)
            self._flow_control_due = True
        if kind in (SINGLE, FIRST):
            self._waits += 1
            self._blocks = None
        elif kind == CONSECUTIVE and self._blocks is not None:
            self._left_bytes -= len(data) - self._pci - 1
            if self._left_bytes > 0:
                self.send(self._blocks, ignore_outcome)
            else:
                self._blocks = None

    def _begins(self, kind: int) -> bool:
        """Return whether a frame is where injectors may strike: the first of its kind in its message."""
        if kind == FLOW:
            begins, self._flow_control_due = self._flow_control_due, False
        elif kind == CONSECUTIVE:
            begins, self._last_begun = self._last_begun == FIRST, None
        else:
            begins, self._last_begun, self._mute = True, kind, False
        return begins

    def _announced(self, data: bytes) -> tuple[int, int]:
        """Return FF_DL and how many bytes stand before the content."""
        pci = data[self._pci :]
        length = (pci[0] & 0xF) << 8 | pci[1] if len(pci) > 1 else 0
        return (length, 2) if length else (int.from_bytes(pci[2:6], "big"), 6)

    # What injectors do -------------------------------------------------------------------------------

    def send(self, data: bytes, sent: Sent) -> None:
        """Send a frame, after those that are held back."""
        if self._held is None:
            self._put(data, sent)
        else:
            self._held.append(data)
            self.drop(sent)

    def drop(self, sent: Sent) -> None:
        """Let the endpoint believe that its frame was sent; not within its call, which it does not expect."""
        now_ns = self._clock.now_ns()
        self._clock.call_at_ns(now_ns, sent, sent_on_wire(now_ns))

    def break_off(self, sent: Sent) -> None:
        """Drop this frame and the rest of the message."""
        self._mute = True
        self.drop(sent)

    def with_byte(self, data: bytes, index: int, value: int) -> bytes:
        """Return a frame with another byte, counted from its PCI."""
        at = self._pci + index
        return data[:at] + bytes((value,)) + data[at + 1 :]

    def pci_byte(self, data: bytes) -> int:
        """Return the first byte of the PCI."""
        return data[self._pci]

    def cut(self, data: bytes) -> bytes:
        """Return a frame without what comes after the two bytes from its PCI on."""
        return data[: self._pci + 2]

    def longer(self, data: bytes) -> bytes:
        """Return a first frame that announces more bytes than come; fewer, where 12 bits count no more."""
        length, head_bytes = self._announced(data)
        if head_bytes > 2:
            head = data[: self._pci + 2] + (length + MORE_BYTES).to_bytes(4, "big")
        else:
            other = length + (MORE_BYTES if length + MORE_BYTES <= MAX_LENGTH else -MORE_BYTES)
            head = data[: self._pci] + bytes((FIRST << 4 | other >> 8, other & 0xFF))
        return head + data[self._pci + head_bytes :]

    def send_late(self, data: bytes, sent: Sent) -> None:
        """Send this frame alone later; the endpoint believes that it was sent."""
        self.drop(sent)
        self._clock.call_at_ns(self._clock.now_ns() + LATE_MS * NS_PER_MS, self._put, data, ignore_outcome)

    def hold(self, data: bytes, sent: Sent) -> None:
        """Send this frame and all that follow later, in order."""
        if self._held is None:
            self._held = []
            self._clock.call_at_ns(self._clock.now_ns() + LATE_MS * NS_PER_MS, self._release)
        self.send(data, sent)

    def _release(self) -> None:
        held, self._held = self._held or [], None
        for data in held:
            self._put(data, ignore_outcome)

    def keep_waiting(self, data: bytes, sent: Sent) -> None:
        """Send FC.WAIT again and again until the other side begins another message."""
        self._wait(self._waits, self.with_byte(data, 0, FLOW << 4 | WAIT), sent)

    def _wait(self, message: int, data: bytes, sent: Sent) -> None:
        if message == self._waits:
            self.send(data, sent)
            next_ns = self._clock.now_ns() + WAIT_EVERY_MS * NS_PER_MS
            self._clock.call_at_ns(next_ns, self._wait, message, data, ignore_outcome)

    def ask_for_each(self, data: bytes, sent: Sent) -> None:
        """Send flow control with BS 1, and again after each consecutive frame but the last."""
        self._blocks = self.with_byte(data, 1, 1)
        self.send(self._blocks, sent)


Act = Callable[[Misbehaver, bytes, Sent], None]


@dataclass(frozen=True, slots=True)
class Injector:
    """A way to misbehave: `kinds` are the frames it strikes at, `ends` how the other side takes a message of ours."""

    name: str
    title: str
    ends: str
    kinds: tuple[int, ...]
    act: Act


class Misbehaviour:
    """A chosen injector: at every message that has such a frame, or at some of them."""

    def __init__(self, injector: Injector, when: Occasions = ALWAYS) -> None:
        """`when` counts messages that have such a frame, over all lives of the side."""
        self.injector, self.when = injector, when
        self._seen = 0

    def __str__(self) -> str:
        return f"{self.injector.name}{self.when}"

    def strikes(self) -> bool:
        """Count a frame that could be struck; returns whether it is."""
        self._seen += 1
        return self.when.include(self._seen)


def chosen(text: str) -> Misbehaviour:
    """Return what `NAME` or `NAME@WHEN` means; ValueError with what is allowed."""
    name = text.partition("@")[0]
    if name not in INJECTORS:
        raise ValueError(f"one of {', '.join(INJECTORS)}")
    return Misbehaviour(INJECTORS[name], split(text)[1])


def _byte(index: int, change: Callable[[int], int]) -> Act:
    """Return what sends the frame with one byte changed; a change of the first byte is given its value."""

    def act(by: Misbehaver, data: bytes, sent: Sent) -> None:
        by.send(by.with_byte(data, index, change(by.pci_byte(data))), sent)

    return act


def _status(status: int) -> Act:
    return _byte(0, lambda _pci: FLOW << 4 | status)


def _twice(by: Misbehaver, data: bytes, sent: Sent) -> None:
    by.send(data, ignore_outcome)
    by.send(data, sent)


_BEGIN, _FF, _CF, _FC = (SINGLE, FIRST), (FIRST,), (CONSECUTIVE,), (FLOW,)
_ALL = (
    Injector("no_flow_control", "no flow control after a first frame", IsoTpError.TIMEOUT_BS, _FC,
             lambda by, _data, sent: by.drop(sent)),
    Injector("late_flow_control", f"flow control after {LATE_MS} ms, N_Bs is over", IsoTpError.TIMEOUT_BS, _FC,
             lambda by, data, sent: by.send_late(data, sent)),
    Injector("wait_for_ever", f"FC.WAIT every {WAIT_EVERY_MS} ms until another message begins",
             IsoTpError.WAIT_OVERRUN, _FC, lambda by, data, sent: by.keep_waiting(data, sent)),
    Injector("overflow", "FC.OVFLW instead of FC.CTS", IsoTpError.BUFFER_OVERFLOW, _FC, _status(OVERFLOW)),
    Injector("invalid_flow_status", f"flow control with FS {INVALID_STATUS}, which means nothing",
             IsoTpError.INVALID_FS, _FC, _status(INVALID_STATUS)),
    Injector("block_size_1", "flow control with BS 1, after each consecutive frame", N_OK, _FC,
             lambda by, data, sent: by.ask_for_each(data, sent)),
    Injector("st_min_127_ms", "flow control with STmin 127 ms", N_OK, _FC, _byte(2, lambda _pci: 127)),
    Injector("wrong_sequence_number", "first consecutive frame with SN 9 instead of 1", IsoTpError.WRONG_SN, _CF,
             _byte(0, lambda pci: pci ^ 8)),
    Injector("skipped_frame", "first consecutive frame left out (of one alone: N_TIMEOUT_Cr)", IsoTpError.WRONG_SN,
             _CF, lambda by, _data, sent: by.drop(sent)),
    Injector("repeated_frame", "first consecutive frame sent twice (of one alone: N_OK)", IsoTpError.WRONG_SN, _CF,
             _twice),
    Injector("late_consecutive", f"first consecutive frame after {LATE_MS} ms, N_Cr is over", IsoTpError.TIMEOUT_CR,
             _CF, lambda by, data, sent: by.hold(data, sent)),
    Injector("no_consecutive", "nothing after the first frame", IsoTpError.TIMEOUT_CR, _CF,
             lambda by, _data, sent: by.break_off(sent)),
    Injector("unexpected_first_frame", "first frame sent twice, then the rest", IsoTpError.UNEXPECTED_PDU, _FF,
             _twice),
    Injector("wrong_length", f"FF_DL {MORE_BYTES} bytes more than come", IsoTpError.TIMEOUT_CR, _FF,
             lambda by, data, sent: by.send(by.longer(data), sent)),
    Injector("truncated_frame", "single or first frame cut off after two bytes", IGNORED, _BEGIN,
             lambda by, data, sent: by.send(by.cut(data), sent)),
    Injector("single_frame_length_0", "single frame with SF_DL 0", IGNORED, (SINGLE,),
             lambda by, data, sent: by.send(by.with_byte(by.with_byte(data, 0, SINGLE), 1, 0), sent)),
)  # fmt: skip
INJECTORS = {injector.name: injector for injector in _ALL}
"""Every injector by its name."""
