"""Externs of v1model: counters, meters, registers, random, hashes, checksums, digests, log_msg, assert."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from pathlib import Path

import pytest

from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import BadValue, Exact, MeterRates, Pipeline, UnknownName
from tests.p4switch.bmv2json import Json, Programs, assign, call, fld, header, hexstr, op, param, send_to


def load(p: Programs, cache: Path) -> Pipeline:
    return Pipeline.load(p.json(), cache=cache, flags=QUICK)


def out(pipeline: Pipeline, frame: bytes, now_us: int = 0, random: int = 0) -> bytes:
    ((port, got),) = pipeline.step(0, frame, now_us, random).packets
    assert port == 1
    return got


def named(kind: str, name: str) -> Json:
    return {"type": kind, "value": name}


def test_counter_counts_and_ignores_what_lies_beyond(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"i": 32})
    p.counters.append({"name": "c", "id": 0, "size": 4, "is_direct": False})
    p.run(call("count", named("counter_array", "c"), fld("h", "i")), send_to(1))
    with load(p, build_cache) as pipeline:
        for i in (0, 3, 3, 4, 0xFFFFFFFF):
            out(pipeline, i.to_bytes(4, "big") + b"xyz")
        assert pipeline.counters("c") == [(1, 7), (0, 0), (0, 0), (2, 14)]
        pipeline.set_counter("c", 1, 5, 6)
        assert pipeline.counter("c", 1) == (5, 6)
        with pytest.raises(BadValue):
            pipeline.counter("c", 4)
        with pytest.raises(UnknownName):
            pipeline.counter("d", 0)


@pytest.mark.parametrize("width", [1, 16, 64, 65, 576])
def test_registers_of_any_width(width: int, build_cache: Path) -> None:
    p = Programs(parse=["h"])
    fill = -width % 8 or 8
    p.header("h", {"i": 32, "fill": fill, "v": width})
    p.registers.append({"name": "r", "id": 0, "size": 3, "bitwidth": width})
    register = named("register_array", "r")
    p.meta(old=width)
    p.run(
        call("register_read", fld("meta", "old"), register, fld("h", "i")),
        call("register_write", register, fld("h", "i"), fld("h", "v")),
        assign(("h", "v"), fld("meta", "old")),
        send_to(1),
    )
    size = (fill + width) // 8
    most = (1 << width) - 1
    with load(p, build_cache) as pipeline:
        assert out(pipeline, (2).to_bytes(4, "big") + most.to_bytes(size, "big"))[4:] == bytes(size)
        assert pipeline.registers("r") == [0, 0, most]
        pipeline.set_register("r", 2, most ^ 1)
        assert out(pipeline, (2).to_bytes(4, "big") + bytes(size))[4:] == (most ^ 1).to_bytes(size, "big")
        assert pipeline.register("r", 2) == 0
        beyond = (3).to_bytes(4, "big") + most.to_bytes(size, "big")
        assert out(pipeline, beyond)[4:] == bytes(size)
        assert pipeline.registers("r") == [0, 0, 0]
        with pytest.raises(BadValue):
            pipeline.set_register("r", 0, most + 1)


def meter_program(direct: bool, unit: str = "packets") -> Programs:
    p = Programs(parse=["h"])
    p.header("h", {"i": 8, "colour": 8})
    p.meters.append(
        {
            "name": "m",
            "id": 0,
            "type": unit,
            "rate_count": 2,
            "size": 4,
            "is_direct": direct,
            **({"binding": "t", "result_target": ["h", "colour"]} if direct else {}),
        }
    )
    p.action("nothing")
    if direct:
        p.table("t", [("exact", "h", "i")], ["nothing"], default="nothing", direct_meters="m")
        p.run(send_to(1))
    else:
        p.run(call("execute_meter", named("meter_array", "m"), fld("h", "i"), fld("h", "colour")), send_to(1))
    return p


def colours(pipeline: Pipeline, times: Sequence[int], index: int = 1) -> list[int]:
    return [out(pipeline, bytes([index, 0xFF]), t)[1] for t in times]


def test_meter_is_green_then_yellow_then_red_and_recovers(build_cache: Path) -> None:
    with load(meter_program(False), build_cache) as pipeline:
        assert colours(pipeline, [0] * 3) == [0, 0, 0]
        pipeline.set_meter("m", 1, MeterRates(cir=10, cburst=2, pir=20, pburst=4))
        assert pipeline.meter("m", 1) == MeterRates(10, 2, 20, 4)
        assert colours(pipeline, [0] * 6) == [0, 0, 1, 1, 2, 2]
        # 100 ms later: 1 committed and 2 peak tokens
        assert colours(pipeline, [100_000] * 3) == [0, 1, 2]
        assert colours(pipeline, [0] * 2, index=2) == [0, 0]
        assert colours(pipeline, [0], index=9) == [0xFF]
        pipeline.set_meter("m", 1, MeterRates(0, 0, 0, 0))
        assert colours(pipeline, [10**9]) == [2]
        pipeline.set_meter("m", 1, None)
        assert colours(pipeline, [10**9]) == [0]


def test_meter_of_bytes(build_cache: Path) -> None:
    with load(meter_program(False, "bytes"), build_cache) as pipeline:
        pipeline.set_meter("m", 1, MeterRates(cir=1000, cburst=4, pir=1000, pburst=6))
        assert colours(pipeline, [0] * 4) == [0, 0, 1, 2]
        assert colours(pipeline, [2000]) == [0]


def test_direct_meter_runs_on_a_hit_only(build_cache: Path) -> None:
    with load(meter_program(True), build_cache) as pipeline:
        handle = pipeline.insert("t", [Exact(1)], "nothing")
        assert colours(pipeline, [0] * 2) == [0, 0]
        pipeline.set_entry_meter("t", handle, MeterRates(0, 1, 0, 1))
        assert colours(pipeline, [0] * 2) == [0, 2]
        assert colours(pipeline, [0], index=2) == [0xFF]
        assert pipeline.entry_meter("t", handle) == MeterRates(0, 1, 0, 1)


def test_random_stays_in_its_bounds_and_repeats_with_its_seed(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"low": 8, "high": 8, "a": 8, "b": 8})
    for name in "ab":
        p.run(call("modify_field_rng_uniform", fld("h", name), fld("h", "low"), fld("h", "high")))
    p.run(send_to(1))
    with load(p, build_cache) as pipeline:
        got = [out(pipeline, bytes([10, 13, 0, 0]), random=r)[2:] for r in range(60)]
        assert {x for pair in got for x in pair} == {10, 11, 12, 13}
        assert any(a != b for a, b in got)
        assert got == [out(pipeline, bytes([10, 13, 0, 0]), random=r)[2:] for r in range(60)]
        assert out(pipeline, bytes([13, 10, 7, 8]))[2:] == bytes([7, 8])
        assert 0 <= out(pipeline, bytes([0, 255, 0, 0]), random=3)[2] <= 255


def crc16_arc(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def csum16(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _xor16(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = 0
    for i in range(0, len(data), 2):
        total ^= int.from_bytes(data[i : i + 2], "big")
    return total


@pytest.mark.parametrize(
    ("algorithm", "width", "expected"),
    [
        ("crc16", 16, crc16_arc),
        ("crc32", 32, binascii.crc32),
        ("crcCCITT", 16, lambda d: binascii.crc_hqx(d, 0xFFFF)),
        ("csum16", 16, csum16),
        ("identity", 64, lambda d: int.from_bytes(d[:8], "big")),
        ("xor16", 16, _xor16),
    ],
)
def test_hashes(algorithm: str, width: int, expected: object, build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 4, "b": 12, "c": 48, "w": 72, "d": 3, "e": 5})
    p.header("o", {"all": width, "mod": 16})
    inputs = [fld("h", n) for n in ("a", "b", "c", "w", "d", "e")]
    p.calculations.append({"name": "calc", "id": 0, "algo": algorithm, "input": inputs})
    calc = named("calculation", "calc")
    p.run(
        call("add_header", header("o")),
        call(
            "modify_field_with_hash_based_offset",
            fld("o", "all"),
            hexstr(0),
            calc,
            hexstr((1 << width) - 1 | 1 << 40),
        ),
        call("modify_field_with_hash_based_offset", fld("o", "mod"), hexstr(100), calc, hexstr(7)),
        send_to(1),
    )
    p.emit = ["o"]
    frame = bytes(range(3, 21))
    assert callable(expected)
    with load(p, build_cache) as pipeline:
        for data in (frame[:18], bytes(18), b"\xff" * 18):
            got = out(pipeline, data)
            want = expected(data)
            assert int.from_bytes(got[: width // 8], "big") == want % ((1 << width) - 1 | 1 << 40)
            assert int.from_bytes(got[width // 8 :], "big") == 100 + want % 7


def checksum_program(payload: bool, sizes: dict[str, int]) -> Programs:
    p = Programs(parse=["h"])
    p.header("h", {"sum": 16, **sizes})
    p.header("o", {"error": 8})
    inputs: list[Json] = [fld("h", n) for n in sizes]
    if payload:
        inputs.append({"type": "payload", "value": None})
    p.calculations.append({"name": "calc", "id": 0, "algo": "csum16", "input": inputs})
    for name, verify, update in (("v", True, False), ("u", False, True)):
        p.checksums.append(
            {
                "name": name,
                "id": 0,
                "target": ["h", "sum"],
                "type": "generic",
                "calculation": "calc",
                "verify": verify,
                "update": update,
                "if_cond": op("d2b", None, fld("h", "$valid$")),
            }
        )
    p.run(
        call("add_header", header("o")),
        assign(("o", "error"), fld("standard_metadata", "checksum_error")),
        send_to(1),
    )
    p.emit = ["o", "h"]
    return p


@pytest.mark.parametrize("payload", [False, True])
@pytest.mark.parametrize("sizes", [{"a": 32, "b": 48}, {"a": 4, "b": 128, "c": 28}, {"a": 8, "b": 16}])
def test_checksums(payload: bool, sizes: dict[str, int], build_cache: Path) -> None:
    size = sum(sizes.values()) // 8
    with load(checksum_program(payload, sizes), build_cache) as pipeline:
        for seed in (b"\0", b"\xff", b"\x12\x9a\xfe", b"\x80"):
            body = (seed * size)[:size]
            for rest in (b"", b"\x01", b"\xff\xff\xff", bytes(range(100))):
                good = csum16(body + rest if payload else body)
                assert (
                    out(pipeline, good.to_bytes(2, "big") + body + rest)
                    == b"\0" + good.to_bytes(2, "big") + body + rest
                )
                wrong = (good ^ 0x100).to_bytes(2, "big") + body + rest
                assert out(pipeline, wrong) == b"\1" + good.to_bytes(2, "big") + body + rest
        assert out(pipeline, b"\1") == b"\0\1"


def test_digest_carries_the_values_at_the_end_of_ingress(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8, "wide": 96})
    p.digests.append({"name": "d_t", "id": 1, "elements": [fld("h", "a"), fld("h", "wide")]})
    p.run(call("generate_digest", hexstr(1), hexstr(1)), assign(("h", "a"), 9), send_to(1))
    with load(p, build_cache) as pipeline:
        output = pipeline.step(0, b"\1" + bytes(range(12)), 0)
        assert output.digests == (("d_t", (9, int.from_bytes(bytes(range(12)), "big"))),)
        assert len(output.packets) == 1


def test_log_msg_and_assert(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8})
    values = {"type": "parameters_vector", "value": [fld("h", "a"), hexstr(5)]}
    p.run(call("log_msg", {"type": "string", "value": "a={} and {}"}, values))
    p.run(call("assert", op("b2d", None, op("!=", fld("h", "a"), 7))), send_to(1))
    with load(p, build_cache) as pipeline:
        assert pipeline.step(0, b"\3", 0).log == ()
        pipeline.set_logging(True)
        assert pipeline.step(0, b"\3", 0).log == ("a=3 and 5",)
        failed = pipeline.step(0, b"\7", 0)
        assert failed.packets == () and "assertion" in failed.log[1]
        assert len(pipeline.step(0, b"\3", 0).packets) == 1


def test_jumps_and_endless_loops(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"n": 8, "sum": 16})
    p.run(send_to(1))
    p.run(
        call("_jump_if_zero", op("b2d", None, op(">", fld("h", "n"), 0)), hexstr(4)),
        assign(("h", "sum"), op("&", op("+", fld("h", "sum"), fld("h", "n")), 0xFFFF)),
        assign(("h", "n"), op("&", op("-", fld("h", "n"), 1), 0xFF)),
        call("_jump", hexstr(0)),
    )
    p.action("forever", call("_jump", hexstr(0)))
    p.action("nothing")
    p.table("t", [("exact", "h", "sum")], ["forever", "nothing"], default="nothing")
    with load(p, build_cache) as pipeline:
        assert out(pipeline, b"\x0a\0\0") == b"\0\0\x37"
        pipeline.insert("t", [Exact(1)], "forever")
        assert out(pipeline, b"\1\0\0") == b"\0\0\1"


def test_exit_ends_ingress_but_not_egress(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8, "b": 8})
    p.run(send_to(1), call("exit"))
    p.run(assign(("h", "a"), 1))
    p.run(assign(("h", "b"), 1), control="egress")
    with load(p, build_cache) as pipeline:
        assert out(pipeline, b"\0\0") == b"\0\1"


def test_parameters_of_actions(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8, "w": 160})
    p.action(
        "set",
        assign(("h", "w"), op("^", {"type": "local", "value": 1}, fld("h", "w"))),
        send_to(param(0)),
        params={"port": 9, "w": 160},
    )
    p.table("t", [("exact", "h", "a")], ["set"])
    with load(p, build_cache) as pipeline:
        value = int.from_bytes(bytes(range(100, 120)), "big")
        pipeline.insert("t", [Exact(5)], "set", [1, value])
        assert out(pipeline, b"\5" + bytes(20)) == b"\5" + bytes(range(100, 120))
