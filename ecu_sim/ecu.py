"""A simulated ECU: persistent memory, and a volatile part that each boot builds anew (D3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from bench.core.clock import NS_PER_MS
from bench.core.continuing import State, plain, suspended
from bench.core.node import Incarnation, Node
from bench.core.records import BootRecord, CanAddress, ExecutionRecord
from bench.core.specs import EcuSpec
from bench.core.world import World
from bench.ports.can import CanBus, CanPort
from bench.wire.bootloader_update import LINKED_AT
from bench.wire.image_behaviour import MARKER_BYTES, WELL, behaviour_of
from bench.wire.image_header import ImageHeader
from bench.wire.isotp import AddressingMode, IsoTpAddress
from bench.wire.uds import Session, session_response
from ecu_sim.boot import bootloader_update, manager, staging
from ecu_sim.boot.manager import Trust
from ecu_sim.boot.remains import programming_interrupted
from ecu_sim.boot.watchdog import Watchdog
from ecu_sim.connection import DiagConnection
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.memory.dtcs import Dtc, DtcMemory
from ecu_sim.misbehave import FaultyBehaviour, Misbehaviours
from ecu_sim.network.node import ApplicationNetwork, BootloaderNetwork, NetworkParts
from ecu_sim.network.sleep import Sleeper
from ecu_sim.personality.geometry import BOOT_REGION
from ecu_sim.personality.personality import Personality
from ecu_sim.supply import Supply, VoltageMonitor
from ecu_sim.surroundings import Car, Surroundings
from ecu_sim.uds.identification import Identity
from ecu_sim.uds.modes import EcuParts, Mode, application_mode, bootloader_mode
from ecu_sim.uds.restart import Restart
from ecu_sim.uds.server import FIRST_TESTER, Send, UdsServer
from ecu_sim.uds.sessions import SessionState

BOOT_STAGES = 2
"""Units of a boot point: the boot manager, then what it starts."""
POWER_ON = Restart()
"""What a boot finds after the power was off: nothing is asked of it."""


def _address(spec: EcuSpec) -> IsoTpAddress:
    """Return the ECU's own view of its connection."""
    return IsoTpAddress(
        mode=AddressingMode(spec.addressing), tx_id=spec.response_id, rx_id=spec.request_id,
        tx_extension=spec.response_extension, rx_extension=spec.request_extension, id_29_bit=spec.id_29_bit,
    )  # fmt: skip


def _addresses(spec: EcuSpec) -> tuple[IsoTpAddress, ...]:
    """Return the connection of the first tester, and that of the second where there is one (normal addressing)."""
    first = _address(spec)
    if spec.second_tester is None:
        return (first,)
    request_id, response_id = spec.second_tester
    return first, IsoTpAddress(
        mode=AddressingMode.NORMAL, tx_id=response_id, rx_id=request_id, id_29_bit=spec.id_29_bit
    )  # fmt: skip


def routed_channels(spec: EcuSpec) -> dict[str, None]:
    """Return the channels that an ECU's routes name, each once."""
    return dict.fromkeys(name for route in spec.routes for name in (route.source, route.target))


