"""The traffic manager: drop, multicast, clones, resubmit, recirculate, truncate, and the metadata that each sees.

What egress sees of the metadata was compared with simple_switch 1.15.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import BadValue, NoSuchEntry, Pipeline, Replica
from tests.p4switch.bmv2json import Json, Programs, assign, call, drop, fld, header, hexstr, op, send_to

NORMAL, INGRESS_CLONE, EGRESS_CLONE, RECIRCULATED, REPLICATED, RESUBMITTED = 0, 1, 2, 4, 5, 6

SHOWN = {
    "ingress_port": 16,
    "egress_port": 16,
    "instance_type": 8,
    "packet_length": 16,
    "egress_rid": 16,
}


def program(*ingress: Json, egress: tuple[Json, ...] = ()) -> Programs:
    """A command byte and a mark; egress puts a header in front that shows what it sees, and metadata `meta.kept`."""
    p = Programs()
    p.header("h", {"command": 8, "mark": 8})
    p.header("show", {**SHOWN, "kept": 8, "lost": 8})
    p.meta(kept=8, lost=8)
    p.field_lists.append({"id": 1, "name": "fl", "elements": [fld("meta", "kept")]})
    p.state("start", [p.extract("h")])
    p.run(
        *(assign(("meta", n), op("&", op("+", fld("meta", n), 3), 0xFF)) for n in ("kept", "lost")),
        send_to(1),
        *ingress,
    )
    p.run(
        call("add_header", header("show")),
        *(assign(("show", n), fld("standard_metadata", n)) for n in SHOWN),
        assign(("show", "kept"), fld("meta", "kept")),
        assign(("show", "lost"), fld("meta", "lost")),
        *egress,
        control="egress",
    )
    p.emit = ["show", "h"]
    return p


def shown(frame: bytes) -> dict[str, int]:
    at, values = 0, {}
    for name, bits in {**SHOWN, "kept": 8, "lost": 8}.items():
        values[name] = int.from_bytes(frame[at : at + bits // 8], "big")
        at += bits // 8
    return values


def first_time(*primitives: Json) -> list[Json]:
    """Only for packets whose mark is still 0, which is then set."""
    once = op("b2d", None, op("==", fld("h", "mark"), 0))
    return [call("_jump_if_zero", once, hexstr(100)), *primitives]


def steps(p: Programs, frame: bytes, cache: Path) -> list[tuple[int, dict[str, int], bytes]]:
    for action in p.actions:
        for primitive in action["primitives"]:
            if primitive["op"] == "_jump_if_zero":
                primitive["parameters"][1] = hexstr(len(action["primitives"]))
    with Pipeline.load(p.json(), cache=cache, flags=QUICK) as pipeline:
        pipeline.set_clone_session(5, [Replica(4, 7), Replica(5, 8)])
        pipeline.set_multicast_group(1, [Replica(6, 1), Replica(7, 2), Replica(6, 3)])
        packets = pipeline.step(3, frame, 1000).packets
    return [(port, shown(out), out[11:]) for port, out in packets]


def test_unicast(build_cache: Path) -> None:
    ((port, seen, rest),) = steps(program(), b"\0\0payload", build_cache)
    assert (port, rest) == (1, b"\0\0payload")
    assert seen == {
        "ingress_port": 3,
        "egress_port": 1,
        "instance_type": NORMAL,
        "packet_length": 9,
        "egress_rid": 0,
        "kept": 3,
        "lost": 3,
    }


def test_drop_and_revival(build_cache: Path) -> None:
    assert steps(program(drop()), b"\0\0", build_cache) == []
    assert [p[0] for p in steps(program(drop(), send_to(2)), b"\0\0", build_cache)] == [2]
    assert steps(program(egress=(drop(),)), b"\0\0", build_cache) == []
    assert steps(program(send_to(511)), b"\0\0", build_cache) == []


def test_multicast_makes_copies_and_no_original(build_cache: Path) -> None:
    packets = steps(
        program(assign(("standard_metadata", "mcast_grp"), 1), assign(("h", "mark"), 9)), b"\0\0", build_cache
    )
    assert [(p, s["egress_rid"], s["instance_type"], s["kept"], r) for p, s, r in packets] == [
        (6, 1, REPLICATED, 3, b"\0\x09"),
        (7, 2, REPLICATED, 3, b"\0\x09"),
        (6, 3, REPLICATED, 3, b"\0\x09"),
    ]
    assert steps(program(assign(("standard_metadata", "mcast_grp"), 9)), b"\0\0", build_cache) == []
    assert steps(program(assign(("standard_metadata", "mcast_grp"), 1), drop()), b"\0\0", build_cache) == []


def test_ingress_clone_is_the_packet_as_it_came(build_cache: Path) -> None:
    clone = call("clone_ingress_pkt_to_egress", hexstr(5), hexstr(1))
    packets = steps(program(clone, assign(("h", "mark"), 9), drop()), b"\1\0xy", build_cache)
    assert [(p, r, s) for p, s, r in packets] == [
        (
            port,
            b"\1\0xy",
            {
                "ingress_port": 0,
                "egress_port": port,
                "instance_type": INGRESS_CLONE,
                "packet_length": 4,
                "egress_rid": rid,
                "kept": 3,
                "lost": 0,
            },
        )
        for port, rid in ((4, 7), (5, 8))
    ]


def test_egress_clone_is_the_packet_as_it_leaves(build_cache: Path) -> None:
    clone = call("clone_egress_pkt_to_egress", hexstr(5), hexstr(1))
    packets = steps(program(egress=tuple(first_time(clone, assign(("h", "mark"), 9)))), b"\1\0xy", build_cache)
    assert [(p, s["instance_type"], s["kept"], s["lost"], s["packet_length"], r) for p, s, r in packets] == [
        (1, NORMAL, 3, 3, 4, b"\1\x09xy"),
        (4, EGRESS_CLONE, 3, 0, 15, b"\1\x09xy"),
        (5, EGRESS_CLONE, 3, 0, 15, b"\1\x09xy"),
    ]


def test_a_clone_to_nowhere(build_cache: Path) -> None:
    clone = call("clone_ingress_pkt_to_egress", hexstr(6), hexstr(1))
    assert [p[0] for p in steps(program(clone), b"\0\0", build_cache)] == [1]


def test_resubmit_keeps_the_listed_fields_and_the_packet_as_it_came(build_cache: Path) -> None:
    fresh = op("b2d", None, op("==", fld("standard_metadata", "instance_type"), NORMAL))
    p = program(
        call("_jump_if_zero", fresh, hexstr(100)),
        assign(("h", "mark"), 9),
        call("resubmit", hexstr(1)),
    )
    ((port, seen, rest),) = steps(p, b"\1\0xy", build_cache)
    assert (port, rest) == (1, b"\1\0xy")
    assert (seen["kept"], seen["lost"], seen["packet_length"]) == (6, 3, 4)


def test_recirculated_packets_go_around_as_they_were_deparsed(build_cache: Path) -> None:
    again = call("recirculate", hexstr(1))
    p = program(egress=tuple(first_time(again, assign(("h", "mark"), 9), call("remove_header", header("show")))))
    ((port, seen, rest),) = steps(p, b"\1\0xy", build_cache)
    assert (port, rest) == (1, b"\1\x09xy")
    assert (seen["kept"], seen["lost"], seen["ingress_port"], seen["packet_length"]) == (6, 3, 0, 4)


def test_endless_rounds_end(build_cache: Path) -> None:
    assert steps(program(call("resubmit", hexstr(1))), b"\0\0", build_cache) == []
    assert steps(program(egress=(call("recirculate", hexstr(1)),)), b"\0\0", build_cache) == []
    bomb = program(egress=(call("clone_egress_pkt_to_egress", hexstr(5), hexstr(1)),))
    assert 1000 < len(steps(bomb, b"\0\0", build_cache)) < 50_000


def test_truncate(build_cache: Path) -> None:
    with_length = program(call("truncate", hexstr(14)))
    ((_, _, rest),) = steps(with_length, b"\1\0abcdefgh", build_cache)
    assert rest == b"\1\0a"
    copies = steps(
        program(call("truncate", hexstr(14)), assign(("standard_metadata", "mcast_grp"), 1)),
        b"\1\0abcdefgh",
        build_cache,
    )
    assert {r for _, _, r in copies} == {b"\1\0abcdefgh"}


def test_clone_sessions_truncate_too(build_cache: Path) -> None:
    clone = program(call("clone_ingress_pkt_to_egress", hexstr(3), hexstr(1)))
    with Pipeline.load(clone.json(), cache=build_cache, flags=QUICK) as pipeline:
        pipeline.set_clone_session(3, [Replica(4, 0)], truncate_bytes=12)
        assert [(p, len(f)) for p, f in pipeline.step(0, bytes(50), 0).packets] == [(4, 12), (1, 61)]
        assert pipeline.clone_sessions() == {3: ((Replica(4, 0),), 12)}
        pipeline.delete_clone_session(3)
        assert [p for p, _ in pipeline.step(0, bytes(50), 0).packets] == [1]
        with pytest.raises(NoSuchEntry):
            pipeline.delete_clone_session(3)
        with pytest.raises(BadValue):
            pipeline.set_multicast_group(0, [])
        with pytest.raises(NoSuchEntry):
            pipeline.delete_multicast_group(1)


def test_timestamps_are_the_step_s(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"in": 48, "out": 48})
    p.run(assign(("h", "in"), fld("standard_metadata", "ingress_global_timestamp")), send_to(1))
    p.run(assign(("h", "out"), fld("standard_metadata", "egress_global_timestamp")), control="egress")
    with Pipeline.load(p.json(), cache=build_cache, flags=QUICK) as pipeline:
        ((_, frame),) = pipeline.step(0, bytes(12), 0x112233).packets
        assert frame == (0x112233).to_bytes(6, "big") * 2


def test_frames_of_any_size(build_cache: Path) -> None:
    with Pipeline.load(program().json(), cache=build_cache, flags=QUICK) as pipeline:
        for size in (0, 1, 2, 64, 1514, 9000, 65000):
            assert len(pipeline.step(0, bytes(size), 0).packets[0][1]) == size + 11
        assert pipeline.step(0, bytes(65536), 0).packets == ()
        assert pipeline.step(0, bytes(65535), 0).packets == ()
