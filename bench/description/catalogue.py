"""Where the names in a file are looked up: the folders beside it, then the built-in ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.config import data_root
from bench.core.errors import InputError

NAMED_BY = {
    "vehicles": "vehicle", "recipes": "ecus.recipe", "ecus": "ecus.personality", "supply": "faults.parameters.profile",
}  # fmt: skip
"""Folder: key that names a file of it."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Folders `benches/ vehicles/ ecus/ recipes/ scenarios/ supply/` that names are looked up in, first match wins."""

    roots: tuple[Path, ...]

    @classmethod
    def around(cls, file: Path) -> Catalogue:
        """Return the folders around a user's file, then the built-in ones."""
        around = file.resolve().parent.parent
        return cls(tuple(dict.fromkeys((around, data_root().resolve()))))

    def path(self, kind: str, name: str, *, named_by: Path) -> Path:
        """Return where `<kind>/<name>.toml` lies; `InputError` lists what there is."""
        for root in self.roots:
            path = root / kind / f"{name}.toml"
            if path.is_file():
                return path
        have = sorted({path.stem for root in self.roots for path in (root / kind).glob("*.toml")})
        raise InputError(
            f"there is no {name}.toml in {kind}/",
            file=str(named_by),
            key=NAMED_BY.get(kind, kind),
            found=f'"{name}"',
            allowed=", ".join(have) or "nothing",
            hint=f"name one of these, or put {name}.toml into {self.roots[0] / kind}",
        )