class SimEcu:
    """One ECU of a simulated vehicle."""

    def __init__(
        self,
        world: World,
        spec: EcuSpec,
        personality: Personality,
        buses: Mapping[str, CanBus],
        car: Car,
        identity: Identity,
        functional: CanAddress,
        image_public_key: bytes,
    ) -> None:
        self.spec, self.personality = spec, personality
        self.memory = EcuMemory(world, spec.id, personality)
        self.surroundings = Surroundings(car, personality.preconditions.demands())
        self.misbehaviours = Misbehaviours(lambda order: world.journal.add(spec.id, "misbehave", order))
        self.node = Node(world, spec.id, self._boot)
        self.supply = Supply(world, self.node, personality.supply)
        self.watchdog = Watchdog(world, self.node, personality.watchdog)
        self._world, self._identity, self._functional = world, identity, functional
        self._buses = {spec.channel: buses[spec.channel]} | {name: buses[name] for name in routed_channels(spec)}
        self._sleeper = Sleeper(world, spec.id, self._buses, car, self.node.reset)
        self._network: ApplicationNetwork | None = None
        self._boot_network: BootloaderNetwork | None = None
        car.on_change(self._car_changed)
        self._addresses = _addresses(spec)
        self.server: UdsServer | None = None
        self.state: SessionState | None = None
        self.dtcs: DtcMemory | None = None
        """Server, session and DTCs of the life that began to listen last."""
        self._trust = Trust(image_public_key, spec.hardware_id)
        self._due_restart: Restart | None = None  # RAM that survives a reset, but not a power cut
        self._restarts: list[tuple[int, Restart]] = []
        """Resets that this life has asked for, and when they are due."""
        self._mode: Mode | None = None
        self._monitor: VoltageMonitor | None = None
        self._dtcs_of_life: DtcMemory | None = None
        self._connections_of_life: list[DiagConnection] = []

    def continuing(self, now_ns: int) -> State:
        """Return all that this ECU's later behaviour depends on; what is due stands in the schedule of its car.

        Costs what has changed in its flash since somebody asked last.
        """
        life, sleeper = self.node.incarnation, self._sleeper.state(now_ns)
        given = (self.supply, self.watchdog, self.surroundings, self.misbehaviours)
        outer = self.node.hangs, sleeper, tuple(part.state(now_ns) for part in given), self.memory.continuing(now_ns)
        asked = plain(self._due_restart, now_ns), tuple((t - now_ns, plain(r, now_ns)) for t, r in self._restarts)
        if life is None:
            return None, *outer, asked[0]
        services: State = ()
        if self.server is not None and self._mode is not None:
            services = self.server.state(now_ns), self._mode.services_state(now_ns)
        stated = (self._network, self._boot_network, self._monitor, self._dtcs_of_life, *self._connections_of_life)
        inner = tuple(None if part is None else part.state(now_ns) for part in stated)
        return suspended(life.tasks, now_ns), *outer, asked, services, inner

    # Boot -------------------------------------------------------------------------------------------

    def _boot(self, life: Incarnation) -> None:
        self._network = self._boot_network = self._mode = self._monitor = self._dtcs_of_life = None
        self._connections_of_life = []
        self._restarts = []
        if self._sleeper.takes(life):
            return
        restart, self._due_restart = self._due_restart, None
        life.spawn(self._stages(life, restart), "boot")

    async def _stages(self, life: Incarnation, restart: Restart | None) -> None:
        programming = restart is not None and restart.programming
        effect = life.effect("boot", BOOT_STAGES)
        bite = self.watchdog.take()
        self.memory.begin_boot()
        dtcs = DtcMemory(life, self.memory.dtc_block, new_cycle=restart is None or restart.new_cycle)
        self.memory.report_to(dtcs)
        self._dtcs_of_life = dtcs
        timing = self.personality.boot
        cause = "programming asked" if programming else "start"
        self._record_stage("boot_manager", None, cause if bite is None else bite.cause)
        await life.sleep_ns(timing.manager_ms * NS_PER_MS // 2)
        effect.inside(0)
        await life.sleep_ns(timing.manager_ms * NS_PER_MS - timing.manager_ms * NS_PER_MS // 2)
        # Counted before anything is chosen: a crash that is not in the NVM by the next boot never happened, and the
        # loop has no end.
        if bite is not None:
            await self.memory.count_crash(life, bite.bank)
        await bootloader_update.finish_copy(life, self.memory, self._trust)
        await staging.resume(life, self.memory, self._trust)
        if programming:
            choice = manager.Choice(None, "programming asked")
        else:
            choice = await manager.choose(life, self.memory, self._trust)
            dtcs.report(Dtc.NOT_PROGRAMMED, failed=choice.bank is None)
            dtcs.report(Dtc.PROGRAMMING_INTERRUPTED, failed=programming_interrupted(self.memory))
        header = None if choice.bank is None else self.memory.decoded_header(choice.bank)
        if choice.bank is None or header is None:
            if not bootloader_update.find(self.memory, self._trust):
                return  # nothing may run: the boot manager waits for a power cut
            self._record_stage("bootloader", None, choice.reason)
            self._bootloader_begins(life)
        else:
            self._record_stage("application", choice.bank, choice.reason)
            self._application_begins(life, choice.bank, header)
        self._tell_crash_loop(dtcs)
        effect.inside(1)
        await self._serve(life, dtcs, choice.bank, header, restart or POWER_ON)
        effect.end()

    def _record_stage(self, stage: str, bank: str | None, reason: str) -> None:
        self._world.boot(BootRecord(self._world.clock.now_ns(), self.spec.id, stage, bank, reason))

    def _application_begins(self, life: Incarnation, bank: str, header: ImageHeader) -> None:
        """Jump into the image: from here on its bytes are executed, and the watchdog wants to be kicked."""
        memory = self.memory
        self._world.execution(
            ExecutionRecord(
                self._world.clock.now_ns(), self.spec.id, bank, header.load_address, memory.header(bank),
                memory.image_sha256(bank, header), memory.nvm.record.release_floor,
            )
        )  # fmt: skip
        life.at_end(partial(self._execution_ended, life))
        place = memory.image_place(bank, header.load_address, min(MARKER_BYTES, header.length))
        first = None if place is None else memory.readable(place.region, place.offset, place.size_bytes)
        self.watchdog.runs(life, bank, behaviour_of(first or b""))
        # Forgiven only after a while: an image that always crashes after a second would else never reach its limit.
        if memory.crashes_in_row(bank):
            life.call_at_ns(life.now_ns() + self.personality.watchdog.stable_ms * NS_PER_MS, self._stable, life, bank)

    def _stable(self, life: Incarnation, bank: str) -> None:
        """The image has run long enough: its crashes are forgiven."""
        life.spawn(self.memory.forgive_crashes(life, bank), "crashes")

    def _bootloader_begins(self, life: Incarnation) -> None:
        """Jump into the bootloader."""
        memory, behaviour = self.memory, WELL
        updatable = memory.bootloader
        region, header, entry = BOOT_REGION, b"", memory.flash.region(BOOT_REGION).base_address
        if updatable is None:
            digest = memory.flash.digest(BOOT_REGION, 0, memory.flash.region(BOOT_REGION).size_bytes)
        else:
            region = updatable.running or BOOT_REGION
            header, digest = updatable.raw_header(region), updatable.code_sha256(region)
            entry, behaviour = LINKED_AT, behaviour_of(updatable.first_code(region, MARKER_BYTES))
        now_ns = self._world.clock.now_ns()
        self._world.bootloader_run(ExecutionRecord(now_ns, self.spec.id, region, entry, header, digest, 0))
        life.at_end(partial(self._execution_ended, life))
        self.watchdog.runs(life, None, behaviour)

    def _execution_ended(self, life: Incarnation) -> None:
        if life.end_cause is not None:
            self._world.execution_ended(self.spec.id, life.end_cause)

    def _tell_crash_loop(self, dtcs: DtcMemory) -> None:
        loops = max(self.memory.crashes.in_row) >= self.personality.watchdog.resets_max
        if loops or any(dtc.code == Dtc.CRASH_LOOP for dtc in dtcs.stored):
            dtcs.report(Dtc.CRASH_LOOP, failed=loops)

    async def _serve(
        self, life: Incarnation, dtcs: DtcMemory, bank: str | None, header: ImageHeader | None, restart: Restart
    ) -> None:
        """Start the application or the bootloader, and its diagnostic server."""
        parts = EcuParts(
            life=life, world=self._world, identity=self._identity, memory=self.memory, trust=self._trust,
            restart=lambda restart: self._restart(life, restart), requester=self._requester,
            surroundings=self.surroundings, dtcs=dtcs, supply=self.supply,
        )  # fmt: skip
        timing = self.personality.boot
        if bank is None or header is None:
            await life.sleep_ns(timing.bootloader_ms * NS_PER_MS)
            session = Session.PROGRAMMING if restart.programming else Session.DEFAULT
            server = self._listen(parts, bootloader_mode(parts, session), bootloader=True)
        else:
            await life.sleep_ns(timing.application_ms * NS_PER_MS)
            server = self._listen(parts, application_mode(parts, bank, header), bootloader=False)
        if restart.answer_due_to is not None:
            uds = self.personality.uds
            server.owe(session_response(Session.PROGRAMMING, uds.p2_ms, uds.p2_star_ms), restart.answer_due_to)
        self._watch_voltage(life, dtcs)

    def _watch_voltage(self, life: Incarnation, dtcs: DtcMemory) -> None:
        stored = any(dtc.code == Dtc.UNDERVOLTAGE for dtc in dtcs.stored)
        self._monitor = VoltageMonitor(
            life, self.supply, lambda low: dtcs.report(Dtc.UNDERVOLTAGE, failed=low), stored=stored
        )

    def _listen(self, parts: EcuParts, mode: Mode, *, bootloader: bool) -> UdsServer:
        ports = {name: bus.attach(parts.life) for name, bus in self._buses.items()}
        connections = self._connections(parts.life, ports[self.spec.channel], bootloader=bootloader)
        server = self._server(parts.life, mode, [connection.send for connection in connections])
        for connection in connections:
            connection.open(server)
        self.server, self.state, self.dtcs = server, mode.state, parts.dtcs
        self._mode, self._connections_of_life = mode, connections
        network = NetworkParts(
            life=parts.life, spec=self.spec, ports=ports, state=mode.state,
            car=self.surroundings.car, dtcs=parts.dtcs, asleep=self._sleeper.fall_asleep,
        )  # fmt: skip
        if bootloader:
            self._boot_network = BootloaderNetwork(
                network, routes=self.personality.routes_in_bootloader, unsafe=self._unsafe
            )
        else:
            self._network = ApplicationNetwork(network)
            for connection in connections:
                connection.on_request(self._network.busy)
            self._network.start()
        return server

    def _connections(self, life: Incarnation, port: CanPort, *, bootloader: bool) -> list[DiagConnection]:
        """Return the connections to all testers; the first one's hears functional requests too."""
        isotp = self.personality.isotp
        habits = isotp.of_mode(bootloader=bootloader)
        if self.spec.flow_control is not None:
            block_size, st_min = self.spec.flow_control
            habits = habits.model_copy(update={"block_size": block_size, "st_min": st_min})
        return [
            DiagConnection(
                life, port, address, self._functional if n == FIRST_TESTER else None, habits, tester=n,
                hears_fd=isotp.hears_fd(bootloader=bootloader),
            )
            for n, address in enumerate(self._addresses)
        ]  # fmt: skip

    def _server(self, life: Incarnation, mode: Mode, sends: Sequence[Send]) -> UdsServer:
        behaviour = FaultyBehaviour(life, self.personality.uds, self.misbehaviours, lambda: self._reset(Restart()))
        return UdsServer(
            life, self.personality.uds, mode.state, mode.table, sends, mode.on_session_timeout, behaviour,
            answer_limit_bytes=self.personality.isotp.max_length,
            ignores_others=self.personality.diagnostics.second_tester == "ignored",
        )  # fmt: skip

    def _requester(self) -> int:
        return FIRST_TESTER if self.server is None else self.server.requester

    def _unsafe(self) -> bool:
        """Return whether the ECU has no application that could be started: it was erased, or only half written."""
        return not any(manager.mark_ok(self.memory.mark(bank.name)) for bank in self.personality.banks)

    def _car_changed(self) -> None:
        life = self.node.incarnation
        if self._network is not None and life is not None:
            life.call((self._network.look,))

    # Reset ------------------------------------------------------------------------------------------

    def _restart(self, life: Incarnation, restart: Restart) -> None:
        """Reset a little later: the answer is on the wire, what is in the controller goes out."""
        due_ns = life.now_ns() + self.personality.boot.reset_delay_ms * NS_PER_MS
        # Not at once: the positive response is still in the controller, and a tester that gets none repeats the
        # request.
        self._restarts.append((due_ns, restart))
        life.call_at_ns(due_ns, self._reset, restart)

    def _reset(self, restart: Restart) -> None:
        self._due_restart = restart
        self.node.reset("programming asked" if restart.programming else "reset")
