"""The store: tables, transactions, rows as values. SQLAlchemy Core over SQLite or PostgreSQL.

Events are append-only; the rows of orders are the fold of them, kept in the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import StaticPool

from bench.core.canonical import canonical_json
from bench.core.clock import Instant
from bench.core.errors import InputError
from bench.core.records import ServerEvent
from dm_server.orders import ORDER_EVENTS, Order, OrderStatus, placed, read_targets, targets_json
from dm_server.session_states import Phase, Session

METADATA = sa.MetaData()

VEHICLES = sa.Table(
    "vehicles",
    METADATA,
    sa.Column("vin", sa.String(64), primary_key=True),
    sa.Column("dev_id", sa.String(64), nullable=False, unique=True),
    sa.Column("public_key", sa.LargeBinary(32), nullable=False),
    sa.Column("factory_token_sha256", sa.String(64), nullable=False),
    sa.Column("session_token_sha256", sa.String(64)),
    sa.Column("registration_final", sa.Boolean, nullable=False, default=False),
    sa.Column("sessions", sa.Integer, nullable=False, default=0),
    sa.Column("registrations", sa.Integer, nullable=False, default=0),
)
PACKAGES = sa.Table(
    "packages",
    METADATA,
    sa.Column("package_id", sa.String(64), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("targets", sa.Text, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
ORDERS = sa.Table(
    "orders",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("order_id", sa.String(32), nullable=False, unique=True),
    sa.Column("vin", sa.String(64), sa.ForeignKey("vehicles.vin"), nullable=False, index=True),
    sa.Column("package_id", sa.String(64), sa.ForeignKey("packages.package_id"), nullable=False),
    sa.Column("targets", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("results", sa.Text, nullable=False),
)
EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("vin", sa.String(64), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("t_ns", sa.BigInteger, nullable=False),
    sa.Column("wall_ns", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)
SESSIONS = sa.Table(
    "sessions",
    METADATA,
    sa.Column("vin", sa.String(64), sa.ForeignKey("vehicles.vin"), primary_key=True),
    sa.Column("session", sa.String(32), nullable=False),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("order_id", sa.String(32)),
    sa.Column("request_sha256", sa.String(64), nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
)

SEQUENCES = sa.Table(
    "sequences",
    METADATA,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
"""Numbers without gaps: of each vehicle's events, of orders, and counters of what was refused."""

SERVER_LOG = ""
"""The log of what concerns no single vehicle has no VIN."""
_READ_ONLY = "otabench_read_only"


@dataclass(frozen=True, slots=True)
class VehicleRow:
    """A vehicle as the server was told of it; tokens only as their SHA-256."""

    vin: str
    dev_id: str
    public_key: bytes
    factory_token_sha256: str
    session_token_sha256: str | None
    registration_final: bool
    sessions: int
    registrations: int


@dataclass(frozen=True, slots=True)
class PackageRow:
    """A stored package without its bytes."""

    package_id: str
    sha256: str
    size_bytes: int
    targets: str


@dataclass(frozen=True, slots=True)
class LastTurn:
    """The latest message of a vehicle's session, and what it was answered: a repetition gets the same answer."""

    session: Session
    request_sha256: str
    answer: bytes


