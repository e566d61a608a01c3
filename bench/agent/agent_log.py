"""The agent log: what must survive a power loss, as values in crash-safe files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bench.agent.states import Event, State, next_state
from bench.core.canonical import canonical_json
from bench.core.node import Incarnation
from bench.core.points import Points
from bench.flasher.state import DurableState, Stage
from bench.ports.storage import Storage

ACCOUNT_FILE, ORDER_FILE, INSTALLED_FILE = "account.json", "order.json", "installed.json"


@dataclass(frozen=True, slots=True)
class Account:
    """What registration gave: where the server is and the session token; `final` after BootstrapComplete."""

    srv_uri: str
    token: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class EcuResult:
    """How the order went for one ECU: a SCOMO result code, the version it runs, a sentence for people."""

    result_code: int
    version: str
    text: str
    release_counter: int = 0
    """That of the image that was verified and installed; 0 where none was."""


WHOLE_PACKAGE = ""
"""In the place of an ECU: the result is that of every component that has none of its own."""


@dataclass(frozen=True, slots=True)
class OrderState:
    """How far the current order is."""

    state: State = State.IDLE
    package_id: str = ""
    package_url: str = ""
    correlator: str = ""
    """What the server calls this order; echoed with its results if it came (empty: it did not)."""
    confirmed: tuple[str, ...] = ()
    results: Mapping[str, EcuResult] = field(default_factory=dict)
    jobs: Mapping[str, DurableState] = field(default_factory=dict)
    """Where flashing stands at an ECU that has no result yet."""


class AgentLog:
    """Reads the files at boot, writes each change before it takes effect."""

    def __init__(self, storage: Storage, life: Incarnation, points: Points) -> None:
        self._storage, self._life, self._points = storage, life, points
        self.account: Account | None = None
        self.order = OrderState()
        self.installed: dict[str, int] = {}

    async def load(self) -> None:
        """Read what the last life left."""
        if raw := await self._storage.read(ACCOUNT_FILE):
            self.account = Account(**json.loads(raw))
        if raw := await self._storage.read(ORDER_FILE):
            self.order = _order(json.loads(raw))
        if raw := await self._storage.read(INSTALLED_FILE):
            self.installed = json.loads(raw)
        self._points.set_phase(self._life.part, self.order.state)

    async def keep_account(self, account: Account | None) -> None:
        """Store or forget the registration."""
        if account is None:
            await self._storage.delete(ACCOUNT_FILE)
        else:
            await self._storage.replace(ACCOUNT_FILE, canonical_json(asdict(account)))
        self.account = account

    async def keep(self, order: OrderState) -> None:
        """Store progress within a state."""
        await self._storage.replace(ORDER_FILE, canonical_json(asdict(order)))
        self.order = order

    async def move(self, event: Event, order: OrderState | None = None) -> None:
        """Go to the next state, stored before it takes effect: a numbered fault point of the agent."""
        order = order or self.order
        # Stored first, then believed: the other way round an agent would act on a state that a power loss takes back.
        with self._life.effect("transition"):
            await self.keep(replace(order, state=next_state(self.order.state, event)))
        self._points.set_phase(self._life.part, self.order.state)

    async def keep_installed(self, ecu: str, release_counter: int) -> None:
        """Remember the release counter that an ECU confirmed; like the ECU's own floor it never falls."""
        self.installed[ecu] = max(release_counter, self.installed.get(ecu, 0))
        await self._storage.replace(INSTALLED_FILE, canonical_json(self.installed))


def _order(raw: dict[str, object]) -> OrderState:
    results = raw["results"]
    assert isinstance(results, dict)
    confirmed = raw["confirmed"]
    assert isinstance(confirmed, list)
    return OrderState(
        state=State(str(raw["state"])),
        package_id=str(raw["package_id"]),
        package_url=str(raw["package_url"]),
        correlator=str(raw.get("correlator", "")),  # absent in a log that an older agent wrote
        confirmed=tuple(confirmed),
        results={ecu: EcuResult(**result) for ecu, result in results.items()},
        jobs=_jobs(raw.get("jobs", {})),  # absent likewise
    )


def _jobs(raw: object) -> dict[str, DurableState]:
    assert isinstance(raw, dict)
    return {ecu: _job(**stored) for ecu, stored in raw.items()}


def _job(*, stage: int, dtcs_before: list[int] | None, **rest: Any) -> DurableState:
    dtcs = None if dtcs_before is None else tuple(dtcs_before)
    return DurableState(stage=Stage(stage), dtcs_before=dtcs, **rest)
