"""Whether what was sent is what the ECU stores: the checks that a recipe lists (`recipe_checks.CheckRule`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.flasher.checks import check_answer
from bench.flasher.errors import DataDiffers, ProtocolViolation
from bench.flasher.recipe_checks import After, CheckRule
from bench.flasher.services import read_memory, request_upload, start_routine, transfer_exit, upload_data
from bench.flasher.software import PartKind
from bench.flasher.steps.options import option_record
from bench.flasher.strategies import CheckStrategy, strategy
from bench.flasher.sums import SUMS
from bench.flasher.task import At, Piece, Plan, Task, Turn
from bench.wire.uds import Sid


def checks(plan: Plan, after: After, piece: Piece | None) -> Iterator[Task]:
    """Yield the checks that have their turn after a segment, a part or all of them."""
    for rule in plan.recipe.check.listed:
        # What the answer to 0x37 says is looked at where it comes (`check_exit`).
        if rule.after is after and rule.by != "transfer_exit" and concerns(plan, rule, piece):
            yield strategy("check", rule.by, BUILT_IN)(plan, rule, piece)


def check_exit(plan: Plan, piece: Piece, record: bytes) -> None:
    """DataDiffers unless the answer to 0x37 holds the sum of what was sent, where a rule says that it does."""
    for rule in plan.recipe.check.listed:
        if rule.by != "transfer_exit" or not concerns(plan, rule, piece):
            continue
        assert rule.algorithm is not None, "the recipe was checked: the rule has its algorithm"
        if rule.algorithm == "accepted":
            continue
        wanted = SUMS[rule.algorithm](plan.stream(piece))
        if len(record) < len(wanted):
            raise ProtocolViolation(f"0x37: {rule.algorithm} is {len(wanted)} bytes, the answer has {len(record)}")
        if record[: len(wanted)] != wanted:
            what = f"{rule.algorithm} {record[: len(wanted)].hex()} of what it received, {wanted.hex()} was sent"
            raise DataDiffers(Sid.REQUEST_TRANSFER_EXIT, record[0], what)


def concerns(plan: Plan, rule: CheckRule, piece: Piece | None) -> bool:
    """Return whether a rule is for parts of this piece's kind."""
    if rule.kind == "any" or piece is None:
        return True
    return (plan.part(piece).kind is PartKind.BOOTLOADER) is (rule.kind == "bootloader")


# A routine ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Routine(Task):
    """31 01 with what the rule's option names; its record is judged by the rule."""

    rule: int
    piece: Piece | None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        rule = at.recipe.check.listed[self.rule]
        assert rule.routine is not None, "the recipe was checked: the rule has its routine"
        return at.request(self, start_routine(rule.routine, option_record(at.plan, rule.option, self.piece)))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        rule = at.recipe.check.listed[self.rule]
        assert rule.routine is not None, "the recipe was checked: the rule has its routine"
        check_answer(rule.routine, value, rule.answer)
        return at.over()


# Reading back ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _ReadBack(Task):
    """0x23 over a segment, `done_bytes` of it compared already: DataDiffers at the first byte that differs.

    A server was seen that acknowledges blocks after a functional tester present, does not store them, and says that
    its check was passed: nothing but its memory tells.
    """

    rule: int
    piece: Piece
    done_bytes: int = 0

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        plain = self._plain(at)
        if self.done_bytes == len(plain):
            return at.over()
        address = at.plan.segment(self.piece).address + self.done_bytes
        return at.request(self, read_memory(address, self._size(at, plain), at.recipe.transfer))

    def _plain(self, at: At) -> bytes:
        plain = at.plan.segment(self.piece).plain
        assert plain is not None, "looked at before the job began"
        return plain

    def _size(self, at: At, plain: bytes) -> int:
        return min(at.recipe.check.listed[self.rule].chunk_bytes, len(plain) - self.done_bytes)

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        plain = self._plain(at)
        size = self._size(at, plain)
        compare(
            at,
            self.piece,
            self.done_bytes,
            plain[self.done_bytes : self.done_bytes + size],
            value,
            Sid.READ_MEMORY_BY_ADDRESS,
        )
        return _ReadBack(self.rule, self.piece, self.done_bytes + size).begin(at)


def compare(at: At, piece: Piece, offset: int, wanted: bytes, found: bytes, sid: int) -> None:
    """DataDiffers at the first byte that memory does not hold as it was sent."""
    if len(found) != len(wanted):
        raise ProtocolViolation(f"0x{sid:02X}: {len(found)} bytes were read, {len(wanted)} were asked for")
    if found != wanted:
        n = next(n for n, (left, right) in enumerate(zip(found, wanted, strict=True)) if left != right)
        address = at.plan.segment(piece).address + offset + n
        what = f"{at.plan.part(piece).name}: 0x{found[n]:02X} is stored at 0x{address:08X}, 0x{wanted[n]:02X} was sent"
        raise DataDiffers(sid, found[n], what)


@dataclass(frozen=True, slots=True)
class _Upload(Task):
    """35 over a segment, then `_UploadBlocks` and 37."""

    piece: Piece

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        segment = at.plan.segment(self.piece)
        return at.request(self, request_upload(segment.address, segment.size_bytes, at.recipe.transfer))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        del value
        return at.over(_UploadBlocks(self.piece), _UploadExit())


@dataclass(frozen=True, slots=True)
class _UploadBlocks(Task):
    """36 without data, until all of the segment has come."""

    piece: Piece
    done_bytes: int = 0
    counter: int | None = None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        plain = at.plan.segment(self.piece).plain
        assert plain is not None, "looked at before the job began"
        if self.done_bytes == len(plain):
            return at.over()
        return at.request(self, upload_data(at.recipe.transfer.counter_after(self.counter)))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        plain = at.plan.segment(self.piece).plain
        assert plain is not None, "looked at before the job began"
        wanted = plain[self.done_bytes : self.done_bytes + len(value)]
        if not value:
            raise ProtocolViolation("0x36: an upload block without data")
        compare(at, self.piece, self.done_bytes, wanted, value, Sid.TRANSFER_DATA)
        counter = at.recipe.transfer.counter_after(self.counter)
        return _UploadBlocks(self.piece, self.done_bytes + len(value), counter).begin(at)


@dataclass(frozen=True, slots=True)
class _UploadExit(Task):
    """0x37 of an upload."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.request(self, transfer_exit())


# By name -----------------------------------------------------------------------------------------------


def _routine(plan: Plan, rule: CheckRule, piece: Piece | None) -> Task:
    return _Routine(plan.recipe.check.listed.index(rule), piece)


def _read_back(plan: Plan, rule: CheckRule, piece: Piece | None) -> Task:
    assert piece is not None, "the recipe was checked: memory is read back after a segment or a part"
    upload = rule.service == int(Sid.REQUEST_UPLOAD)
    return _Upload(piece) if upload else _ReadBack(plan.recipe.check.listed.index(rule), piece)


BUILT_IN: Mapping[str, CheckStrategy] = {"routine": _routine, "read_back": _read_back}


@dataclass(frozen=True, slots=True)
class CheckSoftware(Task):
    """The checks that come after the last part."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.over(*checks(at.plan, After.ALL, None))