@dataclass(slots=True)
class Unit:
    """One transaction: reads and writes, and the events that it appended."""

    connection: sa.Connection
    at: Instant
    events: list[ServerEvent] = field(default_factory=list)

    def vehicle(self, vin: str) -> VehicleRow | None:
        """Return the vehicle of that VIN."""
        return self._vehicle(VEHICLES.c.vin == vin)

    def vehicle_of_device(self, dev_id: str) -> VehicleRow | None:
        """Return the vehicle with that device id."""
        return self._vehicle(VEHICLES.c.dev_id == dev_id)

    def _vehicle(self, condition: sa.ColumnElement[bool]) -> VehicleRow | None:
        """Read a vehicle; in a transaction that writes, nobody else works on it until that is over.

        Else two messages of one vehicle, or a message and an operator, would each decide upon what the other changes.
        SQLite knows no row locks and needs none: its writers come one at a time.
        """
        query = sa.select(VEHICLES).where(condition)
        if not self.connection.get_execution_options().get(_READ_ONLY, False):
            query = query.with_for_update()
        row = self.connection.execute(query).mappings().first()
        return None if row is None else VehicleRow(**row)

    def add_vehicle(self, row: VehicleRow) -> bool:
        """Store a new vehicle; False, and nothing changed, when its VIN or device id is there already."""
        return self._add(VEHICLES, {name: getattr(row, name) for name in VehicleRow.__slots__})

    def update_vehicle(self, vin: str, **values: Any) -> None:
        """Change columns of a vehicle."""
        self.connection.execute(sa.update(VEHICLES).where(VEHICLES.c.vin == vin).values(values))

    def package(self, package_id: str) -> PackageRow | None:
        """Return what is known of a package."""
        columns = [PACKAGES.c[name] for name in PackageRow.__slots__]
        query = sa.select(*columns).where(PACKAGES.c.package_id == package_id)
        row = self.connection.execute(query).mappings().first()
        return None if row is None else PackageRow(**row)

    def package_bytes(self, package_id: str, first: int, length: int) -> bytes:
        """Return `length` bytes of a package from offset `first`; the store does not read the rest."""
        part = sa.type_coerce(sa.func.substr(PACKAGES.c.data, first + 1, length), sa.LargeBinary)
        found = self.connection.execute(sa.select(part).where(PACKAGES.c.package_id == package_id)).scalar_one()
        return bytes(found)

    def add_package(self, row: PackageRow, data: bytes) -> bool:
        """Store a package; False, and nothing changed, when its id is there already."""
        return self._add(PACKAGES, {name: getattr(row, name) for name in PackageRow.__slots__} | {"data": data})

    def _add(self, table: sa.Table, values: Mapping[str, Any]) -> bool:
        """Insert a row unless one with its keys is there; another writer that is just adding it is waited for."""
        insert = self._dialect.insert(table).values(**values).on_conflict_do_nothing()
        return self.connection.execute(insert.returning(table.primary_key.columns[0])).first() is not None

    @property
    def _dialect(self) -> Any:
        """Return where this database's own form of INSERT is; both take ON CONFLICT, which SQL does not know."""
        return postgresql if self.connection.dialect.name == "postgresql" else sqlite

    def orders(self, vin: str) -> dict[str, Order]:
        """Return the vehicle's orders by id, oldest first."""
        query = sa.select(ORDERS).where(ORDERS.c.vin == vin).order_by(ORDERS.c.number)
        return {row["order_id"]: _order(row) for row in self.connection.execute(query).mappings()}

    def next_of(self, sequence: str) -> int:
        """Return the next number of a sequence, from 1 on.

        One statement, whose row lock is kept until the transaction ends: with max+1 two writers would get the same
        number. A transaction that is rolled back gives its number back, so there are no gaps (a database's own
        sequences leave some).
        """
        insert = self._dialect.insert(SEQUENCES).values(name=sequence, value=1)
        counted = insert.on_conflict_do_update(index_elements=["name"], set_={"value": SEQUENCES.c.value + 1})
        return int(self.connection.execute(counted.returning(SEQUENCES.c.value)).scalar_one())

    def last_turn(self, vin: str) -> LastTurn | None:
        """Return the latest turn of the vehicle's latest session."""
        row = self.connection.execute(sa.select(SESSIONS).where(SESSIONS.c.vin == vin)).mappings().first()
        if row is None:
            return None
        session = Session(row["session"], Phase(row["phase"]), row["order_id"])
        return LastTurn(session, row["request_sha256"], bytes(row["answer"]))

    def keep_turn(self, vin: str, turn: LastTurn) -> None:
        """Replace the vehicle's latest turn."""
        self.connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.vin == vin))
        values = {
            "vin": vin,
            "session": turn.session.session,
            "phase": turn.session.phase.value,
            "order_id": turn.session.order,
            "request_sha256": turn.request_sha256,
            "answer": turn.answer,
        }
        self.connection.execute(sa.insert(SESSIONS).values(values))

    def append(self, vin: str, kind: str, data: Mapping[str, Any]) -> ServerEvent:
        """Append an event to the vehicle's log and move the order that it names (vin "" is the server's own log)."""
        event = ServerEvent(self.next_of(f"events {vin}"), self.at.t_ns, vin, kind, dict(data), self.at.wall_ns)
        row = {name: getattr(event, name) for name in ("vin", "seq", "t_ns", "wall_ns", "kind")}
        self.connection.execute(sa.insert(EVENTS).values(row | {"data": json_text(data)}))
        if kind == "order_placed":
            self._add_order(vin, placed(data))
        elif kind in ORDER_EVENTS:
            self._move_order(data["order"], kind, data)
        self.events.append(event)
        return event

    def log(self, vin: str) -> Iterator[ServerEvent]:
        """Yield the vehicle's events in order."""
        query = sa.select(EVENTS).where(EVENTS.c.vin == vin).order_by(EVENTS.c.seq)
        for row in self.connection.execute(query).mappings():
            data = json.loads(row["data"])
            yield ServerEvent(row["seq"], row["t_ns"], row["vin"], row["kind"], data, row["wall_ns"])

    def _add_order(self, vin: str, order: Order) -> None:
        values = {
            "number": int(order.order.rpartition("-")[2]),
            "order_id": order.order,
            "vin": vin,
            "package_id": order.package_id,
            "targets": json_text(targets_json(order.targets)),
            "status": order.status.value,
            "results": json_text(order.results),
        }
        self.connection.execute(sa.insert(ORDERS).values(values))

    def _move_order(self, order_id: str, kind: str, data: Mapping[str, Any]) -> None:
        row = self.connection.execute(sa.select(ORDERS).where(ORDERS.c.order_id == order_id)).mappings().one()
        # By the table of transitions, in the transaction of the event: a row that says something else than the log
        # could not be told from a lost event.
        moved = _order(row).after(kind, data)
        change = sa.update(ORDERS).where(ORDERS.c.order_id == order_id)
        self.connection.execute(change.values(status=moved.status.value, results=json_text(moved.results)))


