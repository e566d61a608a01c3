"""The CAN drivers that a bench file may name: the built-in ones, and those of the entry points `otabench.can`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import cast

from bench.assembly.plugs import installed
from bench.core.errors import InputError
from bench.core.extras import install_command
from bench.core.world import World
from bench.description.bench_file import PYTHON_CAN, SIM
from bench.ports.can import CanAdapterBus, ChannelSpec, OpenCanBus, SenderOf

GROUP = "otabench.can"


def driver_names() -> tuple[str, ...]:
    """Return what `driver` of a channel may be on this machine."""
    return (SIM, PYTHON_CAN, *sorted({found.name for found in installed(GROUP)} - {SIM, PYTHON_CAN}))


def open_adapter(world: World, driver: str, spec: ChannelSpec, sender_of: SenderOf) -> CanAdapterBus:
    """Open a channel that is not simulated; InputError names what is missing, EquipmentError what is broken."""
    if driver == PYTHON_CAN:
        return _python_can(world, spec, sender_of)
    for found in installed(GROUP):
        if found.name == driver:
            return cast(OpenCanBus, found.load())(world, spec, sender_of)
    raise InputError(
        f"no CAN driver {driver!r} is installed",
        key="channels.driver",
        found=driver,
        allowed=", ".join(driver_names()),
        hint=f"a package brings one by the entry point group {GROUP}",
    )


def _python_can(world: World, spec: ChannelSpec, sender_of: SenderOf) -> CanAdapterBus:
    needs_module("can", extra="can", key="channels.driver", found=PYTHON_CAN)
    from bench.link.python_can_bus import PythonCanBus

    return PythonCanBus(world, spec, sender_of)


def needs_module(module: str, *, extra: str, key: str, found: str) -> None:
    """Raise InputError with the command that helps when an optional library is not installed."""
    if find_spec(module) is None:
        raise InputError(f"the library {module!r} is not installed", key=key, found=found, hint=install_command(extra))
