"""Labs that start, end, crash and are in each other's way: nothing is ever left behind."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from p4switch.modules import run_module
from tests.lab.conftest import PATIENCE_S, Shell, nothing_left, wait
from tests.topo.standin import EMBEDDED, simple_switch_grpc
from topo import paths, topology
from topo.lab import program, record
from topo.lab.namespace import on_host
from topo.lab.process import Process, end, readable, with_token
from topo.lab.record import Record
from topo.lab.running_lab import Live
from topo.live import meeting
from topo.views.log import values_of

IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2
"""Of linux/in.h; socket names them from Python 3.14 on."""


def running_lab() -> Record:
    found = record.load()
    assert found is not None and found.alive
    return found


def one_line(stderr: str) -> str:
    (line,) = stderr.splitlines()
    assert line.startswith("switchraft: ")
    return line


@pytest.mark.parametrize("name", ["single", "line", "five", "seven", "leaf-spine"])
def test_every_topology_serves(shell: Shell, name: str) -> None:
    told = shell.lab("--topology", name)
    assert "leads group 1" in told
    live = Live.find()
    assert "0 % dropped" in shell.run("ping")
    for member in live.topology.members:
        shell.run("send", f"to {member}", "--to", member)
    wanted = [f"to {member}" for member in live.topology.members]
    for member in live.topology.members:
        wait("values", lambda member=member: values_of(live, member) == wanted)  # type: ignore[misc]


def test_links_of_9000_carry_what_fits_them_and_no_more(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text((topology.FOLDER / f"line{topology.SUFFIX}").read_text() + "mtu: 9000\n")
    shell.lab("--topology", str(file))
    live = Live.find()
    first, last = live.topology.hosts[0], live.topology.hosts[-1]
    assert first.switch != last.switch
    with (
        on_host(live.holder(last.name), lambda: udp_socket(str(last.ip))) as there,
        on_host(live.holder(first.name), lambda: udp_socket(str(first.ip))) as here,
    ):
        for size in (100, 8900, 9000 - 28):
            here.sendto(bytes(size), (str(last.ip), there.getsockname()[1]))
            assert len(there.recv(65536)) == size
        with pytest.raises(OSError, match="Message too long"):
            here.sendto(bytes(9000 - 27), (str(last.ip), there.getsockname()[1]))
    for switch in live.topology.switches:
        for interface in live.topology.ports(switch.name).values():
            assert Path(f"/sys/class/net/{interface}/mtu").read_text().strip() == "9000"


def udp_socket(address: str) -> socket.socket:
    """One whose datagrams nobody cuts up."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    made.bind((address, 0))
    made.settimeout(PATIENCE_S)
    return made


def test_a_bmv2_without_thrift_serves(shell: Shell, tmp_path: Path) -> None:
    """The embedded switch behind a script that takes BMv2's options, but for Thrift's."""
    simple_switch_grpc(tmp_path, thrift=False, then=EMBEDDED)
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = shell.try_("lab", "--detach", "--switch", "bmv2", "--compiler", "p4compiler", **path)
    assert done.returncode == 0, done.stderr
    assert "leads group 1" in done.stdout
    shell.run("send", "through it")


def test_a_switch_that_does_not_come_up_is_told_with_its_words(shell: Shell, tmp_path: Path) -> None:
    simple_switch_grpc(tmp_path, thrift=True, then="echo 'bind: Address already in use' >&2; exit 3")
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = shell.try_("lab", "--detach", "--switch", "bmv2", "--compiler", "p4compiler", **path)
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert "s1 ended while the lab waited for" in first and "exit code 3; its last lines, of build/test" in first
    assert last == "  bind: Address already in use"


def test_node_data_is_kept_if_asked_for(shell: Shell) -> None:
    shell.lab()
    shell.run("send", "kept")
    shell.run("stop")
    shell.lab("--keep")
    wait("kept value", lambda: values_of(Live.find(), "h2") == ["kept"])
    shell.run("stop")
    assert "empty logs" in shell.lab()
    assert values_of(Live.find(), "h2") == []
    assert (paths.lab() / "nodes.last" / "h2").is_dir()


