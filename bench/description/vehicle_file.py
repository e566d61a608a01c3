"""The vehicle file: the ECUs of a car, where they are reached, what they run and send."""

from __future__ import annotations

from itertools import chain
from typing import Literal

from pydantic import Field, field_validator, model_validator

from bench.config import FileModel
from bench.core.specs import EcuSpec, VehicleSpec
from bench.description.addressing import (
    FunctionalEntry,
    FunctionalHabitKeys,
    HabitKeys,
    TesterHabits,
    destinations,
    merged,
    refuse_collisions,
    refuse_contradictions,
)
from bench.description.ecu_entry import EcuEntry
from bench.description.identifier_clashes import Traffic, refuse_clashing_frames
from bench.description.names import Name, refuse_repeats
from bench.description.network_files import (
    CarEntry,
    ManagementEntry,
)
from bench.wire.isotp import IsoTpAddress


class VehicleFile(FileModel):
    """A whole vehicle file."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    vin: str = Field(pattern=r"^[A-HJ-NPR-Z0-9]{17}$")
    dev_id: str = Field(pattern=r"^[A-Z]+:[A-Za-z0-9-]{1,64}$")
    manufacturer: str = Field(default="Example Cars", max_length=64)
    model: str = Field(default="Example", max_length=64)
    functional_id: int = Field(
        default=0x7DF, ge=0, le=0x7FF, description="of channels that `functional` does not name: normal, 11 bits"
    )
    functional: dict[Name, FunctionalEntry] = Field(default_factory=dict, description="functional address by channel")
    isotp: HabitKeys = Field(default=HabitKeys(), description="of the tester, towards every ECU")
    car: CarEntry = Field(default=CarEntry(), description="the car at a run's beginning")
    network: ManagementEntry | None = Field(default=None, description="network management; without it nobody sleeps")
    ecus: tuple[EcuEntry, ...] = Field(min_length=1)

    def spec(self) -> VehicleSpec:
        """Return the vehicle as its driver is asked to build it."""
        ecus = tuple(
            EcuSpec(
                id=ecu.id,
                personality=ecu.personality or "",
                channel=ecu.channel,
                hardware_id=ecu.hardware_id,
                software_id=ecu.software_id,
                reached_on=ecu.reached_on,
                flow_control=None if ecu.flow_control is None else (ecu.flow_control.bs, ecu.flow_control.st_min),
                frames=tuple(frame.spec() for frame in ecu.frames),
                partners=tuple(partner.spec() for partner in ecu.partners),
                management=None if self.network is None or ecu.nm_node is None else self.network.spec(ecu.nm_node),
                routes=tuple(route.spec() for route in ecu.routes),
                **ecu.spec_keys(),
            )
            for ecu in self.ecus
        )
        functional = {channel: destinations(entry.address())[0] for channel, entry in self.functional.items()}
        return VehicleSpec(
            vin=self.vin, functional_id=self.functional_id, ecus=ecus, functional=functional, car=self.car.state()
        )

    def functional_address(self, channel: str) -> IsoTpAddress:
        """Return where functional requests on a channel go."""
        entry = self.functional.get(channel)
        return entry.address() if entry else IsoTpAddress.normal(self.functional_id, self.functional_id)

    def functional_habits(self, channel: str) -> TesterHabits:
        """Return how functional requests on a channel are framed."""
        own = self.functional[channel].isotp if channel in self.functional else FunctionalHabitKeys()
        return merged(self.isotp, own)

    def habits(self, ecu: EcuEntry) -> TesterHabits:
        """Return the tester's habits towards an ECU."""
        return merged(self.isotp, ecu.isotp)

    @field_validator("ecus")
    @classmethod
    def _ids_differ(cls, ecus: tuple[EcuEntry, ...]) -> tuple[EcuEntry, ...]:
        refuse_repeats("ECU", (ecu.id for ecu in ecus))
        for channel in dict.fromkeys(name for ecu in ecus for name in (ecu.channel, ecu.tester_channel)):
            places = (ecu.places() for ecu in ecus if channel in (ecu.channel, ecu.tester_channel))
            refuse_collisions(channel, chain.from_iterable(places))
        return ecus

    @model_validator(mode="after")
    def _functional_addresses_are_nobodys_own(self) -> VehicleFile:
        for ecu in self.ecus:
            for channel in dict.fromkeys((ecu.channel, ecu.tester_channel)):
                functional = destinations(self.functional_address(channel))[0]
                try:
                    for place in ecu.places():
                        refuse_collisions(channel, (place, functional))
                except ValueError:
                    key = f"functional.{channel}" if channel in self.functional else "functional_id"
                    raise ValueError(f"{key} {functional.text()} is an ECU's own identifier") from None
        return self

    @model_validator(mode="after")
    def _nodes_of_the_network_differ(self) -> VehicleFile:
        nodes = [(ecu.channel, ecu.nm_node) for ecu in self.ecus if ecu.nm_node is not None]
        refuse_repeats("nm_node", (f"{node} on {channel}" for channel, node in nodes))
        if nodes and self.network is None:
            raise ValueError("[network] must be there when an ECU has nm_node; an empty table takes the defaults")
        return self

    @model_validator(mode="after")
    def _frames_have_identifiers_of_their_own(self) -> VehicleFile:
        refuse_clashing_frames(Traffic(self.ecus, self.network, self.functional_address))
        return self

    @model_validator(mode="after")
    def _habits_fit_together(self) -> VehicleFile:
        refuse_contradictions(self.isotp, FunctionalHabitKeys(), ("isotp",))
        for number, ecu in enumerate(self.ecus):
            refuse_contradictions(self.isotp, ecu.isotp, ("ecus", number, "isotp"))
        for channel, entry in self.functional.items():
            refuse_contradictions(self.isotp, entry.isotp, ("functional", channel, "isotp"))
        return self
