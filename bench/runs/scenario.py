"""The scenario file: a story with order, faults and expectation; never equipment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from bench.config import FileModel, load_toml
from bench.core.errors import InputError
from bench.core.points import FaultPoint
from bench.faults.car_change import CarChange
from bench.faults.catalogue import check_fault
from bench.oracle.result import Invariant, Verdict

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


DRIVE_AFTER_VIRTUAL_S, DRIVE_AFTER_REAL_S = 60.0, 5.0
"""How long the vehicle is driven after an update unless the scenario says so: idle traffic costs wall time only where
time is real."""


class OrderedImage(FileModel):
    """One ECU's new software; its payload is random by seed unless `--image` brings real firmware."""

    ecu: Name
    version: str = Field(pattern=r"^[ -~]{1,32}$")
    release_counter: int = Field(ge=0, lt=2**32)
    size_bytes: int = Field(ge=1, le=64 * 1024 * 1024)
    behaviour: Literal["normal", "crash", "hang"] = Field(
        default="normal", description="what the image does once it runs, although it is rightly signed"
    )
    behaviour_after_ms: int = Field(default=0, ge=0, le=0xFFFF_FFFF)


class Order(FileModel):
    """What the server is told to install."""

    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    images: tuple[OrderedImage, ...] = Field(min_length=1)

    @field_validator("images")
    @classmethod
    def _one_image_per_ecu(cls, images: tuple[OrderedImage, ...]) -> tuple[OrderedImage, ...]:
        ecus = [image.ecu for image in images]
        if len(set(ecus)) != len(ecus):
            raise ValueError(f"each ECU at most once, found {', '.join(ecus)}")
        return images


class ScenarioFault(FileModel):
    """A fault: its point (`docs/contracts.md`) and its parameters (by class)."""

    point: str
    parameters: dict[str, str | int | float | bool] = Field(default_factory=dict)


class DriveStep(CarChange):
    """One change of the car in the run's time: a key of `bench.core.car` and its new value."""

    at_s: float = Field(ge=0, le=10_000_000, description="from the run's beginning")


class DriveAfter(FileModel):
    """A drive after the update, with ignition on: the vehicle's own traffic until the ECUs are read for good."""

    duration_s: float | None = Field(
        default=None, ge=0, le=100_000, description="default: 60 in virtual time, 5 in real time"
    )
    steps: tuple[DriveStep, ...] = Field(default=(), description="what the car does; at_s from the drive's beginning")

    def lasts_s(self, *, virtual: bool) -> float:
        """Return how long it lasts in a clock's own seconds."""
        default_s = DRIVE_AFTER_VIRTUAL_S if virtual else DRIVE_AFTER_REAL_S
        return default_s if self.duration_s is None else self.duration_s

    @model_validator(mode="after")
    def _steps_lie_in_it(self) -> DriveAfter:
        latest_s = max((step.at_s for step in self.steps), default=0)
        if self.duration_s is not None and latest_s > self.duration_s:
            raise ValueError(f"duration_s at least {latest_s:g}: the last step is then")
        return self


class Expectation(FileModel):
    """How the run shall end: `outcome` of the last order, and the verdict (with the invariant that must fail)."""

    outcome: Literal["updated", "refused"] = "updated"
    verdict: Verdict = Verdict.PASS
    invariant: Invariant | None = None

    @model_validator(mode="after")
    def _failing_invariant_is_named(self) -> Expectation:
        if (self.verdict is Verdict.FAIL) != (self.invariant is not None):
            raise ValueError("invariant names what must fail, exactly when verdict = 'fail'")
        return self


class Scenario(FileModel):
    """A whole scenario file. Times in seconds of the run's own clock."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    title: str = Field(min_length=1, max_length=200)
    description: str = ""
    demands: tuple[Invariant, ...] = tuple(Invariant)
    live_within_s: float | None = Field(default=None, gt=0, le=10_000_000)
    ends_within_s: float = Field(default=3600, gt=0, le=10_000_000)
    order: Order
    then: tuple[Order, ...] = Field(
        default=(), max_length=8, description="orders that are placed behind the first one, and wait for its end"
    )
    faults: tuple[ScenarioFault, ...] = ()
    drive: tuple[DriveStep, ...] = Field(default=(), description="what the car does meanwhile, in the golden run too")
    drive_after: DriveAfter = DriveAfter()
    defect: str | None = None
    expect: Expectation = Expectation()

    @property
    def orders(self) -> tuple[Order, ...]:
        """Every order of the story, in the sequence in which they are placed."""
        return (self.order, *self.then)

    @field_validator("then")
    @classmethod
    def _packages_differ(cls, then: tuple[Order, ...], info: ValidationInfo) -> tuple[Order, ...]:
        first = info.data.get("order")
        packages = [order.package for order in (*([first] if isinstance(first, Order) else []), *then)]
        if len(set(packages)) != len(packages):
            raise ValueError(f"a package of its own for each order, found {', '.join(packages)}")
        return then

    @field_validator("demands")
    @classmethod
    def _bootable_is_demanded(cls, demands: tuple[Invariant, ...]) -> tuple[Invariant, ...]:
        if Invariant.BOOTABLE not in demands:
            raise ValueError("demands must include bootable: it is always observed")
        return demands


def load_scenario(path: Path) -> Scenario:
    """Read and check a scenario, its fault points and parameters too."""
    scenario = load_toml(path, Scenario, "scenario")
    for fault in scenario.faults:
        try:
            point = FaultPoint.parse(fault.point)
        except InputError as error:
            raise InputError(
                error.problem,
                file=str(path),
                key="faults.point",
                found=f'"{fault.point}"',
                allowed=error.allowed,
                hint="correct the point; docs/guides/fault-points.md has examples",
            ) from None
        check_fault(point, fault.parameters, file=str(path))
    return scenario
