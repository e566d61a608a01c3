"""Nothing that a simulated part remembers is left out of its state: each attribute is in it, or named with a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

PLACES = (
    "ecu_sim/boot/", "ecu_sim/connection.py", "ecu_sim/ecu.py", "ecu_sim/fault_ports.py", "ecu_sim/memory/banks.py",
    "ecu_sim/memory/dtcs.py", "ecu_sim/memory/flash.py", "ecu_sim/memory/nvm.py", "ecu_sim/misbehave.py",
    "ecu_sim/network/", "ecu_sim/supply.py", "ecu_sim/surroundings.py", "ecu_sim/uds/", "ecu_sim/vehicle.py",
    "bench/wire/isotp.py", "bench/wire/isotp_send.py", "bench/wire/isotp_receive.py",
    "bench/wire/isotp_params.py", "bench/wire/pacer.py", "bench/link/isotp_link.py", "bench/link/received.py",
    "bench/link/sim_bus.py", "bench/link/sim_port.py", "bench/link/bus_errors.py", "bench/link/bursts.py",
)  # fmt: skip
"""Where it is demanded: folders and files. What lies below flash and NVM is hashed as a whole (`test_state_key`)."""
GIVES_STATE = ("state", "continuing")
VALUES = ("Protocol", "NamedTuple", "Enum", "IntEnum", "StrEnum", "IntFlag", "Exception", "RuntimeError", "ValueError")
"""Bases of what has no state of its own."""
SURROUNDINGS = "the part's surroundings, or another part that gives its own state"
CONFIGURATION = "configuration"
CALLED = "who is called, for as long as the part lives"
WIRING: Mapping[str, str] = {
    **dict.fromkeys(
        ("_area", "_block", "_bootloader", "_bus", "_buses", "_car", "_clock", "_counter", "_device", "_download",
         "_dtc_service", "_dtcs", "_ecu", "_flash", "_life", "_listener", "_memory", "_node", "_nvm", "_orders",
         "_parts", "_port", "_programming", "_sender", "_settings", "_shadow", "_source", "_state", "_supply",
         "_surroundings", "_target", "_transfer", "_world", "bus", "car", "clock", "counter", "ecu", "life", "node",
         "nodes", "world"),
        SURROUNDINGS,
    ),
    **dict.fromkeys(
        ("_address", "_addresses", "_answer_limit_bytes", "_bank", "_block_size", "_buffer_bytes", "_calm", "_channels",
         "_code",
         "_code_partition", "_consecutive_bytes", "_copy_bytes", "_counters", "_demands", "_extension", "_factory",
         "_fixed_bank", "_flags", "_form", "_framing", "_functional", "_header", "_heads", "_heads_from", "_id",
         "_identity", "_ignored_flags", "_ignores_others", "_max_block_length", "_max_dids", "_n_as_ms", "_n_as_ns",
         "_n_cr_ns",
         "_name", "_needs_authentication", "_needs_security", "_offset_ns", "_padding", "_params", "_part",
         "_payload_bytes", "_period_ns", "_prefix", "_rules", "_short", "_shortest", "_signals", "_spec", "_tester",
         "_timeout_ns", "_timing", "_trust", "_tx_dl", "_warning", "bitrate_bit_s", "bursts", "data_bitrate_bit_s",
         "fd", "label", "name", "personality", "rules", "single_bytes", "spec", "step_ns", "timing"),
        CONFIGURATION,
    ),
    **dict.fromkeys(
        ("_abort", "_asleep", "_expired", "_inhibits", "_listeners", "_may_send", "_modes", "_note", "_on_change",
         "_on_session_timeout", "_pace", "_reads", "_report", "_reports", "_reset", "_restore", "_routines", "_send",
         "_send_at", "_send_frame", "_stopped", "_table", "_transmit", "_transmit_run", "_watching", "_writes",
         "on_off", "reset", "send"),
        CALLED,
    ),
}  # fmt: skip
"""What is set once, whatever the class."""
KEPT_OUT: Mapping[str, Mapping[str, str]] = {
    "SimCanPort": {
        "everything": "who listens is settled when a life begins", "by_id": "who listens is settled when a life begins",
        "takers": "who listens is settled when a life begins", "plain": "who listens is settled when a life begins",
        "since_ns": "counts for a frame under way only, and stands beside it in the state of the bus",
    },
    "SimCanBus": {
        "busy_ns": "counted; what a controller in bus-off has seen of it is in the state of the errors",
        "_passed_ns": "numbers fault points", "_audiences": "worked out from who listens",
        "_epoch": "says when to work that out anew", "_newest_ns": "the latest `since_ns`",
        "_rival": "settled anew by each arbitration",
    },
    "BusErrors": {"_states": "what was noted of the counters, which the ports give"},
    "Sender": {
        "_on_ended": "tells an outcome that comes late from one that counts", "_run": "offers what is in the state",
        "_generation": "numbers messages",
    },
    "_Run": {"_generation": "numbers messages"},
    "TransmitSlot": {"_number": "tells an outcome that comes late from one that counts"},
    "Receiver": {"_have": "how much `_parts` hold", "_generation": "numbers messages"},
    "Deadline": {"_armed_ns": "when its timer comes is in the schedule", "_timer": "in the schedule"},
    "SimEcu": {
        "state": "part of the server's", "dtcs": "those of `_dtcs_of_life`",
    },
    "SimVehicle": {
        "_breakable": "keeps no state", "_starter": "its words are the car's",
    },
    "DiagConnection": {"server": "the ECU's", "_on_request": CALLED},
    "Supply": {"_timer": "in the schedule", "_watcher": "the voltage monitor, which gives its own"},
    "VoltageMonitor": {"_timers": "in the schedule"},
    "_Counted": {"order": "given by `Misbehaviours`", "seen": "given by `Misbehaviours`"},
    "Sleeper": {"_falling": "true within one call only"},
    "_Decryptor": {
        "_context": "decided by all that came, which the unpacker hashes", "_pending": "decided by all that came",
    },
    "Unpacker": {"_decryptor": "decided by all that came"},
    "Flash": {
        "_stores": "hashed", "_boot": "hashed", "_wear": "hashed where it counts", "_wear_shared": "saves a copy",
        "programs": "counted", "erases": "counted", "driver_faults": "recorded",
    },
    "_Digests": {"_known": "saves time"},
    "NvmDevice": {"boot": "hashed", "_hashed": "saves time"},
    "NvmBlock": {"_running": "given by the device", "copies": "given by the device"},
    "Nvm": {"device": SURROUNDINGS},
    "EcuMemory": {
        "_dtcs": SURROUNDINGS, "dtc_block": "a block of the NVM", "settings": "a block of the NVM",
        "files": "a block of the NVM", "user_area": "a block of the NVM", "crash_block": "a block of the NVM",
    },
    "DtcStore": {"slots": "blocks of the NVM"},
    "DtcMemory": {"observe": CALLED, "_slots": "blocks of the NVM"},
}  # fmt: skip
"""What changes, or belongs to one class, and why it is in no state all the same."""


def attributes(found: ast.ClassDef) -> dict[str, bool]:
    """Return what a class assigns to its instances, and whether anything but `__init__` does."""
    names: dict[str, bool] = {}
    if any("dataclass" in ast.unparse(each) for each in found.decorator_list):
        fields = (each.target for each in found.body if isinstance(each, ast.AnnAssign))
        names |= {each.id: True for each in fields if isinstance(each, ast.Name)}
    for method in found.body:
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            for name in _assigned(method):
                names[name] = names.get(name, False) or method.name != "__init__"
    return names


def _assigned(method: ast.AST) -> Iterator[str]:
    for node in ast.walk(method):
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Store | ast.Del):
            continue
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            yield node.attr


def told(found: ast.ClassDef) -> set[str]:
    """Return the attributes that its state is made of."""
    methods = (each for each in found.body if isinstance(each, ast.FunctionDef) and each.name in GIVES_STATE)
    return {
        node.attr
        for method in methods
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }


def _has_state(found: ast.ClassDef) -> bool:
    bases = {ast.unparse(base).split(".")[-1] for base in found.bases}
    return not bases & set(VALUES) and not any("frozen=True" in ast.unparse(each) for each in found.decorator_list)


def left_out(
    sources: Mapping[str, str], wiring: Mapping[str, str], kept_out: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Return the attributes that are neither in a state nor named, and names that mean nothing (any more)."""
    missing: list[str] = []
    unused = {(name, attribute) for name, each in kept_out.items() for attribute in each}
    for path, source in sources.items():
        if not path.startswith(PLACES):
            continue
        for found in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)):
            if not _has_state(found):
                continue
            inside = told(found)
            for attribute, changed in attributes(found).items():
                if attribute in inside:
                    continue
                if attribute in kept_out.get(found.name, {}):
                    unused.discard((found.name, attribute))
                # What is named for all classes is set once: whatever changes has to be looked at, class by class.
                elif changed or attribute not in wiring:
                    missing.append(f"{path}: {found.name}.{attribute}")
    return [*missing, *(f"{name}.{attribute} is named and not there" for name, attribute in sorted(unused))]


