"""P4Info of the tables, headers and counters that the controller relies on, so that its tests need no compiler."""

from __future__ import annotations

from pathlib import Path

from finsy.proto import p4i, p4t
from google.protobuf import text_format

_TABLES = {
    "port_roles": ({"ingress_port": 9}, "set_trunk"),
    "groups": ({"group": 16}, "set_group"),
    "members": ({"group": 16, "source": 8, "address": 32, "ingress_port": 9}, "is_member"),
    "guard_enforce": ({"group": 16}, "enforce"),
    "leader_watch": ({"group": 16}, "watch"),
    "term_filter": ({"group": 16}, "drop_stale"),
    "client_limit": ({"ingress_port": 9}, "limited"),
    "reads_by_member": ({"group": 16, "member": 8}, "count_read"),
    "read_route": ({"group": 16, "service_addr": 32}, "read_at"),
    "leader_route": ({"group": 16}, "steer_to_leader"),
    "configuration": ({"group": 16}, "tell_controller"),
    "fanout_copy": ({"group": 16, "egress_port": 9, "member": 16}, "to_member", "over_trunk"),
    "append_fanout": ({"group": 16, "source": 8}, "copy_along"),
    "leader_gone": ({"ingress_port": 9, "address": 32}, "is_members_host"),
    "leader_silence": ({"group": 16}, "tell_silence"),
    "ack_positions": ({"group": 16, "source": 8}, "has_position"),
    "ack_gather": ({"group": 16, "target": 8}, "gather"),
    "service_addresses": ({"address": 32}, "is_service"),
    "ipv4_lpm": ({"dst_addr": 32}, "forward"),
}
_ACTIONS = {
    "set_trunk": {},
    "set_group": {"slot": 8, "quorum": 8, "leader": 8, "term": 64, "address": 32, "udp_port": 16},
    "is_member": {},
    "enforce": {},
    "watch": {"window_us": 48},
    "drop_stale": {},
    "limited": {"per_second": 32},
    "count_read": {},
    "read_at": {"member": 8, "member_address": 32, "member_port": 16},
    "steer_to_leader": {},
    "tell_controller": {},
    "tell_silence": {},
    "to_member": {"dst_mac": 48, "address": 32, "udp_port": 16},
    "over_trunk": {"dst_mac": 48},
    "copy_along": {"from_port": 9, "multicast_group": 16},
    "is_members_host": {"controller_address": 32, "identifier": 16},
    "has_position": {"at": 8, "of_generation": 32},
    "gather": {"port": 9, "others": 8, "window_us": 48, "of_generation": 32},
    "is_service": {},
    "forward": {"dst_mac": 48, "port": 9},
}
_HEADERS = {
    "packet_out": {"egress_port": 9, "kind": 7, "slot": 8},
    "packet_in": {
        "ingress_port": 9,
        "kind": 7,
        "slot": 8,
        "leader": 8,
        "term": 64,
        "last_heard_us": 48,
        "now_us": 48,
    },
}
_COUNTERS = {
    "messages": 32,
    "drops": 32,
    "redirects": 64,
    "copies": 8,
    "ends": 8,
    "over_limits": 512,
    "acknowledgements": 8,
    "port_rx": 512,
    "port_tx": 512,
}
_DIRECT_COUNTERS = {"member_counter": "members"}
_DIRECT_METERS = {"client_limit_meter": "client_limit"}
_HEARD = {"group": 16, "slot": 8, "leader": 8, "term": 64}
_DIGESTS = {"leader_digest_t": _HEARD, "leader_gone_digest_t": {"address": 32}, "leader_silence_digest_t": _HEARD}


def p4info() -> p4i.P4Info:
    """The P4Info message."""
    info = p4i.P4Info(pkg_info=p4i.PkgInfo(arch="v1model"))
    action_ids, table_ids = {}, {}
    for number, (name, params) in enumerate(_ACTIONS.items(), 1):
        action_ids[name] = 0x01000000 + number
        action = info.actions.add(preamble=_preamble(action_ids[name], name))
        for i, (param, width) in enumerate(params.items(), 1):
            action.params.add(id=i, name=param, bitwidth=width)
    for number, (name, (fields, *actions)) in enumerate(_TABLES.items(), 1):
        table_ids[name] = 0x02000000 + number
        table = info.tables.add(preamble=_preamble(table_ids[name], name), size=1024)
        kind = p4i.MatchField.LPM if name == "ipv4_lpm" else p4i.MatchField.EXACT
        for i, (field, width) in enumerate(fields.items(), 1):
            table.match_fields.add(id=i, name=field, bitwidth=width, match_type=kind)
        for action_name in actions:
            table.action_refs.add(id=action_ids[action_name])
    readers = _preamble(0x11000001, "readers", prefix="")
    info.action_profiles.add(preamble=readers, with_selector=True, size=64, table_ids=[table_ids["read_route"]])
    (reading,) = (table for table in info.tables if table.preamble.alias == "read_route")
    reading.implementation_id = readers.id
    for number, (name, metadata) in enumerate(_HEADERS.items(), 1):
        header = info.controller_packet_metadata.add(preamble=_preamble(0x04000000 + number, name, prefix=""))
        for i, (field, width) in enumerate(metadata.items(), 1):
            header.metadata.add(id=i, name=field, bitwidth=width)
    for number, (name, size) in enumerate(_COUNTERS.items(), 1):
        info.counters.add(preamble=_preamble(0x12000000 + number, name), size=size, spec={"unit": "BOTH"})
    for number, (name, table_name) in enumerate(_DIRECT_COUNTERS.items(), 1):
        counter_id = 0x13000000 + number
        info.direct_counters.add(
            preamble=_preamble(counter_id, name), spec={"unit": "BOTH"}, direct_table_id=table_ids[table_name]
        )
        next(t for t in info.tables if t.preamble.id == table_ids[table_name]).direct_resource_ids.append(counter_id)
    for number, (name, table_name) in enumerate(_DIRECT_METERS.items(), 1):
        meter_id = 0x15000000 + number
        info.direct_meters.add(
            preamble=_preamble(meter_id, name), spec={"unit": "PACKETS"}, direct_table_id=table_ids[table_name]
        )
        next(t for t in info.tables if t.preamble.id == table_ids[table_name]).direct_resource_ids.append(meter_id)
    for number, (name, fields) in enumerate(_DIGESTS.items(), 1):
        info.digests.add(
            preamble=_preamble(0x17000000 + number, name, prefix=""),
            type_spec=p4t.P4DataTypeSpec(struct=p4t.P4NamedType(name=name)),
        )
        members = [_field(field, width) for field, width in fields.items()]
        info.type_info.structs[name].CopyFrom(p4t.P4StructTypeSpec(members=members))
    return info


def _field(name: str, width: int) -> p4t.P4StructTypeSpec.Member:
    bits = p4t.P4BitstringLikeTypeSpec(bit=p4t.P4BitTypeSpec(bitwidth=width))
    return p4t.P4StructTypeSpec.Member(name=name, type_spec=p4t.P4DataTypeSpec(bitstring=bits))


def _preamble(number: int, name: str, prefix: str = "ingress.part.") -> p4i.Preamble:
    return p4i.Preamble(id=number, name=prefix + name, alias=name)


def write_program(folder: Path) -> tuple[Path, Path]:
    """Files as a compiler would leave them: (BMv2 JSON, P4Info)."""
    json_file, info_file = folder / "raft.json", folder / "raft.p4info.txtpb"
    json_file.write_text('{"program": "stub"}')
    info_file.write_text(text_format.MessageToString(p4info()))
    return json_file, info_file
