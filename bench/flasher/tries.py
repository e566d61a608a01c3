"""How often something may be tried again, and where a download stands: values that a retry changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.flasher.errors import FlasherError


@dataclass(frozen=True, slots=True)
class Tries:
    """How many more tries there are after the one under way."""

    left: int

    def after(self, error: FlasherError, *, worth: bool = True) -> Tries:
        """Return what is left after a try that failed; raises `error` when nothing is, or when another makes no sense.

        To be called where `error` was caught.
        """
        if not self.left or not worth:
            raise error
        return Tries(self.left - 1)


NO_MORE = Tries(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Where a download stands: all that decides which block is sent next.

    `counter` is the blockSequenceCounter that the ECU acknowledged last, `tries` what the block under way has left.
    """

    sent_bytes: int = 0
    counter: int | None = None
    tries: Tries = NO_MORE

    def taken(self, counter: int, block_bytes: int, tries: Tries) -> Transfer:
        """Return the state once the ECU took a block; the next one has `tries`."""
        return Transfer(sent_bytes=self.sent_bytes + block_bytes, counter=counter, tries=tries)

    def again(self, error: FlasherError, *, worth: bool) -> Transfer:
        """Return the state in which the same block is sent again; raises `error` when that is over (`Tries.after`)."""
        return replace(self, tries=self.tries.after(error, worth=worth))


NOT_STARTED = Transfer()
