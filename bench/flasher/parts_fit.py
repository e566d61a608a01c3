"""Whether software in parts holds all that its recipe is going to send, looked at before the ECU is asked anything."""

from __future__ import annotations

from collections.abc import Iterator

from bench.flasher.errors import ImageMismatch
from bench.flasher.recipe_checks import After, CheckRule
from bench.flasher.recipe_steps import Step
from bench.flasher.software import Part, PartKind
from bench.flasher.steps.options import option_record
from bench.flasher.steps.parts import erase_part
from bench.flasher.steps.proofs import concerns
from bench.flasher.task import Piece, Plan
from bench.images.memory import AddressRange


def check_parts(plan: Plan) -> None:
    """ImageMismatch when a part lacks what the recipe sends of it, or has no place in the recipe's steps."""
    # What a file lacks would be noticed when its turn comes: then the software that ran is erased already.
    if Step.PROGRAM_PARTS not in plan.recipe.steps:
        return
    if not plan.software.of_kind(PartKind.SOFTWARE):
        raise ImageMismatch(plan.ecu, "parts", "none that stays", "needs one (step program_parts)")
    _check_bootloaders(plan)
    for place, part in enumerate(plan.software.parts):
        if part.kind is PartKind.SOFTWARE:
            _check_erase(plan, place)
        for rule, piece in _judged(plan, place, part):
            _check_rule(plan, rule, piece)


def _check_bootloaders(plan: Plan) -> None:
    """A secondary bootloader and the step that loads it need each other; it lies in RAM, with a start address."""
    rules, places = plan.recipe.bootloader, plan.software.of_kind(PartKind.BOOTLOADER)
    if rules is None and places:
        name = plan.software.parts[places[0]].name
        raise ImageMismatch(plan.ecu, name, "a secondary bootloader", "takes none (no step load_bootloader)")
    if rules is None:
        return
    if not places:
        raise ImageMismatch(plan.ecu, "secondary bootloader", "none", "needs one (step load_bootloader)")
    ram = AddressRange(rules.ram_base, rules.ram_base + rules.ram_size)
    for place in places:
        part = plan.software.parts[place]
        for segment in part.segments:
            if segment.address < ram.start or segment.end > ram.end:
                found = AddressRange(segment.address, segment.end)
                raise ImageMismatch(plan.ecu, f"{part.name}: RAM", found, ram)
        option_record(plan, rules.option, Piece(place))


def _check_erase(plan: Plan, place: int) -> None:
    part = plan.software.parts[place]
    if plan.recipe.erase.by == "file" and not part.erase:
        raise ImageMismatch(plan.ecu, f"{part.name}: erase list", "none", 'needs one (erase.by = "file")')
    list(erase_part(plan, place))


def _judged(plan: Plan, place: int, part: Part) -> Iterator[tuple[CheckRule, Piece]]:
    """Yield each rule with each piece that it is going to be asked for."""
    for rule in plan.recipe.check.listed:
        if rule.after is After.ALL or not concerns(plan, rule, Piece(place)):
            continue
        for n in range(len(part.segments) if rule.after is After.SEGMENT else 1):
            yield rule, Piece(place, n)


def _check_rule(plan: Plan, rule: CheckRule, piece: Piece) -> None:
    if rule.by == "routine":
        option_record(plan, rule.option, piece)
    if rule.by == "read_back" and plan.segment(piece).plain is None:
        name = f"{plan.part(piece).name}: read back"
        raise ImageMismatch(
            plan.ecu, name, "packed bytes that only it can unpack", "needs plain ones (check by read_back)"
        )
