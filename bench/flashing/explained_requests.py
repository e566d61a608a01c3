"""The requests of a recipe in words: which bytes each step sends, before there is any software to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.flasher.known import identifiers
from bench.flasher.recipe import Recipe, ResetMeans, Step
from bench.flasher.recipe_checks import After, Answer, CheckRule, Item
from bench.flasher.steps.functional import OFF, ON
from bench.flasher.steps.parts import ADDRESS_AND_SIZE
from bench.wire.uds import ResetType

PLACE = ("address", "size")
_WIDTHS = {
    Item.INDEX: "1", Item.START_ADDRESS: "4", Item.CRC32: "4", Item.CRC16: "2", Item.SHA256: "32",
    Item.SIGNATURE: "as in the file", Item.SIGNATURE_DEV: "as in the file",
}  # fmt: skip
_RESETS = {
    ResetMeans.HARD_RESET: ResetType.HARD, ResetMeans.KEY_OFF_ON_RESET: ResetType.KEY_OFF_ON,
    ResetMeans.SOFT_RESET: ResetType.SOFT,
}  # fmt: skip


class Said(NamedTuple):
    """What a step does in words, and its requests: hexadecimal bytes, and `name(width in bytes)`."""

    does: str
    requests: tuple[str, ...]


def said(step: Step, recipe: Recipe) -> Said:
    """Return what a step does."""
    if step in OFF:
        return Said(f"{_FUNCTIONAL[step]}; to every ECU of the bus, no answer is wanted", (_hex(OFF[step](recipe)),))
    if step in ON:
        return Said(f"{_FUNCTIONAL[step]}; to every ECU of the bus, no answer is wanted", (_hex(ON[step](recipe)),))
    return _SAID[step](recipe)


def judged(answer: Answer) -> str:
    """Return what the record of a routine must be."""
    if answer.record is not None:
        return f"the record must be {_hex(bytes.fromhex(answer.record)) or 'empty'}"
    return f"byte {answer.at} of the record must be 0x{answer.ok:02X}"


def rule_text(rule: CheckRule, recipe: Recipe) -> str:
    """Return what a check is, in words."""
    when = {After.SEGMENT: "after each segment", After.PART: "after each part", After.ALL: "after the last part"}
    whose = "" if rule.kind == "any" else f" of {rule.kind}"
    return f"{when[rule.after]}{whose}: {_how(rule, recipe)}"


def _how(rule: CheckRule, recipe: Recipe) -> str:
    match rule.by:
        case "routine":
            return f"{_routine(rule.routine, _items(rule.option, recipe))}; {judged(rule.answer)}"
        case "transfer_exit" if rule.algorithm == "accepted":
            return "37 answered positively is the check: the ECU looks itself, nothing is compared here"
        case "transfer_exit":
            return f"the answer to 37 must begin with the {rule.algorithm} of what was sent"
        case "read_back":
            return f"memory is read by {rule.service:02X}, and compared byte for byte with what was sent"
    return f"by the installed strategy check.{rule.by}"


def rules_after(recipe: Recipe, after: After, kind: str) -> Iterator[CheckRule]:
    """Yield the rules that have their turn after a segment, a part or all, for parts of a kind."""
    return (rule for rule in recipe.check.listed if rule.after is after and rule.kind in ("any", kind))


# Bytes --------------------------------------------------------------------------------------------------


def _hex(data: bytes) -> str:
    return data.hex(" ").upper()


def _routine(routine_id: int | None, option: str = "") -> str:
    return f"31 01 {_hex((routine_id or 0).to_bytes(2, 'big'))} {option}".strip()


def _read(did: int) -> str:
    return f"22 {_hex(did.to_bytes(2, 'big'))}"


def _items(items: Sequence[Item], recipe: Recipe) -> str:
    return " ".join(_item(each, recipe) for each in items)


def _item(item: Item, recipe: Recipe) -> str:
    transfer = recipe.transfer
    match item:
        case Item.FORMAT:
            return f"{transfer.address_and_length_format:02X}"
        case Item.ADDRESS:
            return f"address({transfer.address_bytes})"
        case Item.SIZE:
            return f"size({transfer.size_bytes})"
    return f"{item}({_WIDTHS[item]})"


def _download(recipe: Recipe) -> tuple[str, ...]:
    limit = recipe.memory.block_limit_bytes
    return (
        f"34 dataFormatIdentifier(1) {_items(ADDRESS_AND_SIZE, recipe)}",
        f"36 counter(1) data(units of {recipe.memory.program_unit_bytes}; up to {limit} bytes or what the ECU allows)",
        "37",
    )


def _erase(recipe: Recipe) -> str:
    erase, routine = recipe.erase, recipe.routines.erase
    option = _items(erase.option or ADDRESS_AND_SIZE, recipe)
    if erase.by == "index":
        option = _items((Item.INDEX,), recipe)
    ranges = {
        "image": "once for each range that is filled", "region": "once over the whole region",
        "sectors": f"for each sector of {erase.sector_bytes} bytes that is touched",
    }  # fmt: skip
    how = {"range": ranges[erase.granularity], "file": "for each range that the file lists", "index": "once a part"}
    return f"{_routine(routine, option)}, {how.get(erase.by, f'as the strategy erase.{erase.by} says')}"


# Steps --------------------------------------------------------------------------------------------------

_FUNCTIONAL = {
    Step.EXTENDED_SESSION: "extended session", Step.DTC_OFF: "no DTCs are stored from now on",
    Step.COMMUNICATION_OFF: "normal messages are silenced", Step.COMMUNICATION_ON: "normal messages are sent again",
    Step.DTC_ON: "DTCs are stored again", Step.DEFAULT_SESSION: "default session",
}  # fmt: skip


def _programming(recipe: Recipe) -> Said:
    sub_function = f"10 {recipe.sessions.programming:02X}"
    return Said(
        "programming session; then it waits until the ECU says that it is in it",
        (sub_function, _read(recipe.dids.active_session)),
    )


def _security(recipe: Recipe) -> Said:
    level = recipe.security.level if recipe.security else 0
    maker = recipe.security.algorithm if recipe.security else ""
    return Said(f"unlocks; the key is made by {maker}", (f"27 {level:02X}", f"27 {level + 1:02X} key"))


def _authentication(recipe: Recipe) -> Said:
    mode = recipe.authentication.mode if recipe.authentication else ""
    return Said(
        f"authenticates by certificate, {mode}", ("29 08", f"29 {2 if mode == 'bidirectional' else 1:02X}", "29 03")
    )


def _parts(recipe: Recipe) -> Said:
    erases = () if recipe.erase.by == "none" else (_erase(recipe),)
    checks = tuple(
        f"then {rule_text(rule, recipe)}"
        for after in (After.SEGMENT, After.PART) for rule in rules_after(recipe, after, "software")
    )  # fmt: skip
    return Said("each part by itself: erased, sent segment by segment as its file packed it, checked",
                (*erases, *_download(recipe), *checks))  # fmt: skip


def _load(recipe: Recipe) -> Said:
    checks = tuple(
        f"then {rule_text(rule, recipe)}"
        for after in (After.SEGMENT, After.PART) for rule in rules_after(recipe, after, "bootloader")
    )  # fmt: skip
    return Said("the secondary bootloader goes into RAM; nothing is erased", (*_download(recipe), *checks))


def _start(recipe: Recipe) -> Said:
    rules = recipe.bootloader
    if rules is None:
        return Said("", ())
    return Said(
        f"starts the secondary bootloader; {judged(rules.answer)}",
        (_routine(rules.routine, _items(rules.option, recipe)),),
    )


def _last(recipe: Recipe) -> Said:
    rules = [rule for rule in recipe.check.listed if rule.after is After.ALL]
    return Said("the checks of everything together", tuple(_how(rule, recipe) for rule in rules))


def _reset(recipe: Recipe) -> Said:
    means = recipe.reset.means
    words = {ResetMeans.DEFAULT_SESSION: f"10 {recipe.sessions.default:02X}"}
    requests = [f"11 {_RESETS[each]:02X}" if each in _RESETS else words.get(each, str(each)) for each in means]
    return Said("starts the new software, each when the one before was refused or not obeyed", tuple(requests))


def _version(recipe: Recipe) -> Said:
    of_application = [each for each in identifiers(recipe) if each.of_application]
    if not of_application:
        return Said("waits until the ECU answers again; no identifier says what runs, so the job ends as stored", ())
    return Said(
        "waits until the ECU says that it runs what was ordered", tuple(_read(each.did) for each in of_application)
    )


def _simple(does: str, *names: str) -> Callable[[Recipe], Said]:
    """Return a step that starts one routine."""
    return lambda recipe: Said(does, tuple(_routine(getattr(recipe.routines, name)) for name in names))


def _blocks(recipe: Recipe) -> Said:
    option = _items((*ADDRESS_AND_SIZE, Item.CRC32), recipe)
    check = recipe.routines.check_block
    checks = () if check is None else (_routine(check, option),)
    return Said("each logical block by itself: erased, sent, checked", (_erase(recipe), *_download(recipe), *checks))


_SAID: Mapping[Step, Callable[[Recipe], Said]] = {
    Step.CHECK_PRECONDITIONS: _simple("asks whether the car is in a state to be programmed", "check_preconditions"),
    Step.PROGRAMMING_SESSION: _programming,
    Step.SECURITY_ACCESS: _security,
    Step.AUTHENTICATION: _authentication,
    Step.FINGERPRINT: lambda recipe: Said(
        "writes who programs, and when", (f"2E {_hex(recipe.dids.fingerprint.to_bytes(2, 'big'))} date(3) tester(7)",)
    ),
    Step.ERASE: lambda recipe: Said("erases", (_erase(recipe),)),
    Step.DOWNLOAD_IMAGE: lambda recipe: Said("sends the image", _download(recipe)),
    Step.PROGRAM_BLOCKS: _blocks,
    Step.LOAD_BOOTLOADER: _load,
    Step.START_BOOTLOADER: _start,
    Step.PROGRAM_PARTS: _parts,
    Step.CHECK_SOFTWARE: _last,
    Step.DOWNLOAD_HEADER: lambda recipe: Said("sends the signed header", _download(recipe)),
    Step.CHECK_MEMORY: _simple("the ECU compares its memory with the signed header", "check_memory"),
    Step.CHECK_DEPENDENCIES: _simple("the ECU says whether its parts belong together", "check_dependencies"),
    Step.ACTIVATE: _simple("the new software is chosen for the next start", "activate"),
    Step.RESET: _reset,
    Step.VERIFY_VERSION: _version,
    Step.CLEAR_DTCS: lambda _recipe: Said(
        "clears the DTCs that the job brought about, no others", ("19 02 2D", "14 group(3)")
    ),
    Step.READ_BACK: lambda recipe: Said("reads more identifiers", tuple(map(_read, recipe.dids.read_back.values()))),
}
