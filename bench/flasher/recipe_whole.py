"""Whether the tables of a recipe for software in parts have what they need of each other."""

from __future__ import annotations

from typing import Protocol

from bench.flasher.recipe_checks import After, Bootloader, Identify, Item
from bench.flasher.recipe_parts import Check, Erase, Memory, Routines
from bench.flasher.recipe_steps import Step


class Tables(Protocol):
    """What is looked at of a recipe."""

    steps: tuple[Step, ...]
    routines: Routines
    memory: Memory
    erase: Erase
    check: Check
    bootloader: Bootloader | None
    identify: Identify | None


def parts_problem(recipe: Tables) -> str | None:
    """Return what is missing or has no use, or None."""
    if Step.PROGRAM_PARTS not in recipe.steps:
        return _alien(recipe)
    return _erase_problem(recipe) or _bootloader_problem(recipe) or _check_problem(recipe)


def _alien(recipe: Tables) -> str | None:
    """Return a table that only software in parts has a use for."""
    if recipe.memory.header_address is None:
        return f"step {Step.DOWNLOAD_HEADER} needs memory.header_address"
    if recipe.check.rules:
        return f"check.rules goes with step {Step.PROGRAM_PARTS}"
    if recipe.bootloader is not None:
        return f"[bootloader] has no use without step {Step.LOAD_BOOTLOADER}"
    if recipe.identify is not None and not recipe.identify.tells_version:
        return 'identify.version = "none" goes with step program_parts: a signed image has a version'
    return None if recipe.erase.by == "range" else f'erase.by = "{recipe.erase.by}" goes with {Step.PROGRAM_PARTS}'


def _erase_problem(recipe: Tables) -> str | None:
    if recipe.erase.by == "none":
        return None if recipe.routines.erase is None else 'routines.erase has no use with erase.by = "none"'
    if recipe.routines.erase is None:
        return f'erase.by = "{recipe.erase.by}" needs routines.erase'
    if recipe.erase.by == "index" and recipe.erase.option not in (None, (Item.INDEX,)):
        return 'erase.by = "index" sends the index alone: leave erase.option out'
    return None


def _bootloader_problem(recipe: Tables) -> str | None:
    has_step = Step.LOAD_BOOTLOADER in recipe.steps
    if has_step == (recipe.bootloader is not None):
        return None
    return f"step {Step.LOAD_BOOTLOADER} and the table [bootloader] need each other"


def _check_problem(recipe: Tables) -> str | None:
    check = recipe.check
    last = any(rule.after is After.ALL for rule in check.listed)
    if last != (Step.CHECK_SOFTWARE in recipe.steps):
        return f'step {Step.CHECK_SOFTWARE} and a rule of [check] after = "all" need each other'
    # An ECU that acknowledges blocks and does not store them has been seen: nobody checks by leaving something out.
    if not check.nothing and not any(rule.kind != "bootloader" for rule in check.listed):
        return 'nothing checks what was sent: add check.rules, or write check.rules = "none" if the ECU cannot tell'
    return None
