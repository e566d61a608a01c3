"""A bench assembled for one run: server, agent's computer, buses and vehicle, driven until everything is quiet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from bench.agent.vehicle import AgentConfig
from bench.assembly.channels import note_pacing, open_buses
from bench.assembly.images import IMAGE_KEY, PACKAGE_KEY
from bench.assembly.resign import sign_for_hardware
from bench.assembly.server import SERVER_KEY, BenchServer
from bench.assembly.vehicle import build_vehicle
from bench.assembly.wild_buses import WildBuses
from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.points import PointTable
from bench.core.records import (
    SOURCES,
    UNWATCHED,
    CanAddress,
    DidReading,
    DtcReading,
    FlashDump,
    FrameRecord,
    ImageReference,
    Limits,
    RunRecord,
    ServerViewRecord,
    StoredFile,
    Surroundings,
    Watch,
    Watched,
)
from bench.core.waveform import Waveform
from bench.core.world import World
from bench.description.ecu_facts import ecu_layouts
from bench.description.load import BenchFiles
from bench.description.supply import SupplyProfile
from bench.description.surroundings import surroundings
from bench.faults.inject import ArmedFault, Injector
from bench.flasher.values import Progress
from bench.ports.faults import ISO_TP_RULES, SIGN_FOR_HARDWARE, WAVEFORM_OF
from bench.ports.server import VehicleAccount
from bench.rig.agent_node import AgentNode
from bench.rig.neighbours import read_dtcs
from bench.rig.quiet import Quiet
from bench.rig.reading import read_vehicle
from bench.rig.run_images import RunImages
from bench.rig.whole_vehicle import WholeVehicle
from bench.runs.scenario import Scenario
from bench.trust.keys import exchange_key, exchange_public_key, public_key, signing_key
from bench.trust.package import build_package
from bench.wire.dm import DevInfo

LOOK_EVERY_NS = 100 * NS_PER_MS
SETTLE_NS = 6 * NS_PER_S
"""Between the end of the story and the reading: longer than S3, so that sessions have fallen back."""
LAST_BYTES_NS = NS_PER_S
"""The last session's answer is still on its way to the agent when the server has logged its end."""
PACKAGE_SUFFIX = ".zip"

T = TypeVar("T")


