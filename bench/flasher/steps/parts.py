"""Software in parts: a secondary bootloader first where there is one, then each part erased, sent and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.flasher.checks import check_answer
from bench.flasher.notes import PassBegun
from bench.flasher.recipe_checks import After, Item
from bench.flasher.services import start_routine
from bench.flasher.software import PartKind
from bench.flasher.steps.erasing import ranges
from bench.flasher.steps.options import option_record, range_record
from bench.flasher.steps.proofs import checks
from bench.flasher.steps.transfer import Download
from bench.flasher.strategies import EraseStrategy, strategy
from bench.flasher.task import At, Piece, Plan, Task, Turn, noted

ADDRESS_AND_SIZE = (Item.FORMAT, Item.ADDRESS, Item.SIZE)


@dataclass(frozen=True, slots=True)
class LoadBootloader(Task):
    """34, 36 ..., 37 of every part that is a secondary bootloader, with its checks; nothing is erased, it is RAM."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.over(*(_Part(place, erases=False) for place in at.plan.software.of_kind(PartKind.BOOTLOADER)))


@dataclass(frozen=True, slots=True)
class StartBootloader(Task):
    """31 01 of the routine that starts what was loaded, at each part's start address."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.over(*(_Start(place) for place in at.plan.software.of_kind(PartKind.BOOTLOADER)))


@dataclass(frozen=True, slots=True)
class _Start(Task):
    """One bootloader."""

    place: int

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        rules = at.recipe.bootloader
        assert rules is not None, "the recipe was checked: the step has its table"
        return at.request(self, start_routine(rules.routine, option_record(at.plan, rules.option, Piece(self.place))))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        rules = at.recipe.bootloader
        assert rules is not None, "the recipe was checked: the step has its table"
        check_answer(rules.routine, value, rules.answer)
        return at.over()


@dataclass(frozen=True, slots=True)
class ProgramParts(Task):
    """Every part that stays, but for those that this job has finished already."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        places = at.plan.software.of_kind(PartKind.SOFTWARE)
        done = [place for place in places if place in at.job.parts_done]
        stored_bytes = sum(segment.size_bytes for n in done for segment in at.plan.software.parts[n].segments)
        missing = tuple(_Part(place, erases=True) for place in places if place not in done)
        return at.over(*missing, notes=(PassBegun(stored_bytes, download=bool(missing)),))


@dataclass(frozen=True, slots=True)
class _Part(Task):
    """One part: erase, each segment with its checks, the checks of the whole part."""

    place: int
    erases: bool

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        part = at.plan.software.parts[self.place]
        steps: list[Task] = list(erase_part(at.plan, self.place)) if self.erases else []
        for n in range(len(part.segments)):
            piece = Piece(self.place, n)
            steps += [Download(piece), *checks(at.plan, After.SEGMENT, piece)]
        steps += [*checks(at.plan, After.PART, Piece(self.place)), _Done(self.place)]
        size = sum(segment.size_bytes for segment in part.segments)
        note = noted("part", counted=False, part=part.name, segments=len(part.segments), bytes=size)
        return at.over(*steps, notes=(note,))


@dataclass(frozen=True, slots=True)
class _Done(Task):
    """A part is whole as far as its checks can say: it is not erased again by this job."""

    place: int

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.over(job=replace(at.job, parts_done=(*at.job.parts_done, self.place)))


# Erasing -----------------------------------------------------------------------------------------------


def erase_part(plan: Plan, place: int) -> Iterable[Task]:
    """Return what erases a part, by the strategy of the recipe."""
    return strategy("erase", plan.recipe.erase.by, ERASE)(plan, place)


def _nothing(plan: Plan, place: int) -> Iterable[Task]:
    """0x34 erases what it is asked for."""
    del plan, place
    return ()


def _by_index(plan: Plan, place: int) -> Iterable[Task]:
    """The ECU knows its logical blocks by number."""
    yield _Erase(option_record(plan, (Item.INDEX,), Piece(place)))


def _by_file(plan: Plan, place: int) -> Iterable[Task]:
    """The ranges that the file lists."""
    return _calls(plan, plan.software.parts[place].erase)


def _by_range(plan: Plan, place: int) -> Iterable[Task]:
    """The range of each segment, of the whole region, or of the sectors that are touched."""
    return _calls(plan, ranges(plan.recipe, plan.software.parts[place].segments))


def _calls(plan: Plan, ranges: Iterable[tuple[int, int]]) -> Iterable[Task]:
    option = plan.recipe.erase.option or ADDRESS_AND_SIZE
    return [_Erase(range_record(plan, option, address, size_bytes)) for address, size_bytes in ranges]


ERASE: Mapping[str, EraseStrategy] = {"range": _by_range, "file": _by_file, "index": _by_index, "none": _nothing}


@dataclass(frozen=True, slots=True)
class _Erase(Task):
    """31 01 of the erase routine; its answer comes when it has ended, spanned by 0x78."""

    option: bytes

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        routine_id = at.recipe.routines.erase
        assert routine_id is not None, "the recipe was checked: erasing has its routine"
        return at.request(self, start_routine(routine_id, self.option))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        routine_id = at.recipe.routines.erase
        assert routine_id is not None, "the recipe was checked: erasing has its routine"
        check_answer(routine_id, value, at.recipe.erase.answer)
        return at.over()
