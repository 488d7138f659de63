"""The lab's socket: JSON lines in, one JSON line out. What changes a running lab comes through here."""

from __future__ import annotations

import json
import socket
import threading
import traceback
from typing import Any

from hosts.control import socket as control
from topo import paths
from topo.errors import LabError, UsageError
from topo.lab.lab import Lab

PATIENCE_S = 10.0
"""For a client that connects and says nothing."""


class Server:
    """Answers on build/lab/lab.sock, a thread for each connection, until closed."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._listening = control.bind(paths.lab_socket())
        self._listening.setblocking(True)
        paths.give(paths.lab_socket())
        threading.Thread(target=self._accept, name="lab socket", daemon=True).start()

    def close(self) -> None:
        self._listening.close()
        paths.lab_socket().unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_S)
        try:
            with connection, connection.makefile("rb") as lines:
                line = lines.readline(control.LONGEST_REQUEST)
                if line:
                    connection.settimeout(None)
                    connection.sendall(json.dumps(self._answer(line)).encode() + b"\n")
        except OSError:
            return

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise UsageError("a request is a JSON object")
            return {"ok": True, **self._do(request)}
        except ValueError:
            return {"ok": False, "error": "a request is one line of JSON", "usage": True}
        except (KeyError, TypeError) as error:
            return {"ok": False, "error": f"a field is missing or of the wrong type: {error}", "usage": True}
        except LabError as error:
            return {"ok": False, "error": str(error), "usage": isinstance(error, UsageError)}
        except Exception as error:  # a fault of the lab's own: it is told, and the lab goes on
            traceback.print_exc()
            return {"ok": False, "error": f"{type(error).__name__}: {error}; see the lab's log"}

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        lab, command = self._lab, request.get("cmd")
        if command == "node":
            return {"text": lab.node(str(request["action"]), str(request["name"]))}
        if command == "switch":
            return {"text": lab.switch(str(request["action"]), str(request["name"]))}
        if command == "controller":
            return {"text": lab.controller(str(request["action"]))}
        if command == "link":
            ends = str(request["a"]), str(request["b"])
            return {"text": lab.links.set(*ends, up=bool(request["up"]), one_way=bool(request.get("one_way")))}
        if command == "partition":
            return {"text": lab.links.partition([[str(name) for name in side] for side in request["sides"]])}
        if command == "heal":
            return {"text": lab.links.heal()}
        if command == "status":
            lab.write_record()
            return {"links": lab.links.status(), "dead": lab.obituaries()}
        raise UsageError(f"unknown command {command!r}")