class Store:
    """A database; `sqlite://` lives in memory on one connection, for simulation."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        try:
            METADATA.create_all(self._engine)
            # Before anything is served: `create_all` adds tables, never columns, and the first INSERT of an old store
            # would fail with an order half placed.
            found = _missing_column(self._engine)
        except sa.exc.DatabaseError as error:
            self._engine.dispose()
            raise _unusable(str(self._engine.url), error) from None
        if found is not None:
            self._engine.dispose()
            raise InputError(
                "the store was made by another version of this server", found=f"no column {found}",
                allowed="a store of this version, or an empty database", hint="name another database in store_url",
            )  # fmt: skip

    @contextmanager
    def writing(self, at: Instant) -> Iterator[Unit]:
        """One transaction that may change things; everything in it happens or nothing. SQLite: one at a time."""
        with self._engine.begin() as connection:
            yield Unit(connection, at)

    @contextmanager
    def reading(self) -> Iterator[Unit]:
        """One transaction that only reads."""
        with self._engine.connect().execution_options(**{_READ_ONLY: True}) as connection, connection.begin():
            yield Unit(connection, Instant(0, 0))

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def json_text(value: object) -> str:
    """Return canonical JSON as text."""
    return canonical_json(value).decode()


def _order(row: sa.RowMapping) -> Order:
    targets = read_targets(json.loads(row["targets"]))
    return Order(row["order_id"], row["package_id"], targets, OrderStatus(row["status"]), json.loads(row["results"]))


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "postgresql":
            return sa.create_engine(parsed)
        if parsed.get_backend_name() != "sqlite":
            raise sa.exc.ArgumentError("sqlite and postgresql are what this server keeps its store in")
        # One connection for all: each new one to `sqlite://` would see a database of its own, and an empty one.
        in_memory = parsed.database in (None, "", ":memory:")
        pool: dict[str, Any] = {"poolclass": StaticPool} if in_memory else {}
        engine = sa.create_engine(parsed, connect_args={"check_same_thread": False}, **pool)
    except (sa.exc.ArgumentError, ImportError) as error:
        raise _unusable(url.partition(":")[0], error) from None
    sa.event.listen(engine, "connect", _prepare_file if not in_memory else _prepare)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _missing_column(engine: sa.Engine) -> str | None:
    """Return a column that this version has and the database lacks, None when all are there."""
    inspector = sa.inspect(engine)
    for table in METADATA.sorted_tables:
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                return f"{table.name}.{column.name}"
    return None


def _unusable(found: str, error: Exception) -> InputError:
    """Say what is wrong with a store; a password in its URL is not shown."""
    reason = str(error).partition("\n")[0]
    return InputError("store_url names no database that can be used", found=found, hint=reason)


def _prepare(connection: Any, _record: object) -> None:
    """Take transactions out of the driver's hands: `_begin` opens them."""
    # The driver opens transactions late and commits by itself before some statements: an event and the order that it
    # moves could be torn apart.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_file(connection: Any, record: object) -> None:
    _prepare(connection, record)
    connection.execute("PRAGMA busy_timeout=10000")
    connection.execute("PRAGMA journal_mode=WAL")
    # In WAL the default syncs at checkpoints only: an answer would be out whose event a power loss takes back.
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: sa.Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    # IMMEDIATE takes the write lock at once: two that read first and write later would both wait for the other
    # (SQLITE_BUSY).
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
