"""Wrong usage in our form of message: click's own errors, translated; and a next step for messages that name none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import click
from click.exceptions import NoArgsIsHelpError, NoSuchCommand

from bench.core.errors import InputError

LIKENESS = 0.7
"""How alike two words must be (difflib's ratio, dashes left out) to take one for a slip of the other."""


def explained(error: click.ClickException, arguments: Sequence[str]) -> InputError:
    """Return click's error as our message; `arguments` are those of the command line."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    step = f"{context.command_path if context else 'otabench'} --help"
    if isinstance(error, click.MissingParameter):
        return _missing(error, context, step)
    if isinstance(error, click.BadParameter) and error.param is not None:
        return _wrong(error, error.param, context, arguments, step)
    if isinstance(error, click.NoSuchOption):
        return InputError(
            "no such option",
            found=error.option_name,
            allowed=_options(context),
            hint=_closest(error.option_name, error.possibilities, step),
        )
    if isinstance(error, NoSuchCommand):
        return InputError(
            "no such command",
            found=error.command_name,
            allowed=", ".join(_names(context)) or None,
            hint=_closest(error.command_name, _names(context), step),
        )
    plain, given = _plain(error.format_message()), _given(arguments)
    if isinstance(error, click.BadOptionUsage):
        return InputError(plain, key=error.option_name, found=given, allowed=f"{error.option_name} VALUE", hint=step)
    return InputError(plain, found=given, allowed=_usage(context), hint=step)


def shows_help(error: click.ClickException) -> bool:
    """Whether the error is a command without arguments, which click answers with its help."""
    return isinstance(error, NoArgsIsHelpError)


def with_next_step(error: InputError) -> str:
    """Return the message; one that names no next step gets the plain one: correct what it names."""
    if error.hint is not None:
        return str(error)
    return f"{error}\n  next    {_plain_step(error)}"


def _plain_step(error: InputError) -> str:
    if error.key is not None and error.file is not None:
        return f"correct {error.key} in {error.file}"
    if error.key is not None:
        return f"correct {error.key}, then run it again"
    return f"correct {error.file}, or name another file" if error.file else "correct it, then run it again"


def _missing(error: click.MissingParameter, context: click.Context | None, step: str) -> InputError:
    if error.param is None:
        return InputError(_plain(error.format_message()), allowed=_usage(context), hint=step)
    kind = "argument" if isinstance(error.param, click.Argument) else "option"
    name = _name(error.param)
    values = _values(error.param)
    allowed = f"{name} {values}" if values and kind == "option" else _usage(context)
    return InputError(f"{kind} {name} is missing", key=name, found="nothing", allowed=allowed, hint=step)


def _wrong(
    error: click.BadParameter,
    param: click.Parameter,
    context: click.Context | None,
    arguments: Sequence[str],
    step: str,
) -> InputError:
    name = _name(param)
    return InputError(
        f"{name} has a wrong value",
        key=name,
        found=_value(param, arguments) or _plain(error.message),
        allowed=_values(param) or _usage(context),
        hint=f"give {name} an allowed value; {step}",
    )


def _name(param: click.Parameter) -> str:
    if isinstance(param, click.Argument):
        return param.make_metavar(click.Context(click.Command("otabench")))
    return max(param.opts, key=len)


def _values(param: click.Parameter) -> str | None:
    kind = param.type
    if isinstance(kind, click.Choice):
        return ", ".join(map(str, kind.choices))
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        noun = "a whole number" if isinstance(kind, click.IntRange) else "a number"
        bounds = [f"from {kind.min}"] if kind.min is not None else []
        bounds += [f"{'to' if bounds else 'up to'} {kind.max}"] if kind.max is not None else []
        return " ".join([noun, *bounds])
    if isinstance(kind, type(click.INT)):
        return "a whole number"
    return "a number" if isinstance(kind, type(click.FLOAT)) else None


def _value(param: click.Parameter, arguments: Sequence[str]) -> str | None:
    """Return what was given to an option; of several the last one counts, as for click."""
    given = None
    for number, word in enumerate(arguments):
        option, equals, value = word.partition("=")
        if option in param.opts:
            given = value if equals else next(iter(arguments[number + 1 :]), None)
    return given


def _options(context: click.Context | None) -> str | None:
    if context is None:
        return None
    params = context.command.get_params(context)
    return ", ".join(max(param.opts, key=len) for param in params if isinstance(param, click.Option)) or None


def _names(context: click.Context | None) -> list[str]:
    """Return the names of a group's commands."""
    if context is None or not isinstance(context.command, click.Group):
        return []
    return context.command.list_commands(context)


def _closest(given: str, possibilities: Sequence[str] | None, step: str) -> str:
    """Return the next step; it proposes another word only where that one is much like what was typed."""
    near = {name.lstrip("-"): name for name in possibilities or ()}
    names = difflib.get_close_matches(given.lstrip("-"), near, n=1, cutoff=LIKENESS)
    return f"write {near[names[0]]} in its place; {step}" if names else step


def _usage(context: click.Context | None) -> str | None:
    return None if context is None else " ".join(context.get_usage().removeprefix("Usage: ").split())


def _given(arguments: Sequence[str]) -> str:
    return f"otabench {' '.join(arguments)}"


def _plain(text: str) -> str:
    """Return click's sentence as ours begin and end: without capital and full stop."""
    one_line = re.sub(r"\s+", " ", text).strip().removesuffix(".")
    return one_line[:1].lower() + one_line[1:]
