"""The socket of a client, whichever loop turns around it."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from hosts.client.calls import ClientError
from hosts.client.protocol import ClientProtocol
from hosts.config import Address
from hosts.net.path import largest_datagram
from hosts.net.udp import UdpSocket, interface_mtu

_ADDRESS = itemgetter(1)


def open_socket(protocol: ClientProtocol, bind: str | Address | None) -> UdpSocket:
    """A client's socket at ``bind``, or anywhere. Its protocol tries datagrams as large as the interface to its first
    server takes. Raises ClientError if ``bind`` is no address of this machine."""
    where = (bind, 0) if isinstance(bind, str) else bind or ("", 0)
    server = protocol.servers.current
    largest = largest_datagram(server[0], interface_mtu(server))
    try:
        opened = UdpSocket(where, largest)
    except (OSError, OverflowError, TypeError, UnicodeError) as error:
        raise ClientError(f"cannot send from {bind}: {_reason(error)}; is it this machine's address?") from error
    protocol.may_send(largest)
    return opened


def send_outgoing(protocol: ClientProtocol, through: UdpSocket) -> None:
    """Send what the protocol has to say."""
    for address, pairs in groupby(protocol.datagrams_to_send(), _ADDRESS):
        datagrams = [datagram for datagram, _ in pairs]
        try:
            if len(datagrams) == 1 or not through.send_all(datagrams, address):
                through.send(datagrams[0], address)
        except (OSError, UnicodeError) as error:
            protocol.could_not_send(address, _reason(error))


def _reason(error: Exception) -> str:
    """In the system's words, without its number, where they are the system's."""
    return str(getattr(error, "strerror", None) or error)
