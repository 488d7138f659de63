"""The packet tests (PTF) of a checkout of p4-guide or p4lang/tutorials, unchanged, on the embedded switch.

  python -m conformance ptf CHECKOUT --ptf VENV    every folder below CHECKOUT with a runptf.sh for v1model

Each program is compiled by p4compiler and loaded into a `python -m p4switch` by the test itself. Switch and test have
the ports that runptf.sh gives them: `ptf` waits a tenth of a second at each of its ports after every packet.
The tests are Python programs on `ptf` and `p4runtime-shell`, whose old protobuf cannot share the project's
environment: VENV is one with `pip install setuptools wheel`, then `pip install --no-build-isolation p4runtime-shell
ptf`. Needs root: the interfaces are made in a network namespace that ends with the run. With --bmv2 DIR the real p4c
and simple_switch_grpc take the place of ours.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench.switch.devices import BenchError, ip, own_namespace, process_of
from conformance.bmv2.process import ReferenceError, compile_with_p4c, tool

REPOSITORY = Path(__file__).parent.parent
FOLDER = REPOSITORY / "build" / "ptf"
PORTS = 8
ADDRESS = "127.0.0.1:9559"
START_S = 60.0
TIME_LIMIT_S = 1800.0


@dataclass(frozen=True)
class Suite:
    """What a folder's runptf.sh starts, on which ports."""

    folder: Path
    program: str
    tests: str
    cpu_port: str | None
    ports: tuple[int, ...]


def suites(checkout: Path) -> Iterator[Suite]:
    for script in sorted(checkout.rglob("runptf.sh")):
        text = "\n".join(line for line in script.read_text().splitlines() if not line.lstrip().startswith("#"))
        program = re.search(r"([\w./-]+\.p4)\s*$", text, re.M)
        tests = re.search(r"--test-dir\s+(\S+)", text)
        cpu = re.search(r"--cpu-port\s+(\d+)", text)
        ports = tuple(sorted({int(port) for port in re.findall(r"-i\s+(\d+)@veth\d+", text)}))
        if program and tests and "simple_switch_grpc" in text and set(ports) <= set(range(PORTS)):
            yield Suite(script.parent, program[1], tests[1], cpu[1] if cpu else None, ports)


def make_ports() -> None:
    """veth0, veth2… are the switch's ends, veth1, veth3… the tests'."""
    for port in range(PORTS):
        near, far = f"veth{2 * port}", f"veth{2 * port + 1}"
        ip("link", "add", near, "type", "veth", "peer", "name", far)
        for name in (near, far):
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
            ip("link", "set", name, "up", "mtu", "9500")


@contextmanager
def switch(suite: Suite, work: Path, tools: Path | None) -> Iterator[None]:
    command = [str(tool("simple_switch_grpc", tools))] if tools else [sys.executable, "-m", "p4switch"]
    command += ["--no-p4", *(word for port in suite.ports for word in ("-i", f"{port}@veth{2 * port}"))]
    command += ["--", "--grpc-server-addr", ADDRESS]
    command += ["--cpu-port", suite.cpu_port] if suite.cpu_port else []
    with process_of(command, work / "switch.log"), grpc.insecure_channel(ADDRESS) as channel:
        try:
            grpc.channel_ready_future(channel).result(START_S)
        except grpc.FutureTimeoutError:
            raise ReferenceError(f"{command[0]} does not answer at {ADDRESS}: see {work / 'switch.log'}") from None
        yield


def compile_program(program: Path, tools: Path | None) -> tuple[Path, Path]:
    if tools:
        return compile_with_p4c(program, program.parent, tools)
    command = [sys.executable, "-m", "p4compiler", str(program), "-o", str(program.parent)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    if done.returncode:
        raise ReferenceError(f"p4compiler refuses {program.name}: {(done.stderr.splitlines() or [''])[0]}")
    return program.parent / f"{program.stem}.json", program.parent / f"{program.stem}.p4info.txtpb"


def run(suite: Suite, checkout: Path, ptf: Path, tools: Path | None) -> tuple[str, str]:
    """(summary, output) of one suite; a summary that starts with OK is good. Raises ReferenceError."""
    copy = FOLDER / checkout.name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".git", "*.pdf", "*.png"))
    work = copy / suite.folder.relative_to(checkout)
    json, info = compile_program((work / suite.program).resolve(), tools)
    libraries = [str(copy / "testlib"), str(copy / "utils")]
    command = [str(ptf / "bin" / "ptf"), "--pypath", ":".join(libraries), "--test-dir", suite.tests]
    command += [word for port in suite.ports for word in ("-i", f"{port}@veth{2 * port + 1}")]
    command += [f"--test-params=grpcaddr='{ADDRESS}';p4info='{info}';config='{json}'"]
    environment = {**os.environ, "PYTHONPATH": ":".join(libraries), "PATH": f"{ptf / 'bin'}:{os.environ['PATH']}"}
    environment["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
    with switch(suite, work, tools):
        try:
            done = subprocess.run(
                command, cwd=work, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            return f"no end after {TIME_LIMIT_S:.0f} s", ""
    output = done.stdout + done.stderr
    ran = re.search(r"Ran (\d+) tests?", output)
    if done.returncode == 0 and ran and int(ran[1]):
        return f"OK {ran[1]} tests", output
    lines = [x for x in output.splitlines() if re.match(r"(\w*Error|AssertionError|FAIL|ERROR|.*Exception)\b", x)]
    return f"failed: {'; '.join(lines[:3]) or f'exit code {done.returncode}'}", output


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--ptf", type=Path, required=True, metavar="VENV", help="environment with ptf")
    parser.add_argument("--bmv2", type=Path, metavar="DIR", help="the real switch and compiler instead of ours")
    parser.add_argument("--only", type=re.compile, metavar="REGEX", help="only folders of this name")
    given = parser.parse_args()
    found = [s for s in suites(given.checkout.resolve()) if not given.only or given.only.search(str(s.folder))]
    if not found or not (given.ptf / "bin" / "ptf").exists():
        what = f"no runptf.sh for v1model below {given.checkout}" if not found else f"no ptf in {given.ptf}"
        print(f"ptf_tests: {what}", file=sys.stderr)
        return 2
    try:
        own_namespace()
    except BenchError as error:
        print(f"ptf_tests: {error}", file=sys.stderr)
        return 1
    make_ports()
    passed = 0
    for suite in found:
        name = suite.folder.relative_to(given.checkout.resolve())
        try:
            summary, output = run(suite, given.checkout.resolve(), given.ptf.resolve(), given.bmv2)
        except ReferenceError as error:
            summary, output = f"failed: {error}", ""
        good = summary.startswith("OK")
        passed += good
        log = FOLDER / f"{str(name).replace('/', '-')}.log"
        log.write_text(output)
        print(f"{'ok  ' if good else 'FAIL'} {name}: {summary}{'' if good else f' (see {log})'}", flush=True)
    print(f"== {passed} of {len(found)} suites passed")
    return 0 if passed == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