def test_a_second_lab_is_refused_and_the_first_goes_on(shell: Shell) -> None:
    shell.lab("--nodes", "manual")
    first = running_lab()
    second = shell.try_("lab", "--detach")
    assert second.returncode == 1
    assert "a lab runs already" in one_line(second.stderr) and str(first.lab.pid) in second.stderr
    assert running_lab() == first
    assert "0 % dropped" in shell.run("ping")
    shell.run("stop")
    nothing_left(first.token)


def test_another_checkouts_lab_is_in_the_way(shell: Shell, tmp_path: Path) -> None:
    shell.lab("--nodes", "manual")
    other = Shell(tmp_path / "build").try_("lab", "--detach", "--switch", "embedded")
    assert other.returncode == 1
    told = one_line(other.stderr)
    assert "s1-eth1 exists already" in told and str(running_lab().lab.pid) in told and str(shell.build) in told
    assert "0 % dropped" in shell.run("ping"), "the refused lab has touched the running one"


@pytest.mark.parametrize("record_there", [True, False])
def test_another_checkouts_crashed_lab_is_removed(shell: Shell, tmp_path: Path, record_there: bool) -> None:
    """All of it where its record is to be found; else, as after everything was killed, its interfaces."""
    other = Shell(tmp_path / "build")
    other.lab("--nodes", "manual")
    crashed = record.load(other.build / "lab")
    assert crashed is not None
    os.kill(crashed.lab.pid, signal.SIGKILL)
    wait("end of the lab", lambda: not crashed.lab.alive)
    if not record_there:
        end(with_token(crashed.token))
        shutil.rmtree(other.build)
    told = shell.lab("--nodes", "manual")
    assert str(other.build) in told and "did not end well" in told
    assert with_token(crashed.token) == []
    assert "0 % dropped" in shell.run("ping")


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_lab_that_is_killed(shell: Shell, signal_number: signal.Signals) -> None:
    shell.lab("--nodes", "manual")
    lab = running_lab()
    started_by_hand = subprocess.Popen(
        [sys.executable, "-m", "topo.cli", "exec", "h1", "--", "sleep", "300"],
        env={**os.environ, "SWITCHRAFT_BUILD": str(shell.build)},
        cwd=paths.ROOT,
    )
    os.kill(lab.lab.pid, signal_number)
    wait("end of the lab", lambda: not lab.lab.alive)
    if signal_number == signal.SIGKILL:
        told = shell.try_("status")
        assert told.returncode == 1
        assert "crashed" in one_line(told.stderr)
        assert "removed" in shell.run("stop")
    nothing_left(lab.token)
    assert started_by_hand.wait(PATIENCE_S) != 0, "what ran in a host's namespace would keep it alive"
    assert shell.run("stop").strip() == "no lab runs"


@pytest.mark.parametrize("crashed", [False, True])
def test_stop_needs_no_sound_record(shell: Shell, crashed: bool) -> None:
    shell.lab("--nodes", "manual")
    lab = running_lab()
    if crashed:
        os.kill(lab.lab.pid, signal.SIGKILL)
        wait("end of the lab", lambda: not lab.lab.alive)
    paths.record().write_text(paths.record().read_text()[:300])
    for arguments in (("status",), ("lab", "--detach")):
        told = shell.try_(*arguments)
        assert told.returncode == 1
        assert "is damaged" in one_line(told.stderr) and "switchraft stop" in told.stderr
    assert "was damaged" in shell.run("stop")
    nothing_left(lab.token)
    assert not lab.lab.alive
    assert shell.run("stop").strip() == "no lab runs"


def test_a_new_lab_removes_what_a_crashed_one_left(shell: Shell) -> None:
    shell.lab("--nodes", "manual")
    crashed = running_lab()
    os.kill(crashed.lab.pid, signal.SIGKILL)
    wait("end of the lab", lambda: not crashed.lab.alive)
    assert "did not end well" in shell.lab("--nodes", "manual")
    assert running_lab().token != crashed.token
    assert "0 % dropped" in shell.run("ping")