def test_every_attribute_is_in_a_state_or_named_with_a_reason(sources: dict[str, str]) -> None:
    assert left_out(sources, WIRING, KEPT_OUT) == []


def test_planted_attribute_is_found() -> None:
    told_all = (
        "class Part:\n    def __init__(self):\n        self._count = 0\n"
        "    def state(self, now_ns):\n        return (self._count,)\n"
    )
    forgets = told_all + "    def work(self):\n        self._left, self._life = 1, None\n"
    assert left_out({"ecu_sim/uds/part.py": told_all}, {}, {}) == []
    assert left_out({"ecu_sim/uds/part.py": forgets}, {}, {}) == [
        "ecu_sim/uds/part.py: Part._left",
        "ecu_sim/uds/part.py: Part._life",
    ]
    assert left_out({"ecu_sim/uds/part.py": forgets}, {"_life": "wiring"}, {"Part": {"_left": "why"}}) == [
        "ecu_sim/uds/part.py: Part._life"
    ], "what changes is never mere wiring"
    assert left_out({"bench/rig/part.py": forgets}, {}, {}) == [], "another place"


def test_name_that_means_nothing_any_more_is_found() -> None:
    source = "class Part:\n    def __init__(self):\n        self._gone = 0\n"
    assert left_out({"ecu_sim/uds/part.py": source}, {}, {"Part": {"_gone": "", "_old": ""}}) == [
        "Part._old is named and not there"
    ]


def test_field_of_a_changing_dataclass_is_an_attribute() -> None:
    source = "@dataclass(slots=True)\nclass Part:\n    seen: int = 0\n"
    frozen = source.replace("slots", "frozen")
    assert left_out({"ecu_sim/uds/part.py": source}, {}, {}) == ["ecu_sim/uds/part.py: Part.seen"]
    assert left_out({"ecu_sim/uds/part.py": frozen}, {}, {}) == []
