"""The command line: simple_switch_grpc's flags, so that a lab can start either switch with the same words.

    python -m p4switch [generic flags] (PROGRAM.json | --no-p4) [-- target flags]

One difference: without --grpc-server-addr the server listens on loopback.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, NoReturn

DEFAULT_ADDRESS = "127.0.0.1:9559"
DROP_PORT = 511
MAX_PORT = 511
"""v1model's ports have 9 bits."""
MAX_DEVICE_ID = (1 << 64) - 1
MAX_TCP_PORT = 65535

LOG_LEVELS = ("trace", "debug", "info", "warn", "error", "off")
IGNORED = {
    "thrift_port": "--thrift-port",
    "max_port_count": "--max-port-count",
    "log_flush": "--log-flush",
    "nanolog": "--nanolog",
    "notifications_addr": "--notifications-addr",
    "debugger": "--debugger",
    "debugger_addr": "--debugger-addr",
    "restore_state": "--restore-state",
    "dump_packet_data": "--dump-packet-data",
    "log_file_max_size": "--log-file-max-size",
    "log_file_max_files": "--log-file-max-files",
    "priority_queues": "--priority-queues",
    "disable_swap": "--disable-swap",
    "max_mc_groups": "--max-mc-groups",
    "max_l1_entries": "--max-l1-entries",
    "max_l2_entries": "--max-l2-entries",
}
"""Flags that are taken so that scripts written for simple_switch_grpc work, and that change nothing here."""

WHY_IGNORED = {
    "--max-port-count": f"port numbers go up to {MAX_PORT}",
    "--log-flush": "each line is written at once",
    "--drop-port": f"the port that drops is {DROP_PORT}",
}


class UsageError(Exception):
    """A command line that cannot be followed; the text says what to do."""


@dataclass(frozen=True)
class Tls:
    """PEM files of a TLS server; with `client_auth` clients must show a certificate that `ca` signed."""

    certificate: Path
    key: Path
    ca: Path | None = None
    client_auth: bool = False


@dataclass(frozen=True)
class Options:
    """What to run. `ports`: port number -> interface. `program` None: wait for a P4Runtime client to push one."""

    ports: dict[int, str] = field(default_factory=dict)
    program: Path | None = None
    device_id: int = 0
    address: str = DEFAULT_ADDRESS
    cpu_port: int | None = None
    pcap: Path | None = None
    cache: Path | None = None
    log_level: str = "info"
    log_file: Path | None = None
    log_console: bool = False
    tls: Tls | None = None
    ignored: tuple[str, ...] = ()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def parse(arguments: Sequence[str]) -> Options:
    """Read a command line (without the program's name).

    Raises:
        UsageError: one line that says what is wrong.
    """
    words = list(arguments)
    split = words.index("--") if "--" in words else len(words)
    generic, rest = _generic().parse_known_args(words[:split])
    target, unknown = _target().parse_known_args(rest + words[split + 1 :])
    if unknown:
        raise UsageError(f"unknown flag or second program: {unknown[0]} (see --help)")
    if generic.no_p4 and generic.program:
        raise UsageError(f"--no-p4 and a program ({generic.program}): give one of them")
    if not generic.no_p4 and not generic.program:
        raise UsageError("no program: give a BMv2 JSON file, or --no-p4 and push one over P4Runtime")
    if generic.log_console and generic.log_file:
        raise UsageError("--log-console and --log-file exclude each other")
    cpu_port = _cpu_port(target.cpu_port, generic.interface)
    return Options(
        ports=_ports(generic.interface),
        program=Path(generic.program) if generic.program else None,
        device_id=generic.device_id,
        address=target.grpc_server_addr,
        cpu_port=cpu_port,
        pcap=_pcap_folder(generic.pcap),
        cache=Path(generic.cache) if generic.cache else None,
        log_level=generic.log_level,
        log_file=Path(generic.log_file) if generic.log_file else None,
        log_console=generic.log_console,
        tls=_tls(target),
        ignored=_ignored({**vars(generic), **vars(target)}),
    )


def _ignored(given: dict[str, Any]) -> tuple[str, ...]:
    flags = [flag for name, flag in IGNORED.items() if given[name] not in (None, False)]
    if given["drop_port"] != DROP_PORT:
        flags.append("--drop-port")
    return tuple(flags)


def help_text(prog: str) -> str:
    """What --help prints."""
    return f"{_generic(prog).format_help()}\ntarget flags, after --:\n{_target().format_help()}"


def version() -> str:
    """What --version prints after the command's name."""
    try:
        return metadata.version("p4lite")
    except metadata.PackageNotFoundError:
        return "(checkout)"


def _generic(prog: str | None = None) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog,
        description="A v1model switch with P4Runtime; takes the flags of simple_switch_grpc.",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("program", nargs="?", help="the P4 program as BMv2 JSON")
    parser.add_argument("-h", "--help", action="store_true", help="print this and end")
    parser.add_argument("-v", "--version", action="store_true", help="print the version and end")
    parser.add_argument("--no-p4", action="store_true", help="start without a program: a client pushes one")
    parser.add_argument(
        "-i", "--interface", action="append", default=[], metavar="PORT@IFACE", help="a port; may be repeated"
    )
    parser.add_argument(
        "--device-id", type=whole(0, MAX_DEVICE_ID), default=0, metavar="N", help="P4Runtime device id (default 0)"
    )
    parser.add_argument("--pcap", nargs="?", const=".", metavar="DIR", help="write each port's packets to DIR")
    parser.add_argument("--cache", metavar="DIR", help="keep built programs in DIR")
    parser.add_argument("--log-console", action="store_true", help="log to standard output")
    parser.add_argument("--log-file", metavar="FILE", help="log to FILE")
    parser.add_argument("-L", "--log-level", choices=LOG_LEVELS, default="info", help="default: info")
    parser.add_argument("--log-flush", action="store_true", help=argparse.SUPPRESS)
    for flag in ("--nanolog", "--notifications-addr", "--debugger-addr", "--restore-state"):
        parser.add_argument(flag, help=argparse.SUPPRESS)
    for flag in ("--thrift-port", "--dump-packet-data", "--log-file-max-size", "--log-file-max-files"):
        parser.add_argument(flag, type=whole(0), help=argparse.SUPPRESS)
    parser.add_argument("--max-port-count", type=whole(0), help=argparse.SUPPRESS)
    parser.add_argument("--debugger", action="store_true", help=argparse.SUPPRESS)
    return parser


