"""What otabench writes: the base of every model that goes to a file or to standard output, and who wrote it."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class OutputModel(BaseModel):
    """Base of what otabench writes: unknown keys are refused, values do not change, keys keep contract names."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def to_json(self) -> str:
        """Return indented JSON with the contract's key names, ended by a newline."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


class Tool(OutputModel):
    """The program that wrote this."""

    version: str
    python: str


def this_tool() -> Tool:
    """Return the versions of otabench and of the Python that runs it."""
    return Tool(version=metadata.version("otabench"), python=platform.python_version())
