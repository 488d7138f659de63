"""etcd as the other system: its command line, and the little of its gRPC interface (v3) that is needed here.

Messages are packed and read by hand, field by field as its ``rpc.proto`` numbers them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

PUT = "/etcdserverpb.KV/Put"
STATUS = "/etcdserverpb.Maintenance/Status"
MOVE_LEADER = "/etcdserverpb.Maintenance/MoveLeader"
CLIENT_PORT, PEER_PORT = 23790, 23800
INSTALL = "etcd is not installed and left out; on Debian and Ubuntu: sudo apt install etcd-server etcd-client"


def installed(tool: str = "etcd") -> bool:
    return shutil.which(tool) is not None


def version() -> str:
    """What is installed, and how it is used."""
    told = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=False).stdout
    return f"{told.splitlines()[0] if told else 'etcd of an unknown version'}, durable and linearizable, too"


def command(
    member: int, addresses: Mapping[int, str], folder: Path, heartbeat_ms: int, election_timeout_ms: int
) -> list[str]:
    """What runs one member; it syncs its log before it acknowledges, as etcd does unless told otherwise."""
    peers = {one: f"http://{address}:{PEER_PORT}" for one, address in addresses.items()}
    client = f"http://{addresses[member]}:{CLIENT_PORT}"
    settings = {
        "name": f"m{member}",
        "data-dir": str(folder / f"m{member}"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peers[member],
        "initial-advertise-peer-urls": peers[member],
        "initial-cluster": ",".join(f"m{one}={url}" for one, url in peers.items()),
        "heartbeat-interval": str(heartbeat_ms),
        "election-timeout": str(election_timeout_ms),
        "quota-backend-bytes": str(8 << 30),
        "logger": "zap",
        "log-level": "warn",
    }
    return ["etcd", *(part for name, value in settings.items() for part in (f"--{name}", value))]


# Messages ------------------------------------------------------------------------------------------------------


def put_request(key: bytes, value: bytes) -> bytes:
    """PutRequest: key = 1, value = 2."""
    return b"".join((b"\x0a", varint(len(key)), key, b"\x12", varint(len(value)), value))


def status_of(response: bytes) -> tuple[int, int, int]:
    """(member id, the leader's id, term) of a StatusResponse: header = 1 (member_id = 2), leader = 4, raft_term = 6.
    The leader is 0 if there is none."""
    fields = dict(fields_of(response))
    header = dict(fields_of(bytes(fields[1]))) if isinstance(fields.get(1), bytes) else {}
    return _number(header.get(2)), _number(fields.get(4)), _number(fields.get(6))


def _number(value: int | bytes | None) -> int:
    return value if isinstance(value, int) else 0


def varint(number: int) -> bytes:
    packed = bytearray()
    while number > 127:
        packed.append(number & 127 | 128)
        number >>= 7
    packed.append(number)
    return bytes(packed)


def fields_of(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The varint and length-delimited fields of a protobuf message, as they come. ValueError for other kinds."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(message):
        tag = number()
        if tag & 7 == 0:
            yield tag >> 3, number()
        elif tag & 7 == 2:
            length = number()
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError(f"a field of wire type {tag & 7}")


def ask(address: str, method: str, request: bytes, timeout_s: float = 2.0) -> bytes | None:
    """What the member at ``address`` answers; None if it does not. Call where it can be reached."""
    import grpc

    with grpc.insecure_channel(f"{address}:{CLIENT_PORT}") as channel:
        call: Callable[..., bytes] = channel.unary_unary(method)
        try:
            return call(request, timeout=timeout_s)
        except grpc.RpcError:
            return None


def main() -> None:
    """``python -m bench.consensus.etcd [--move] ADDRESS...``: as JSON, the place in the list of who leads
    (or null), and the highest term. ``--move`` has leadership handed to the first, if another leads.

    A program of its own, because it must run where the members can be reached."""
    move = "--move" in sys.argv
    addresses = [word for word in sys.argv[1:] if word != "--move"]
    told = [status_of(answer) if answer else None for answer in (ask(address, STATUS, b"") for address in addresses)]
    leaders = [at for at, status in enumerate(told) if status is not None and status[0] == status[1] != 0]
    terms = [status[2] for status in told if status is not None]
    if move and leaders and leaders[0] != 0 and told[0] is not None:
        ask(addresses[leaders[0]], MOVE_LEADER, b"\x08" + varint(told[0][0]))
    print(json.dumps({"leader": leaders[0] if leaders else None, "term": max(terms, default=0)}))


if __name__ == "__main__":
    main()
