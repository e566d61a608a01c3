"""`otabench ecu` as a process of its own, for foreign tools; and the tables that it says it has."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Any

START_S = 60
OTABENCH = (sys.executable, "-m", "bench")


class ServedProcess:
    """An ECU of a built-in vehicle on an adapter; `stop` insists that it ends well."""

    def __init__(self, vehicle: str, ecu: str, adapter: str) -> None:
        self.command = (*OTABENCH, "ecu", vehicle, ecu, "--can", adapter, "--json")
        self.process: subprocess.Popen[str] | None = None
        self.ids: dict[str, Any] = {}

    def __enter__(self) -> ServedProcess:
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], START_S)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.process.kill()
            raise RuntimeError(f"the ECU did not start: {self.process.communicate()[1]}")
        self.ids = json.loads(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        _, messages = self.process.communicate(timeout=START_S)
        if kind is None and self.process.returncode != 0:
            raise AssertionError(f"the ECU ended with {self.process.returncode}: {messages}")


@dataclass(frozen=True)
class Tables:
    """What one mode of an ECU has, by its own description."""

    sessions: frozenset[int]
    services: frozenset[int]
    dids: frozenset[int]
    resets: frozenset[int]
    routines: frozenset[int]


def described(vehicle: str, ecu: str) -> dict[str, Tables]:
    """Return the tables of application and bootloader."""
    done = subprocess.run(
        (*OTABENCH, "ecu", vehicle, ecu, "--describe", "--json"), capture_output=True, text=True, check=True, timeout=60
    )
    modes = json.loads(done.stdout)["described"]["modes"]
    return {mode["name"]: _tables(mode) for mode in modes}


def _tables(mode: dict[str, Any]) -> Tables:
    services = {service["sid"]: service for service in mode["services"]}
    return Tables(
        sessions=frozenset(session["value"] for session in mode["sessions"]),
        services=frozenset(services),
        dids=frozenset(did["did"] for did in mode["dids"]),
        resets=frozenset(sub["value"] for sub in services[0x11]["sub_functions"]),
        routines=frozenset(routine["routine_id"] for routine in mode["routines"]),
    )