def _target() -> argparse.ArgumentParser:
    parser = _Parser(add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS)
    parser.add_argument(
        "--grpc-server-addr",
        type=_address,
        default=DEFAULT_ADDRESS,
        metavar="ADDR",
        help=f"P4Runtime address ({DEFAULT_ADDRESS})",
    )
    parser.add_argument(
        "--cpu-port", type=whole(1, MAX_PORT), metavar="N", help="the port of packet-ins and packet-outs"
    )
    parser.add_argument("--drop-port", type=whole(0), default=DROP_PORT, help=argparse.SUPPRESS)
    parser.add_argument("--grpc-server-ssl", action="store_true", help="serve TLS")
    parser.add_argument("--grpc-server-cert", metavar="PEM", help="the server's certificate")
    parser.add_argument("--grpc-server-key", metavar="PEM", help="the server's key")
    parser.add_argument("--grpc-server-cacert", metavar="PEM", help="what signs the clients' certificates")
    parser.add_argument("--grpc-server-with-client-auth", action="store_true", help="ask clients for a certificate")
    parser.add_argument("--disable-swap", action="store_true", help=argparse.SUPPRESS)
    for flag in ("--priority-queues", "--max-mc-groups", "--max-l1-entries", "--max-l2-entries"):
        parser.add_argument(flag, type=whole(0), help=argparse.SUPPRESS)
    return parser


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """For argparse: a whole number, decimal or with 0x, 0b or 0o before it, from `least` to `most`."""
    wanted = f"a whole number from {least} {'on' if most is None else f'to {most}'}"

    def read(text: str) -> int:
        try:
            number = int(text, 0)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"{text} is not {wanted}")
        return number

    return read


def _address(text: str) -> str:
    """For argparse: where gRPC can listen. It takes a TCP port modulo 65536, and none at all as 443."""
    if text.startswith(("unix:", "unix-abstract:", "vsock:")):
        return text
    host, _, port = text.rpartition(":")
    digits = port.isascii() and port.isdigit() and len(port) <= len(str(MAX_TCP_PORT))
    if not host or not digits or int(port) > MAX_TCP_PORT:
        raise argparse.ArgumentTypeError(
            f"{text} is no address with a port from 0 to {MAX_TCP_PORT}, such as {DEFAULT_ADDRESS}"
        )
    return text


def _ports(given: Sequence[str]) -> dict[int, str]:
    ports: dict[int, str] = {}
    for text in given:
        number, at, name = text.partition("@")
        if not (at and name and number.isdecimal()):
            raise UsageError(f"-i {text}: write PORT@INTERFACE, such as 1@s1-eth1")
        port = int(number)
        if port > MAX_PORT:
            raise UsageError(f"-i {text}: ports are 0..{MAX_PORT}")
        if port in ports:
            raise UsageError(f"-i {text}: port {port} is {ports[port]} already")
        if name in ports.values():
            raise UsageError(f"-i {text}: {name} has a port already")
        ports[port] = name
    return ports


def _cpu_port(cpu_port: int | None, interfaces: Sequence[str]) -> int | None:
    if cpu_port is None:
        return None
    if cpu_port in _ports(interfaces):
        raise UsageError(f"--cpu-port {cpu_port}: that port has an interface")
    return cpu_port


def _pcap_folder(given: str | None) -> Path | None:
    if given is None:
        return None
    folder = Path(given)
    if not isdir(folder):
        raise UsageError(f"--pcap {given}: no such folder")
    return folder


def _tls(target: argparse.Namespace) -> Tls | None:
    files = {
        name: getattr(target, name.replace("-", "_"))
        for name in ("grpc-server-cert", "grpc-server-key", "grpc-server-cacert")
    }
    if not target.grpc_server_ssl:
        extra = next((name for name, value in files.items() if value), None)
        if extra or target.grpc_server_with_client_auth:
            raise UsageError(f"--{extra or 'grpc-server-with-client-auth'} needs --grpc-server-ssl")
        return None
    for name in ("grpc-server-cert", "grpc-server-key"):
        if not files[name]:
            raise UsageError(f"--grpc-server-ssl needs --{name}")
    if target.grpc_server_with_client_auth and not files["grpc-server-cacert"]:
        raise UsageError("--grpc-server-with-client-auth needs --grpc-server-cacert")
    for name, value in files.items():
        if value and not isfile(value):
            raise UsageError(f"--{name} {value}: no such file")
    ca = files["grpc-server-cacert"]
    return Tls(
        Path(files["grpc-server-cert"]),
        Path(files["grpc-server-key"]),
        Path(ca) if ca else None,
        target.grpc_server_with_client_auth,
    )
