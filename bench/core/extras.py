"""How the optional parts of otabench are installed: said once, for every message that misses one."""

from __future__ import annotations


def install_command(extra: str) -> str:
    """Return the command that installs the extra named `extra`; otabench is on no package index, so from a clone."""
    return f"pip install '.[{extra}]' (in a clone of otabench)"