def test_a_lab_killed_while_it_starts(shell: Shell, tmp_path: Path) -> None:
    """At any moment: what is there of it is in the record, or is not there yet. Whatever the current folder holds."""
    for name in ("random", "selectors", "topo", "controller"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the module that was meant')")
    for delay_s in (0.3, 0.6, 0.9, 1.2):
        starting = subprocess.Popen(
            [*run_module("topo.cli"), "lab", "--detach", "--switch", "embedded"],
            env={**os.environ, "SWITCHRAFT_BUILD": str(shell.build)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        time.sleep(delay_s)
        begun = record.load()
        killed = begun is not None and begun.lab.alive
        if begun is not None and killed:
            os.kill(begun.lab.pid, signal.SIGKILL)
        told, _ = starting.communicate(timeout=4 * PATIENCE_S)
        assert starting.returncode == (1 if killed else 0), told
        shell.run("stop")
        if begun is not None:
            nothing_left(begun.token)


def test_a_port_in_use(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 9560))
        taken.listen()
        refused = shell.try_("lab", "--detach")
        assert refused.returncode == 1
        told = one_line(refused.stderr)
        assert "port 9560 is in use" in told and "s2" in told
    assert not paths.record().exists()


def test_a_syntax_error_in_the_program(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a copy of the program: what was compiled before stays, and the lab says where the error is."""
    sources = tmp_path / "p4"
    shutil.copytree(paths.ROOT / "p4", sources)
    monkeypatch.setattr(program, "SOURCE", sources / "raft.p4")
    compiler = "p4c" if os.environ.get("SWITCHRAFT_SWITCH") == "bmv2" else "p4compiler"
    program.compile_if_changed(compiler, 26410)
    before = [(paths.build() / name).read_bytes() for name in program.OUTPUTS]
    text = program.SOURCE.read_text()
    program.SOURCE.write_text(text + "\ncontrol {\n")
    with pytest.raises(program.LabError) as failed:
        program.compile_if_changed(compiler, 26410)
    assert f"raft.p4({text.count(chr(10)) + 2})" in str(failed.value) or "raft.p4:" in str(failed.value)
    assert [(paths.build() / name).read_bytes() for name in program.OUTPUTS] == before


def test_the_prompt(shell: Shell) -> None:
    """Commands at Mininet's prompt, Ctrl-C on the way, and `exit`."""
    master, slave = pty.openpty()
    lab = subprocess.Popen(
        [sys.executable, "-m", "topo.cli", "lab", "--nodes", "manual"],
        env={**os.environ, "SWITCHRAFT_BUILD": str(shell.build), "TERM": "dumb"},
        cwd=paths.ROOT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C comes from a controlling terminal only
    )
    os.close(slave)
    seen = ""

    def until(text: str) -> str:
        nonlocal seen
        deadline = time.monotonic() + PATIENCE_S
        while text not in seen:
            assert time.monotonic() < deadline, f"no {text!r} in {seen!r}"
            if readable(master, 0.2):
                seen += os.read(master, 4096).decode(errors="replace")
        found, _, seen = seen.partition(text)
        return found

    def type_(line: str, answer: str) -> None:
        # Not before the prompt: Mininet hands what is typed earlier to the command that still runs.
        until("mininet>")
        os.write(master, line.encode() + b"\n")
        until(answer)

    try:
        assert until("\n").startswith("Switch: "), "the first line says which switch runs, and why"
        type_("raft heal", "nothing was broken")
        token = running_lab().token
        type_("pingall", "0% dropped")
        type_("dpctl dump-flows", "raft tables s1")
        type_("source /nowhere", "*** source /nowhere: ")
        type_("iperf h11 h9", "*** iperf takes two of h1, h11")
        type_("iperf h11 h1", "bits/sec")
        type_("link s1 h1 down", "down")
        type_("raft status", "h1-eth0, s1-eth1")
        type_("h1 cat /sys/class/net/h1-eth0/operstate", "up")
        type_("link s1 h1 up", "up")
        for index, host in enumerate(("h1", "h2", "h3")):
            type_(f"{host} switchraft node run {index} &", "\n")
        type_("h11 switchraft client -s 10.0.1.11 -d 10.0.1.1 -da 1", "1 (int) is value 0 of the list")
        type_("raft status", "by hand")
        type_("h11 ping h1", "bytes from")
        os.write(master, b"\x03")
        type_("exit", "exit")
        until("Ending the lab")
        assert lab.wait(PATIENCE_S) == 0
    finally:
        if lab.poll() is None:
            lab.terminate()
            lab.wait()
        os.close(master)
    nothing_left(token)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_while_it_starts(shell: Shell, number: signal.Signals) -> None:
    starting = subprocess.Popen(
        [sys.executable, "-m", "topo.cli", "lab"],
        env={**os.environ, "SWITCHRAFT_BUILD": str(shell.build)},
        cwd=paths.ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait("beginning", lambda: record.load() is not None)
    begun = record.load()
    assert begun is not None
    starting.send_signal(number)
    _, stderr = starting.communicate(timeout=PATIENCE_S)
    assert starting.returncode == 1
    assert "nothing is left behind" in stderr.splitlines()[-1] and "Traceback" not in stderr
    nothing_left(begun.token)


def test_the_lab_serves_its_page_and_ends_it_with_itself(shell: Shell) -> None:
    """As `make run` does, where nobody serves the page already."""
    said = shell.lab("--web")
    (line,) = [line for line in said.splitlines() if line.startswith("Page, good once")]
    address = line.split()[-1]
    (page,) = [one for one in Live.find().record.processes if one.kind == "page"]
    assert page.alive and page.state == "running"
    port = int(address.split(":")[2].partition("/")[0])
    other = shell.run("web").split()[-1]
    assert other != address and f":{port}/" in other, "the page is served once"
    for code in (address, other):
        reader = subprocess.Popen(
            [sys.executable, "-m", "tests.live.reader", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=paths.ROOT,
        )
        assert reader.stdout is not None and reader.stdout.readline() == "reading\n"
        told, _ = reader.communicate(timeout=60)
        assert int(told) > 1000
    assert "code=" not in Path(page.log).read_text()
    shell.run("stop")
    wait("end of the page's server", lambda: not page.alive)
    assert not meeting.socket_path().exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_garbage_on_the_labs_socket(shell: Shell) -> None:
    shell.lab("--nodes", "manual")
    lab = running_lab()
    for garbage in (b"\n", b"{}\n", b"[]\n", b"\xff\xfe\n", b"x" * 2_000_000 + b"\n", b'{"cmd":"node"}\n', b""):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(os.path.relpath(paths.lab_socket()))
            try:
                client.sendall(garbage)
                client.shutdown(socket.SHUT_WR)
                answer = client.recv(4096)
            except ConnectionError:
                continue
            assert not answer or b'"ok": false' in answer
    assert Process.of(lab.lab.pid) == lab.lab
    assert shell.run("heal").strip() == "nothing was broken"


def test_what_sudo_writes_belongs_to_who_called_it(tmp_path: Path) -> None:
    build = tmp_path / "build"
    shell, owner = Shell(build), {"SUDO_UID": "65534", "SUDO_GID": "65534"}
    kind = os.environ.get("SWITCHRAFT_SWITCH", "embedded")
    Shell().run("stop")
    started = shell.try_("lab", "--detach", "--switch", kind, **owner)
    try:
        assert started.returncode == 0, started.stderr
        assert shell.try_("node", "kill", "h1", **owner).returncode == 0
        assert shell.try_("node", "start", "h1", **owner).returncode == 0
        strangers = [path for path in build.rglob("*") if path.lstat().st_uid != 65534]
        # Nodes write on; what they make while they run is handed over when they end.
        assert [
            path for path in strangers if path.name in ("lab.json", "lab.sock", "control.sock", "raft.json")
        ] == []
    finally:
        assert shell.try_("stop", **owner).returncode == 0
    assert [path for path in (build, *build.rglob("*")) if path.lstat().st_uid != 65534] == []
