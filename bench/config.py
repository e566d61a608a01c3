"""TOML files checked with pydantic: one loader, one form of error (file, key, found, allowed, next)."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.core.errors import InputError

Model = TypeVar("Model", bound="FileModel")
MAX_FILE_BYTES = 1_000_000


class FileModel(BaseModel):
    """Base of every model read from a file: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def data_root() -> Path:
    """Return the folder of benches, vehicles, ecus, recipes, scenarios: in a clone `fixtures/`, else in the wheel."""
    packaged = Path(__file__).parent / "_data"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "fixtures"


def read_bytes(path: Path, *, limit_bytes: int, what: str) -> bytes:
    """Read a user's file; `InputError` when it is missing, unreadable or larger than `limit_bytes`."""
    try:
        size_bytes = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{what} is not a file", file=str(path))
        if size_bytes > limit_bytes:
            raise InputError(
                f"{what} is too large",
                file=str(path),
                found=f"{size_bytes} bytes",
                allowed=f"up to {limit_bytes} bytes",
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{what} does not exist", file=str(path), hint=_neighbours(path)) from None
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror}", file=str(path)) from None


def load_toml(path: Path, model: type[Model], what: str) -> Model:
    """Read `path` as TOML into `model`; every mistake becomes one `InputError`. Types are strict: "5" is no number."""
    raw = read_bytes(path, limit_bytes=MAX_FILE_BYTES, what=what)
    try:
        values = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{what} is not valid TOML: {error}", file=str(path)) from None
    try:
        return model.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        raise _explained(error, model, path, what) from None


def _neighbours(path: Path) -> str | None:
    if not path.parent.is_dir():
        return f"folder {path.parent} does not exist either"
    names = sorted(p.name for p in path.parent.iterdir() if p.suffix == path.suffix)[:12]
    return f"that folder has: {', '.join(names)}" if names else None


def _explained(error: ValidationError, model: type[FileModel], path: Path, what: str) -> InputError:
    found = error.errors(include_url=False)
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    key = ".".join(str(part) for part in first["loc"]) or "(top level)"
    more = error.error_count() - 1
    if first["type"] == "extra_forbidden":
        return InputError(
            f"{what} has an unknown key",
            file=str(path),
            key=key,
            found=first["input"],
            allowed=_keys_at(model, first["loc"]),
        )
    if first["type"] == "missing":
        return InputError(f"{what} lacks a key", file=str(path), key=key, allowed=first["msg"])
    hint = f"{more} more mistake(s) in this file" if more else None
    return InputError(
        f"{what} has a wrong value",
        file=str(path),
        key=key,
        found=repr(first["input"]),
        allowed=first["msg"],
        hint=hint,
    )


def _keys_at(model: type[FileModel], loc: tuple[int | str, ...]) -> str | None:
    """Return the keys allowed where an unknown one stood, found by walking the model's JSON schema."""
    schema = model.model_json_schema()
    here = schema
    for part in loc[:-1]:
        here = here.get("items", here) if isinstance(part, int) else here.get("properties", {}).get(part, {})
        reference = here.get("$ref") or next((o["$ref"] for o in here.get("anyOf", ()) if "$ref" in o), None)
        if reference:
            here = schema["$defs"][reference.rsplit("/", 1)[-1]]
    return ", ".join(here.get("properties", {})) or None
