"""The client library: ``from hosts.client import Client``.

protocol   what is sent, repeated and believed; sans-IO
pace       how fast, once many requests got lost
calls      requests on their way to an answer, and what is known of those that are asked
blocking   `Client`: a socket and a clock around the protocol
aio        `AsyncClient`, made by `connect`: the same on an asyncio loop
outgoing   the socket of both
"""

from hosts.client.blocking import Client

__all__ = ["Client"]
