"""The controller's control socket: a Unix stream socket, one JSON object per line, one answer per request.

    {"cmd": "status"}            switches, groups, links
    {"cmd": "leader"}            groups only
    {"cmd": "wait_programmed"}   returns once "switch" (default: every switch) is programmed; "after": only once
                                 "times_programmed" (in status) exceeds that; "timeout": seconds
    {"cmd": "registers"}         what each switch has learnt of each group's leader, as it says now
    {"cmd": "features"}          whether each feature is on, by feature and switch
    {"cmd": "feature", "name": "term_filter", "on": false}     at "switch" (default: every switch)
    {"cmd": "limits"}            requests per second of each host that has a limit
    {"cmd": "limit", "host": "h11", "per_second": 500}         null takes the limit away

An answer has "ok"; if that is false, "error" says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controller.controller import Controller
from controller.desired import installed_leaders
from controller.log import log
from controller.network import FEATURES
from controller.tasks import within
from hosts.raft.patience import Cause

_MAX_PATH = 107
"""Bytes of a Unix socket's path (unix(7)); a longer one goes through its folder's descriptor."""
_MAX_LINE = 1 << 20
DEFAULT_WAIT_S = 10.0
_POLL_S = 0.25


class ControlError(Exception):
    """The controller did not answer, or refused; its text says what to do."""


@contextlib.contextmanager
def short_path(path: str | Path) -> Iterator[str]:
    """A name for a socket's path that is short enough to bind or connect to."""
    path = Path(path)
    if len(os.fsencode(path)) <= _MAX_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def ask(path: str | Path, request: dict[str, Any], timeout: float = DEFAULT_WAIT_S) -> dict[str, Any]:
    """Send one request to a running controller and return its answer. Raises ControlError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout + 1)
    try:
        with short_path(path) as name:
            connection.connect(name)
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as lines:
            line = lines.readline()
    except OSError as error:
        raise ControlError(f"no controller answers at {path}: {error.strerror or error}") from None
    finally:
        connection.close()
    if not line:
        raise ControlError(f"the controller at {path} went away")
    answer: dict[str, Any] = json.loads(line)
    if not answer.get("ok"):
        raise ControlError(str(answer.get("error", "refused")))
    return answer


class ControlSocket:
    """Serves one controller; of several on the same path, the one that is the switches' primary."""

    def __init__(self, controller: Controller, path: str | Path) -> None:
        self._controller = controller
        self._path = Path(path)

    async def run(self) -> None:
        """Serve for ever; cancelled, the socket is removed. Raises OSError if the path cannot be used."""
        while True:
            told = False
            while self._controller.decisions.stands_by or await self._is_served():
                if not told:
                    log.info("control socket %s is left to the controller that rules", self._path)
                told = True
                await asyncio.sleep(_POLL_S)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            with short_path(self._path) as name:
                server = await asyncio.start_unix_server(self._serve, name, limit=_MAX_LINE)
            inode = self._path.stat().st_ino
            try:
                # Not serve_forever: from Python 3.12 its end waits for clients to hang up.
                while not self._controller.decisions.stands_by:
                    await asyncio.sleep(_POLL_S)
            finally:
                server.close()
                with contextlib.suppress(OSError):
                    if self._path.stat().st_ino == inode:
                        self._path.unlink()

    async def _is_served(self) -> bool:
        try:
            with short_path(self._path) as name:
                _, writer = await within(asyncio.open_unix_connection(name), 1.0)
        except (OSError, asyncio.TimeoutError):
            return False
        writer.close()
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass  # The other end went away, or sent a line without end.
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            command = request["cmd"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"ok": False, "error": 'a request is a JSON object with "cmd"'}
        try:
            if command == "status":
                return {"ok": True, **status(self._controller)}
            if command == "leader":
                return {"ok": True, "groups": _groups(self._controller)}
            if command == "wait_programmed":
                return await self._wait_programmed(request)
            if command == "registers":
                return {"ok": True, "switches": await self._controller.read_registers()}
            if command == "feature":
                where = request.get("switch")
                self._controller.set_feature(str(request["name"]), bool(request["on"]), where and str(where))
                return {"ok": True, "features": features(self._controller)}
            if command == "features":
                return {"ok": True, "features": features(self._controller)}
            if command in ("limit", "limits"):
                return self._limits(request)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            return {"ok": False, "error": f"{command}: {error}"}
        return {"ok": False, "error": f"unknown command {command!r}"}

    def _limits(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["cmd"] == "limit":
            rate = request["per_second"]
            if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int)):
                raise ValueError(f"per_second is a whole number or null, not {rate!r}")
            self._controller.set_limit(str(request["host"]), rate)
        return {"ok": True, "limits": dict(self._controller.decisions.limits.wished)}

    async def _wait_programmed(self, request: dict[str, Any]) -> dict[str, Any]:
        controller = self._controller
        names = [request["switch"]] if "switch" in request else list(controller.sessions)
        for name in names:
            if name not in controller.sessions:
                raise ValueError(f"no switch is called {name!r}")
        after = int(request.get("after", 0))
        sessions = [controller.sessions[name] for name in names]

        def programmed() -> bool:
            return all(session.ready and session.times_programmed > after for session in sessions)

        async with controller.changed:
            try:
                timeout = float(request.get("timeout", DEFAULT_WAIT_S))
                await within(controller.changed.wait_for(programmed), timeout)
            except asyncio.TimeoutError:
                late = [f"{session.name}: {session.problem}" for session in sessions if not session.ready]
                return {"ok": False, "error": f"not programmed: {'; '.join(late) or ', '.join(names)}"}
        return {"ok": True, "switches": {session.name: session.times_programmed for session in sessions}}


