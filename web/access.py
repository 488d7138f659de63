"""Who may see and change a running lab from a browser: one-time codes, sessions, and which requests are the page's.

A code is given to whoever may read this process's files or terminal, and is good for one exchange. What it is
exchanged for is a session: a cookie (HttpOnly, SameSite=Strict), and a key that the page keeps for itself. Cookies
are one for all ports of a host, so a server that another user runs on another port can be sent one; the key, kept by
the browser for this port alone, is needed for everything of the lab, and the cookie for the page's files as well.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

CODE_S = 600.0
"""A code that nobody has used by then is none any more."""
MOST_CODES, MOST_SESSIONS = 16, 32
KEY_HEADER = "X-Switchraft-Key"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
REFUSAL = "Not for you: open the address that `switchraft web` prints; each is good once.\n"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _hash(secret: str) -> str:
    """Secrets are looked up by their hashes, so that no comparison tells how much of one was right."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True)
class Session:
    """``cookie`` and ``key`` are secrets, told once."""

    cookie: str
    key: str


class Access:
    """The codes and sessions of one server. ``port`` is what it listens on, on loopback."""

    def __init__(self, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.port = port
        self._clock = clock
        self._codes: dict[str, float] = {}
        self._sessions: dict[str, str] = {}

    @property
    def cookie_name(self) -> str:
        return f"switchraft-{self.port}"

    def new_address(self) -> str:
        """An address that opens the page once."""
        code = secrets.token_urlsafe(32)
        self._codes[_hash(code)] = self._clock() + CODE_S
        while len(self._codes) > MOST_CODES:
            del self._codes[next(iter(self._codes))]
        return f"http://127.0.0.1:{self.port}/open?code={code}"

    def exchange(self, code: str) -> Session | None:
        """A session for a code; None if it is none, or was used, or is too old."""
        until = self._codes.pop(_hash(code), None)
        if until is None or until < self._clock():
            return None
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        self._sessions[_hash(session.cookie)] = _hash(session.key)
        while len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return session

    def knows(self, cookie: str) -> bool:
        """Whether a cookie is a session's."""
        return _hash(cookie) in self._sessions

    def is_whole(self, cookie: str, key: str) -> bool:
        """Whether cookie and key are one session's."""
        return self._sessions.get(_hash(cookie)) == _hash(key)

    # -- requests ---------------------------------------------------------------------------------------------------

    def is_own(self, request: web.Request) -> bool:
        """Whether a request is to this server by its own name, and not by another origin's page."""
        hosts = [f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")]
        host = request.headers.getall("Host", [])
        if len(host) != 1 or host[0] not in hosts:
            return False
        origins = request.headers.getall("Origin", [])
        if any(origin != f"http://{host[0]}" for origin in origins):
            return False
        upgrades = request.headers.get("Upgrade") is not None
        if (upgrades or request.method not in ("GET", "HEAD")) and not origins:
            return False
        return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none") or self._opens(request)

    @staticmethod
    def _opens(request: web.Request) -> bool:
        """A file on disk, or a link in a terminal, leads to where a code is exchanged."""
        return request.path == "/open" and request.headers.get("Sec-Fetch-Mode") == "navigate"

    def cookie_of(self, request: web.Request) -> str:
        """The session's cookie of a request; "" if there is none."""
        return request.cookies.get(self.cookie_name, "")

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Lets nothing through but a code's exchange, and what comes with a session."""
        if not self.is_own(request):
            return refuse()
        if request.path != "/open" and not self.knows(self.cookie_of(request)):
            return refuse()
        try:
            response = await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=f"{error.reason}\n", headers=HEADERS)
        if not response.prepared:
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    def open(self, request: web.Request) -> web.Response:
        """Exchange a code. The page behind it keeps the key and goes on to the page proper: by itself, because a
        browser sends no strict cookie along a redirection that has begun elsewhere."""
        session = self.exchange(request.query.get("code", ""))
        if session is None:
            return refuse()
        nonce = secrets.token_urlsafe(16)
        text = (
            '<!doctype html><meta charset="utf-8"><title>switchraft</title>'
            f'<script nonce="{nonce}">localStorage.setItem("switchraft-key", "{session.key}");'
            'location.replace("/?live");</script><noscript>This page needs JavaScript.</noscript>'
        )
        headers = {**HEADERS, "Content-Security-Policy": f"default-src 'none'; script-src 'nonce-{nonce}'"}
        response = web.Response(text=text, content_type="text/html", headers=headers)
        response.set_cookie(self.cookie_name, session.cookie, httponly=True, samesite="Strict", path="/")
        return response


def refuse() -> web.Response:
    """The same for whatever is wrong."""
    return web.Response(status=403, text=REFUSAL, headers=HEADERS)
