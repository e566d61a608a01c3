"""A bench for the flasher: virtual time, an ECU that can misbehave (`fake_ecu.py`), a recipe and an image.

Test modules get everything from the fixtures `bench` and `benches`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.core.clock import Clock
from bench.core.loop import VirtualLoop
from bench.core.world import World
from bench.flasher.client import UdsClient
from bench.flasher.recipe import Recipe
from bench.flasher.sequence import flash_ecu
from bench.flasher.services import Call
from bench.flasher.signed_image import FlashJob
from bench.flasher.state import FRESH, JobState
from bench.flasher.values import FlashReport, Progress, Tally
from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.wire.image_header import ImageHeader
from tests.recipes import recipe_named


def _load_fake_ecu() -> None:
    """Load the module beside this file under its full name: test folders are no packages."""
    name = "tests.flasher.fake_ecu"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("fake_ecu.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


_load_fake_ecu()
from tests.flasher.fake_ecu import REGION_BYTES, Acts, Bank, FakeEcu, FakeFunctional, FakeLink  # noqa: E402

T = TypeVar("T")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@cache
def _signed(version: str, length: int, **values: Any) -> SignedImage:
    given: dict[str, Any] = {"version": version, "load_address": 0, "key": KEY}
    return sign_image(demo_payload(1, "body", version, length), **(given | values))


class Bench:
    """A loop, an ECU with version 1.0.0 installed, a recipe, and an image of version 1.1.0 for it."""

    acts = Acts

    def __init__(self, *, dual: bool = False, max_block: int = 4095) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed=1)
        self.recipe = recipe_named("dual_bank" if dual else "single_bank")
        self.secret_name = "gateway" if dual else "body_controller"
        self.ecu = FakeEcu(self.loop, self.secret_name, dual=dual, max_block=max_block)
        self.link = FakeLink(self.ecu, self.loop)
        self.functional = FakeFunctional(self.ecu, self.loop)
        self.tally = Tally("body", self.loop)
        self.progress: list[Progress] = []
        self.phases: list[str] = []
        old = self.image("1.0.0", length=5000)
        self.ecu.banks[0] = Bank({0: old.data}, REGION_BYTES, old.header.encode(), mark=True)
        self.ecu.start_life(programming=False)
        self.new = self.image("1.1.0")

    def image(self, version: str, *, length: int = 10_000, **changed: Any) -> SignedImage:
        """Return a signed image for the fake ECU."""
        ids: dict[str, Any] = {"hardware_id": "BCM-HW-03", "software_id": "BCM-APP", "release_counter": 2}
        return _signed(version, length, **(ids | changed))

    def job(self, image: SignedImage | None = None, **changed: Any) -> FlashJob:
        """Return the job of an image (the new one)."""
        chosen = image or self.new
        header = chosen.header
        job = FlashJob(
            ecu="body",
            image=chosen.data,
            header=header.encode(),
            version=header.version,
            software_id=header.software_id,
        )
        return replace(job, **changed)

    def limits(self, *, retries: dict[str, Any] | None = None, timing: dict[str, Any] | None = None) -> None:
        """Change limits of the recipe."""
        values = self.recipe.model_dump(mode="json")
        values["retries"] |= retries or {}
        values["timing"] |= timing or {}
        self.recipe = Recipe.model_validate(values)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end; nothing that the flasher started may be alive then."""
        result = self.loop.run(main)
        self.assert_no_orphans()
        return result

    def assert_no_orphans(self) -> None:
        alive = [task.get_name() for task in self.loop._living if not task.done()]
        assert alive == []

    def flash(self, job: FlashJob | None = None, state: JobState = FRESH) -> FlashReport:
        """Flash the new image; returns the report."""
        return self.run(self.flashing(job, state=state))

    async def flashing(
        self, job: FlashJob | None = None, clock: Clock | None = None, state: JobState = FRESH
    ) -> FlashReport:
        return await flash_ecu(
            job or self.job(),
            self.link,
            self.functional,
            self.recipe,
            clock or self.loop,
            self.world.points,
            self._note,
            state=state,
        )

    def _note(self, progress: Progress) -> None:
        self.progress.append(progress)
        phase = self.world.points.phase("body")
        if not self.phases or self.phases[-1] != phase:
            self.phases.append(phase)

    def client(self) -> UdsClient:
        """Return a client of the ECU with a tally of its own."""
        self.tally = Tally("body", self.loop)
        return UdsClient(self.link, self.recipe, self.loop, self.tally)

    def call(self, call: Call[T], client: UdsClient | None = None) -> T:
        """Make one request."""
        return self.run((client or self.client()).call(call))

    def services(self) -> list[str]:
        """Return service ids (with sub-function or routine) of the physical requests, without repetitions in a row."""
        named = [_named(request) for request in self.ecu.received]
        return [name for n, name in enumerate(named) if n == 0 or name != named[n - 1]]

    def assert_runs(self, version: str) -> None:
        """The ECU runs that version with communication and DTC setting on, in the default session."""
        assert self.ecu.in_application
        assert ImageHeader.decode(self.ecu.banks[self.ecu.active].header).version == version
        assert (self.ecu.communication, self.ecu.dtc_setting, self.ecu.session) == (True, True, 1)


def _named(request: bytes) -> str:
    lengths = {0x10: 2, 0x11: 2, 0x19: 2, 0x22: 3, 0x27: 2, 0x2E: 3, 0x31: 4}
    return request[: lengths.get(request[0], 1)].hex()


Benches = Callable[..., Bench]


@pytest.fixture
def benches() -> Iterator[Benches]:
    """Make benches; their loops are discarded at the end."""
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for bench in made:
        bench.loop.discard()


@pytest.fixture
def bench(benches: Benches) -> Bench:
    """A single-bank ECU."""
    return benches()