def status(controller: Controller) -> dict[str, Any]:
    """All that a controller knows, for JSON."""
    usable = controller.decisions.view.links
    return {
        "pid": os.getpid(),
        "election_id": controller.election_id,
        "features": features(controller),
        "limits": dict(controller.decisions.limits.wished),
        "switches": {
            session.name: {
                "grpc": session.switch.grpc,
                "standing": session.standing.value,
                "connected": session.standing.value != "away",
                "programmed": session.ready,
                "times_programmed": session.times_programmed,
                "programmed_at": session.programmed_at,
                "entries": len(session.entries),
                "problem": session.problem,
            }
            for session in controller.sessions.values()
        },
        "groups": _groups(controller),
        "links": [
            {
                "a": link.a,
                "a_port": link.a_port,
                "b": link.b,
                "b_port": link.b_port,
                "up": link in usable,
                "probes": controller.decisions.monitor.state(link).value,
            }
            for link in controller.decisions.network.links
        ],
    }


def features(controller: Controller) -> dict[str, dict[str, bool]]:
    """Whether each feature is on, by feature and switch."""
    on = {name: controller.decisions.features_at(name) for name in controller.sessions}
    return {feature: {switch: feature in held for switch, held in on.items()} for feature in FEATURES}


def _groups(controller: Controller) -> list[dict[str, Any]]:
    installed = {name: installed_leaders(session.entries) for name, session in controller.sessions.items()}
    found = []
    for group in controller.decisions.network.groups:
        held = controller.decisions.leaders[group.id]
        member, standin = group.member(held.leader), group.member(held.standin) or group.members[0]
        found.append(
            {
                "group": group.id,
                "slot": group.slot,
                "service": group.service,
                "port": group.port,
                "leader": held.leader,
                "host": member.host if member else None,
                "term": held.term,
                "answers": (member or standin).host,
                "hints": {cause.name.lower(): controller.decisions.hints[group.id, cause] for cause in Cause},
                "switches": {
                    name: {"leader": entries[group.id].leader, "term": entries[group.id].term}
                    for name, entries in installed.items()
                    if group.id in entries
                },
            }
        )
    return found
