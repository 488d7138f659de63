"""The lab's socket: a JSON line in, one JSON line out. What changes a running lab comes through here.

``watch`` and ``frames`` are answered by lines that go on (topo/live/feed.py, topo/live/frames.py). ``client`` has a
host of the lab speak as a client: who may use this socket need not be root for that.
"""

from __future__ import annotations

import json
import socket
import threading
import traceback
from collections.abc import Iterator
from typing import Any

from hosts.control import socket as control
from topo import paths
from topo.errors import LabError, UsageError
from topo.lab.lab import Lab
from topo.live import frames
from topo.live.feed import Feed
from topo.views import client_requests

PATIENCE_S = 10.0
"""For a client that connects and says nothing."""


class Server:
    """Answers on build/lab/lab.sock, a thread for each connection, until closed."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._feed = Feed(lab)
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
                connection.settimeout(None)
                for answer in self._answers(line) if line else ():
                    connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            return

    def _answers(self, line: bytes) -> Iterator[dict[str, Any]]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise UsageError("a request is a JSON object")
            if request.get("cmd") == "watch":
                yield from self._feed.watch()
            elif request.get("cmd") == "frames":
                most = int(request.get("most", frames.MOST_PER_S))
                yield from frames.stream(self._lab.topology, self._lab.holders, most)
            else:
                yield {"ok": True, **self._do(request)}
        except ValueError:
            yield {"ok": False, "error": "a request is one line of JSON", "usage": True}
        except (KeyError, TypeError) as error:
            yield {"ok": False, "error": f"a field is missing or of the wrong type: {error}", "usage": True}
        except LabError as error:
            yield {"ok": False, "error": str(error), "usage": isinstance(error, UsageError)}
        except OSError as error:
            known = paths.fault(error)
            if known is None:
                raise
            yield {"ok": False, "error": known}
        except Exception as error:  # a fault of the lab's own: it is told, and the lab goes on
            traceback.print_exc()
            yield {"ok": False, "error": f"{type(error).__name__}: {error}; see the lab's log"}

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        command = request.get("cmd")
        if command == "status":
            self._lab.write_record()
            return {"links": self._lab.links.status(), "dead": self._lab.obituaries()}
        text = self._client(request) if command == "client" else self._change(request)
        self._feed.did(text)
        return {"text": text}

    def _change(self, request: dict[str, Any]) -> str:
        """Carry out what changes the lab; returns what was done."""
        lab, command = self._lab, request.get("cmd")
        if command == "node":
            return lab.node(str(request["action"]), str(request["name"]))
        if command == "switch":
            return lab.switch(str(request["action"]), str(request["name"]))
        if command == "controller":
            return lab.controller(str(request["action"]))
        if command == "link":
            ends = str(request["a"]), str(request["b"])
            return lab.links.set(*ends, up=bool(request["up"]), one_way=bool(request.get("one_way")))
        if command == "partition":
            return lab.links.partition([[str(name) for name in side] for side in request["sides"]])
        if command == "heal":
            return lab.links.heal()
        raise UsageError(f"unknown command {command!r}")

    @staticmethod
    def _client(request: dict[str, Any]) -> str:
        """Have a host ask, from this thread, which stays in that host's namespace; returns what came of it."""
        call = client_requests.call_of(str(request["operation"]), [str(word) for word in request["operands"]])
        group = request.get("group")
        route = client_requests.Route(
            request.get("origin"), request.get("target"), group=None if group is None else int(group)
        )
        way, result = client_requests.ask(route, call)
        return client_requests.text_of(way, result, call.tell(result))