class BenchRig:
    """Implements `bench.runs.job.Rig` for simulated vehicles."""

    def __init__(
        self,
        world: World,
        files: BenchFiles,
        scenario: Scenario,
        images: RunImages,
        faults: Sequence[ArmedFault],
        progress: Callable[[Progress], None],
        supplies: Mapping[str, SupplyProfile] | None = None,
    ) -> None:
        self._supplies = supplies or {}
        self._world, self._files, self._scenario, self._images = world, files, scenario, images
        self._injector = Injector(world, faults)
        self._driven_ns = 0
        self._came_to_rest = False
        self._built_ns = world.clock.now_ns()
        self._layouts = ecu_layouts(files)
        self._quiet = Quiet(world, self._layouts, _functional_requests(files))
        self.points = PointTable()
        self._readings: Watched[DidReading] = UNWATCHED
        self._dtcs: tuple[DtcReading, ...] = ()
        self._surroundings: Surroundings | None = None
        self._memory_before: Watched[FlashDump] = UNWATCHED
        self._driven_after_ns: tuple[int, int] | None = None
        self.besides_ns = 0
        self._agent_files: Watched[StoredFile] = UNWATCHED
        self._server_view: Watched[ServerViewRecord] = UNWATCHED
        self._to_close = ExitStack()
        with ExitStack() as building:
            self._folder = self._make_folder(building)
            self._buses = building.enter_context(open_buses(world, files))
            self._wild = WildBuses(
                world, files.vehicle, (fault.whom for fault in faults if ISO_TP_RULES in fault.kind.ports)
            )
            self._vehicle = build_vehicle(world, files, self._wild.between(self._buses), images.installed)
            self._server = self._build_server()
            building.callback(self._server.close)
            self._account = self._make_account()
            self._agent = AgentNode(
                world, files, self._agent_config(), self._buses, self._server.carrier, self._agent_folder(), progress
            )
            world.offers.offer(WAVEFORM_OF, self._waveform)
            world.offers.offer(SIGN_FOR_HARDWARE, sign_for_hardware)
            WholeVehicle(world.offers, [*self._vehicle.nodes, "agent"]).offer()
            self._injector.refuse_what_cannot_strike()
            self._to_close = building.pop_all()

    # Building ---------------------------------------------------------------------------------------

    def _make_folder(self, building: ExitStack) -> Path | None:
        """Return a folder for what lies on this machine's disk in real time: certificates, store, agent's files."""
        if self._files.bench.clock == "virtual":
            return None
        return Path(building.enter_context(tempfile.TemporaryDirectory(prefix="otabench-")))

    def _build_server(self) -> BenchServer:
        dev_id = self._files.vehicle.dev_id
        if self._folder is None:
            return BenchServer.simulated(self._world, dev_id)
        folder = self._folder / "server"
        folder.mkdir()
        return BenchServer.tls(self._world, dev_id, self._files.bench.server, folder)

    def _agent_folder(self) -> Path | None:
        if self._folder is None:
            return None
        folder = self._folder / "agent"
        folder.mkdir()
        return folder

    def _make_account(self) -> VehicleAccount:
        vehicle = self._files.vehicle
        token = self._world.entropy.draw("factory", "token", 16).hex()
        return VehicleAccount(
            server_url=self._server.dm_url, dev_id=vehicle.dev_id, vin=vehicle.vin, factory_token=token
        )

    def _agent_config(self) -> AgentConfig:
        vehicle = self._files.vehicle
        return AgentConfig(
            account=self._account,
            dev_info=DevInfo(dev_id=vehicle.dev_id, man=vehicle.manufacturer, mod=vehicle.model),
            server_public_key=exchange_public_key(SERVER_KEY),
            package_public_key=public_key(PACKAGE_KEY),
            image_public_key=public_key(IMAGE_KEY),
            factory_counters={ecu.id: ecu.factory.release_counter for ecu in vehicle.ecus},
            poll_interval_ns=round(self._files.bench.agent.poll_interval_s * NS_PER_S),
            parallel=self._files.bench.agent.parallel,
            private_key=exchange_key(f"vehicle {vehicle.dev_id}"),
        )

    def _waveform(self, profile: str) -> Waveform:
        return self._supplies[profile].waveform()

    # Driving ----------------------------------------------------------------------------------------

    async def drive(self, ends_within_ns: int) -> bool:
        """Place the order, power up, wait until everything is quiet or the time is over, read the ECUs.

        Returns whether it became quiet.
        """
        await self._observe_before()
        await self._place_orders()
        self._injector.arm()
        self._drive_off()
        self._vehicle.power_on()
        self._agent.node.power_on()
        self._came_to_rest = await self._until_quiet(self._world.clock.now_ns() + ends_within_ns)
        await self._world.clock.sleep_ns(LAST_BYTES_NS)
        self.points = self._world.points.table()
        await self._drive_after()
        self._agent_files = Watched.at(self._agent.files(), self._world.clock.now_ns())
        self._agent.node.stop("the ECUs are read by a tester of the bench")
        note_pacing(self._world, self._files, self._buses)
        await self._world.clock.sleep_ns(SETTLE_NS)
        if self._world.crash is None:
            begun_ns = self._world.clock.now_ns()
            self._server_view = Watched.at((await self._read_view(),), self._world.clock.now_ns())
            read = await read_vehicle(self._world, self._buses, self._files.vehicle)
            self._dtcs += await read_dtcs(self._world, self._buses, self._files.vehicle, before=False)
            self._readings = Watched.during(read, begun_ns, self._world.clock.now_ns())
        return self._came_to_rest

    async def _observe_before(self) -> None:
        """Read DTCs of the vehicle as it stands there, then switch it off: the story begins with its power-on.

        What the order does not name is read out of the chips too; everything announced so far is no part of the story.
        """
        vehicle, clock = self._files.vehicle, self._world.clock
        self._vehicle.power_on()
        self._dtcs = await read_dtcs(self._world, self._buses, vehicle, before=True)
        for node in self._vehicle.nodes.values():
            node.cut("the bench has read the vehicle")
        ordered = tuple(dict.fromkeys(ecu for brings in self._images.orders for ecu in brings))
        others = [ecu.id for ecu in vehicle.ecus if ecu.id not in ordered]
        self.besides_ns = began_ns = clock.now_ns()
        self._memory_before = Watched.at((self._vehicle.dump(ecu) for ecu in others), began_ns)
        self._surroundings = surroundings(vehicle, ordered, began_ns)
        self._world.points.begin_story()

    async def _drive_after(self) -> None:
        """Drive the vehicle once the story is over: what the update left behind may show only then."""
        plan, clock = self._scenario.drive_after, self._world.clock
        began_ns = clock.now_ns()
        if not self._vehicle.car.state.ignition:
            self._vehicle.set_car("ignition", True, "drive after the update")
        for step in plan.steps:
            when_ns = began_ns + round(step.at_s * NS_PER_S)
            clock.call_at_ns(when_ns, self._vehicle.set_car, step.key, step.value, "drive after the update")
        await clock.sleep_ns(round(plan.lasts_s(virtual=self._files.bench.clock == "virtual") * NS_PER_S))
        self._driven_after_ns = (began_ns, clock.now_ns())
        self.besides_ns += clock.now_ns() - began_ns

    async def _read_view(self) -> ServerViewRecord:
        """Ask the server what it stored and believes: what it announced while the run went on is another source."""
        view, vin = self._server.ports.view, self._files.vehicle.vin
        events, twin = await view.events(vin), await view.twin(vin)
        orders = tuple((order.order, order.status) for order in twin.orders)
        return ServerViewRecord(self._world.clock.now_ns(), tuple(events), twin.registered, twin.ecus, orders)

    def _drive_off(self) -> None:
        """Have the car change as the scenario's drive says, counted from now."""
        start_ns = self._world.clock.now_ns()
        for step in self._scenario.drive:
            when_ns = start_ns + round(step.at_s * NS_PER_S)
            self._world.clock.call_at_ns(when_ns, self._vehicle.set_car, step.key, step.value, "drive")
            self._driven_ns = max(self._driven_ns, when_ns)

    async def _place_orders(self) -> None:
        admin = self._server.ports.admin
        await admin.add_vehicle(self._account, exchange_public_key(f"vehicle {self._account.dev_id}"))
        for order, brings in zip(self._scenario.orders, self._images.orders, strict=True):
            images = [(ecu, image.file) for ecu, image in brings.items()]
            package_id = await admin.upload_package(build_package(order.package, images, signing_key(PACKAGE_KEY)))
            await admin.place_order(self._account.vin, package_id)

    async def _until_quiet(self, end_ns: int) -> bool:
        """Check ten times a second whether the order is closed, the agent idle and every fault over."""
        while self._world.clock.now_ns() < end_ns and self._world.crash is None:
            if self._is_quiet():
                return True
            await self._world.clock.sleep_ns(LOOK_EVERY_NS)
        return False

    def _is_quiet(self) -> bool:
        """Whether server and buses have come to rest, the drive is over and every fault that struck too."""
        driven = self._world.clock.now_ns() >= self._driven_ns
        return self._quiet.reached() and driven and self._injector.all_struck_are_over

    # Collecting -------------------------------------------------------------------------------------

    def collect(self, limits: Limits) -> RunRecord:
        """Freeze what was observed."""
        recorder, vehicle = self._world.recorder, self._files.vehicle
        ecus, now_ns = [ecu.id for ecu in vehicle.ecus], self._world.clock.now_ns()

        def seen(items: Sequence[T]) -> Watched[T]:
            """Every part is simulated here and reports by itself, from its making until the end."""
            return Watched.during(items, self._built_ns, now_ns)

        return RunRecord(
            vin=vehicle.vin,
            functional_id=vehicle.functional_id,
            functional=vehicle.spec().functional,
            ended_t_ns=now_ns,
            limits=limits,
            expects_update=self._scenario.expect.outcome == "updated",
            layouts=self._layouts,
            references=self._references(),
            image_public_key=public_key(IMAGE_KEY),
            package_public_key=public_key(PACKAGE_KEY),
            package_url_suffix=PACKAGE_SUFFIX,
            faults=self._injector.records(),
            ended_by="crash" if self._world.crash is not None else "quiet" if self._came_to_rest else "limit",
            crash=self._world.crash_record(),
            orders_placed=len(self._scenario.orders),
            observable=SOURCES,
            power=seen(recorder.power),
            server_events=seen(recorder.server),
            http=seen(recorder.http),
            readings=self._readings,
            frames=self._frames(now_ns),
            flash=Watched.at((self._vehicle.dump(ecu) for ecu in ecus), now_ns),
            boots=seen(recorder.boots),
            executions=seen(recorder.executions),
            bootloader_runs=seen(recorder.bootloader_runs),
            flash_operations=seen(recorder.flash),
            agent_files=self._agent_files,
            conditions=seen(recorder.conditions),
            surroundings=self._surroundings,
            dtcs=Watched(self._dtcs, tuple((r.t_ns, r.t_ns) for r in self._dtcs)),
            memory_before=self._memory_before,
            drive_after_ns=self._driven_after_ns,
            voltages=seen(recorder.voltages),
            server_view=self._server_view,
        )

    def _frames(self, now_ns: int) -> Watched[FrameRecord]:
        """Return every bus of the bench. What an adapter could not read counts as lost on its channel."""
        places = {}
        for channel in self._files.bench.channels:
            lost = getattr(self._buses[channel.name], "lost", 0)
            places[channel.name] = Watch(((self._built_ns, now_ns),), lost)
        return Watched(self._world.journal.frames(), ((self._built_ns, now_ns),), places=places)

    def _references(self) -> tuple[ImageReference, ...]:
        return tuple(
            ImageReference(ecu, role, image.header.version, image.header.encode(), image.data)
            for role, images in (("installed", self._images.installed), *(("target", o) for o in self._images.orders))
            for ecu, image in images.items()
        )

    def close(self) -> None:
        """Stop the server and remove temporary folders."""
        self._to_close.close()


def _functional_requests(files: BenchFiles) -> list[tuple[str, CanAddress]]:
    """Return where functional requests go, with the channel."""
    spec = files.vehicle.spec()
    return [(channel.name, spec.functional_address(channel.name)) for channel in files.bench.channels]
