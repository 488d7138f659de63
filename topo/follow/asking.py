"""The client's call that is followed: made from a host of the lab, in a thread of its own that enters its
namespace."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from hosts.client.blocking import Client
from hosts.client.calls import ClientError, Result
from hosts.config import Address
from hosts.service import values
from hosts.service.requests import Operation, Request
from topo.errors import LabError
from topo.views.client_requests import ClientCall, Route, opened
from topo.views.destination import Destination, choose

SESSION_S = 1.0
"""A session that is not open by then is opened while the call is followed."""


@dataclass(frozen=True)
class Asked:
    """What came of a call: a result, or why there is none."""

    result: Result | None = None
    error: LabError | None = None


class Asking:
    """A call as ``switchraft put`` makes it. Its client has a session, wherever there is a leader, before the call
    begins: so what is followed is the call alone."""

    def __init__(self, route: Route, call: ClientCall) -> None:
        """Returns once the call can begin. Raises what ``topo.views.client_requests.ask`` raises before it asks."""
        self.client: Address = ("", 0)
        self.way = Destination((), 0)
        self.asked = Asked()
        self._route = route
        self._call = call
        self._ready, self._begin, self._done = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="client", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self.asked.error is not None:
            raise self.asked.error

    def begin(self) -> None:
        """Ask now."""
        self._begin.set()

    @property
    def done(self) -> bool:
        """Whether ``asked`` says what came of it."""
        return self._done.is_set()

    def _run(self) -> None:
        try:
            self.way = choose(self._route.origin, self._route.target, None, self._route.group)
            with opened(self.way, self._route.seconds) as client:
                self.client = client.address
                _open_session(client)
                self._ready.set()
                self._begin.wait()
                self.asked = Asked(result=self._call.ask(client))
        except LabError as error:
            self.asked = Asked(error=error)
        except OSError as error:
            self.asked = Asked(error=LabError(f"cannot ask: {error.strerror or error}"))
        finally:
            self._ready.set()
            self._done.set()


def _open_session(client: Client) -> None:
    """Have the client open its session, by reading a key that nobody has written."""
    try:
        client.wait(client.submit(Request(0, Operation.GET, key=values.encode("")), SESSION_S))
    except ClientError:
        return
