"""What the switches under the bench are given: programs, table entries, and frames that meet them."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.switch.runtime import Rule
from hosts.raft.message import MessageType
from hosts.wire import DEFAULT_PORT, Header

REPOSITORY = Path(__file__).parents[2]
GATEWAY, HOST_A, HOST_B = 0x08_00_00_00_01_00, 0x00_00_0A_00_01_01, 0x00_00_0A_00_02_02
A, B = 0x0A00_0101, 0x0A00_0202
PORT_A, PORT_B = 1, 2
GROUP, TERM = 1, 5
FRAMES = 16384
"""Different frames that are sent in turn to a table, whatever its size: what differs between sizes is then the
table's cost, not the generator's. With more entries than this, a random choice of them is met."""


@dataclass(frozen=True)
class Compiled:
    """A program as both switches take it."""

    name: str
    program: Path
    p4info: Path


def compile_program(source: Path, folder: Path, *options: str) -> Compiled:
    """Run p4compiler. Raises CalledProcessError; its words are on stderr."""
    command = [sys.executable, "-m", "p4compiler", str(source), "-o", str(folder), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=REPOSITORY)
    return Compiled(source.stem, folder / f"{source.stem}.json", folder / f"{source.stem}.p4info.txtpb")


def compile_raft(folder: Path) -> Compiled:
    return compile_program(REPOSITORY / "p4" / "raft.p4", folder, "-I", str(REPOSITORY / "p4" / "include"))


def compile_l3(folder: Path, match: str = "lpm", size: int = 1024) -> Compiled:
    return compile_program(Path(__file__).with_name("l3.p4"), folder, "-D", f"MATCH={match}", "-D", f"SIZE={size}")


# Frames ----------------------------------------------------------------------------------------


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def datagram(src_mac: int, source: int, destination: int, payload: bytes, *, port: int = DEFAULT_PORT) -> bytes:
    """An Ethernet frame to the gateway; UDP without checksum."""
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 28 + len(payload), 0, 0x4000, 64, 17, 0, source, destination)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    udp = struct.pack("!HHHH", port, port, 8 + len(payload), 0)
    return GATEWAY.to_bytes(6, "big") + src_mac.to_bytes(6, "big") + b"\x08\x00" + ip + udp + payload


def raft_frame(size: int, *, back: bool = False) -> bytes:
    """The leader's AppendEntries from A to B, or B's answer; `size`: bytes of UDP payload."""
    kind = MessageType.APPEND_ENTRIES_REPLY if back else MessageType.APPEND_ENTRIES
    header = Header(kind, 2 if back else 1, 1 if back else 2, GROUP, TERM).pack()
    payload = header + bytes(size - len(header))
    return datagram(HOST_B, B, A, payload) if back else datagram(HOST_A, A, B, payload)


def plain_frame(size: int, destination: int = B, *, back: bool = False) -> bytes:
    payload = bytes(size)
    if back:
        return datagram(HOST_B, B, A, payload, port=9)
    return datagram(HOST_A, A, destination, payload, port=9)


def write_frames(path: Path, frames: Sequence[bytes]) -> Path:
    """Write frames to a file as traffic.c reads them."""
    path.write_bytes(b"".join(struct.pack("<H", len(frame)) + frame for frame in frames))
    return path


# Entries ---------------------------------------------------------------------------------------


def raft_rules() -> list[Rule]:
    """Two members at edge ports, every feature on, as the controller would write it."""
    return [
        *(Rule("members", (GROUP, m, ip, port), "is_member") for m, ip, port in ((1, A, PORT_A), (2, B, PORT_B))),
        Rule("guard_enforce", (GROUP,), "enforce"),
        Rule("groups", (GROUP,), "set_group", (0, 2, 1, TERM, A, DEFAULT_PORT)),
        Rule("leader_watch", (GROUP,), "watch", (100_000,)),
        Rule("term_filter", (GROUP,), "drop_stale"),
        Rule("leader_route", (GROUP,), "steer_to_leader"),
        *(Rule("ipv4_lpm", ((ip, 32),), "forward", (mac, port)) for ip, mac, port in _HOSTS),
        *(Rule("ipv4_lpm", ((0x0A00_0300 + i, 32),), "forward", (HOST_B, PORT_B)) for i in range(8)),
    ]


def l3_rules() -> list[Rule]:
    return [Rule("routes", ((ip, 32),), "forward", (mac, port)) for ip, mac, port in _HOSTS]


_HOSTS = ((A, HOST_A, PORT_A), (B, HOST_B, PORT_B))


def many_rules(match: str, count: int, seed: int = 1) -> tuple[list[Rule], list[int]]:
    """`count` entries of l3.p4, and addresses that meet them evenly.

    lpm: prefixes of 16 to 32 bits, most of them long. ternary: 32 masks (a prefix and a set of low bits each), every
    entry with a priority of its own.
    """
    chance = random.Random(seed)
    keys: dict[tuple[int, int], None] = {}
    masks = [_mask(16 + i // 2) & ~(1 << (i % 3)) & 0xFFFF_FFFF for i in range(32)]
    while len(keys) < count:
        address = chance.getrandbits(32)
        if match == "exact":
            mask = 0xFFFF_FFFF
        elif match == "lpm":
            mask = _mask(min(32, max(16, round(chance.triangular(16, 32, 30)))))
        else:
            mask = masks[chance.randrange(len(masks))]
        keys[address & mask, mask] = None
    rules, addresses = [], []
    for at, (value, mask) in enumerate(keys):
        key: int | tuple[int, int] | str
        if match == "exact":
            key, priority = value, 0
        elif match == "lpm":
            key, priority = (value, mask.bit_count()), 0
        else:
            key, priority = f"{value}&{mask}", at + 1
        rules.append(Rule("routes", (key,), "forward", (HOST_B, PORT_B), priority))
        addresses.append(value | (chance.getrandbits(32) & ~mask & 0xFFFF_FFFF))
    chance.shuffle(addresses)
    return rules, addresses[:FRAMES]


def table_frames(addresses: Sequence[int]) -> list[bytes]:
    """FRAMES different ones, to these addresses in turn."""
    frames = [plain_frame(64, addresses[number % len(addresses)]) for number in range(FRAMES)]
    # Told apart by their UDP source port, at byte 34.
    return [frame[:34] + struct.pack("!H", number) + frame[36:] for number, frame in enumerate(frames)]


def _mask(bits: int) -> int:
    return 0xFFFF_FFFF << (32 - bits) & 0xFFFF_FFFF
