"""The command line: simple_switch_grpc's, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4switch.__main__ import main
from p4switch.options import Options, UsageError, parse


def test_the_lab_s_command_line() -> None:
    words = "--no-p4 -i 1@s1-eth1 -i 2@s1-eth2 --device-id 3 --thrift-port 9090 --log-console -L debug"
    options = parse([*words.split(), "--", "--grpc-server-addr", "127.0.0.1:9561", "--cpu-port", "510"])
    assert options == Options(
        ports={1: "s1-eth1", 2: "s1-eth2"},
        device_id=3,
        address="127.0.0.1:9561",
        cpu_port=510,
        log_level="debug",
        log_console=True,
        ignored=("--thrift-port",),
    )


def test_the_tutorials_command_line(tmp_path: Path) -> None:
    words = [
        *("-i", "1@s1-eth1", f"--pcap={tmp_path}", "--nanolog", "ipc:///tmp/bm-0-log.ipc", "--device-id", "0"),
        *("build/basic.json", "--log-console", "--thrift-port", "9090", "--", "--grpc-server-addr", "0.0.0.0:50051"),
    ]
    options = parse(words)
    assert (options.program, options.pcap, options.device_id) == (Path("build/basic.json"), tmp_path, 0)
    assert (options.address, options.cpu_port) == ("0.0.0.0:50051", None)
    assert options.ignored == ("--thrift-port", "--nanolog")


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("--log-flush --max-port-count 8 -- --drop-port 100", ("--max-port-count", "--log-flush", "--drop-port")),
        ("-- --drop-port 511", ()),
    ],
)
def test_what_is_taken_and_not_followed_is_listed(words: str, flags: tuple[str, ...]) -> None:
    assert parse(["--no-p4", *words.split()]).ignored == flags


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert parse(["--no-p4"]).address == "127.0.0.1:9559"


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::]:65535", "ipv6:[::1]:9559", "unix:/run/switch.sock"])
def test_addresses_are_grpc_s(address: str) -> None:
    assert parse(["--no-p4", "--", "--grpc-server-addr", address]).address == address


def test_pcap_takes_a_folder_as_the_next_word_or_none(tmp_path: Path) -> None:
    assert parse(["--no-p4", "--pcap", str(tmp_path)]).pcap == tmp_path
    assert parse(["--pcap", "--no-p4"]).pcap == Path(".")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("", "give a BMv2 JSON file"),
        ("--no-p4 a.json", "give one of them"),
        ("a.json b.json", "b.json"),
        ("--no-p4 --wrong", "--wrong"),
        ("--no-p4 -- --wrong 1", "--wrong"),
        ("--no-p4 -i s1-eth1", "PORT@INTERFACE"),
        ("--no-p4 -i x@s1-eth1", "PORT@INTERFACE"),
        ("--no-p4 -i 512@s1-eth1", "0..511"),
        ("--no-p4 -i 1@a -i 1@b", "port 1 is a already"),
        ("--no-p4 -i 1@a -i 2@a", "has a port already"),
        ("--no-p4 -i 1@a -- --cpu-port 1", "has an interface"),
        ("--no-p4 -- --cpu-port 0", "--cpu-port: 0 is not a whole number from 1 to 511"),
        ("--no-p4 -- --cpu-port ten", "--cpu-port: ten is not a whole number from 1 to 511"),
        ("--no-p4 -- --cpu-port -1", "--cpu-port: -1 is not a whole number from 1 to 511"),
        ("--no-p4 --device-id -1", "--device-id: -1 is not a whole number from 0 to 18446744073709551615"),
        ("--no-p4 --device-id 18446744073709551616", "--device-id: 18446744073709551616 is not"),
        ("--no-p4 --thrift-port -1", "--thrift-port: -1 is not a whole number from 0 on"),
        (
            "--no-p4 -- --grpc-server-addr 127.0.0.1:99999",
            "99999 is no address with a port from 0 to 65535",
        ),
        ("--no-p4 -- --grpc-server-addr [::1]:65536", "[::1]:65536 is no address with a port"),
        ("--no-p4 -- --grpc-server-addr 127.0.0.1:-1", "127.0.0.1:-1 is no address with a port"),
        ("--no-p4 -- --grpc-server-addr 127.0.0.1:", "127.0.0.1: is no address with a port"),
        ("--no-p4 -- --grpc-server-addr localhost", "localhost is no address with a port"),
        ("--no-p4 -- --grpc-server-addr :9559", ":9559 is no address with a port"),
        ("--no-p4 -L loud", "loud"),
        ("--no-p4 --log-console --log-file x", "exclude"),
        ("--no-p4 --pcap=/nowhere", "no such folder"),
        ("--no-p4 -- --grpc-server-ssl", "--grpc-server-cert"),
        ("--no-p4 -- --grpc-server-cert x", "needs --grpc-server-ssl"),
    ],
)
def test_a_wrong_command_line_gets_one_line_that_names_the_word(
    words: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as error:
        parse(words.split())
    assert text in str(error.value)
    assert main(words.split()) == 2
    assert capsys.readouterr().err == f"p4switch: {error.value}\n"


def test_help_names_the_flags_of_both_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "--device-id" in text and "--cpu-port" in text
