"""A UDP socket that takes and gives many datagrams with one system call; nobody else knows how.

In: ``recvmmsg``, which Python's own module lacks, so it is called by ctypes. Out: UDP_SEGMENT, by which the kernel
cuts one buffer into datagrams (Linux 4.18; before 6.11 only on interfaces that compute checksums). ``sendmmsg`` would
save no more than the calls: each datagram would still go its own way through the kernel. Where either is refused,
single calls do the same. Back: ICMP's answers to what was sent, from the socket's error queue (IP_RECVERR, ip(7)).
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from hosts.config import DEFAULT_MTU, LEAST_MTU, Address
from hosts.net.path import BASE, UDP_OVERHEAD
from hosts.net.reassembly import Datagram

SOCKET_BUFFER_BYTES = 4 << 20
BATCH = 64
"""Datagrams taken with one call."""

SLOT_BYTES = 2048
"""Room for a datagram, at the least; longer ones than were asked for are none of ours."""

MOST_BUFFER_BYTES = 2 << 20
TRAIN_BYTES = 65_000
"""A train of datagrams that is sent with one call is no longer: with headers it is one IP packet to the kernel."""

TRAIN_DATAGRAMS = 64
"""The kernel's UDP_MAX_SEGMENTS, as it was at first."""

MAX_KNOWN_ADDRESSES = 4096

MAX_ERRORS = 64
"""Entries taken from the error queue at a time: whoever forges many is not to hold up anything else."""

_SOL_UDP, _UDP_SEGMENT = 17, 103
_IP_MTU, _IP_MTU_DISCOVER, _PMTUDISC_WANT, _PMTUDISC_PROBE = 14, 10, 1, 3
_IP_RECVERR, _ORIGIN_ICMP, _ICMP_DEST_UNREACH, _ICMP_PORT_UNREACH = 11, 2, 3, 3
_MSG_DONTWAIT, _MSG_TRUNC, _MSG_ERRQUEUE = 0x40, 0x20, 0x2000
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
"""``sock_extended_err``: errno, origin, type, code, padding, info, data. The offender's address follows."""
_ERROR_BYTES = 512
QUOTED_BYTES = 64
"""So much of a datagram that ICMP quotes is looked at: a member's header, and what a reply begins with."""
_NEVER_SEGMENTED = frozenset({errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP})
"""Why UDP_SEGMENT fails where it always will; EINVAL: the interface takes no such datagrams now."""


class Refusal(NamedTuple):
    """An answer to a datagram that was sent, by its addressee's host or by whoever forges that."""

    destination: Address
    """Where the datagram went, by the quote of it in the answer."""
    nobody_there: bool
    """Whether the destination's own host says that nothing listens at that port; False for any other error."""
    quoted: bytes = b""
    """How the datagram began, likewise; empty if that is not known."""


class Socket(Protocol):
    """What a transport needs of a socket."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...

    def receive(self) -> Sequence[tuple[Datagram, Address]]:
        """Some of the datagrams that have come; none if there are none. They are valid until the next call. Raises
        OSError."""
        ...

    def send(self, datagram: bytes, address: Address) -> None:
        """Send a datagram. Raises OSError if it does not leave."""
        ...

    def send_all(self, datagrams: Sequence[bytes], address: Address) -> int:
        """Send datagrams, in this order. Returns how many have left; the others are as good as lost."""
        ...

    def take_refusals(self) -> Sequence[Refusal]:
        """Some of the answers that have come to what was sent; none if there are none."""
        ...


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MessageHeader(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _MessageHeader), ("length", ctypes.c_uint))


_SOCKET_ADDRESS = struct.Struct("=HH4s8x")
_WORD = 4


class _ManyBuffers:
    """The buffers and structures of ``recvmmsg``, made once."""

    def __init__(self, slot: int) -> None:
        """Raises OSError or AttributeError where the C library lacks the call."""
        self.count = max(8, min(BATCH, MOST_BUFFER_BYTES // slot))
        self._slot = slot
        self._call = ctypes.CDLL(None, use_errno=True).recvmmsg
        self._call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        self._buffer = bytearray(self.count * slot)
        self._names = bytearray(self.count * _SOCKET_ADDRESS.size)
        buffer = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        names = ctypes.addressof(ctypes.c_char.from_buffer(self._names))
        self._vectors = (_IoVector * self.count)()
        self._messages = (_Message * self.count)()
        for number, (vector, message) in enumerate(zip(self._vectors, self._messages, strict=True)):
            vector.base, vector.length = buffer + number * slot, slot
            message.header.name = names + number * _SOCKET_ADDRESS.size
            message.header.name_length = _SOCKET_ADDRESS.size
            message.header.vectors, message.header.vector_count = ctypes.addressof(vector), 1
        self._where = ctypes.addressof(self._messages)
        self._words = memoryview(self._messages).cast("B").cast("I")
        self._stride = ctypes.sizeof(_Message) // _WORD
        self._length_at = _Message.length.offset // _WORD
        self._flags_at = _MessageHeader.flags.offset // _WORD
        self._view = memoryview(self._buffer)
        self._name_words = memoryview(self._names).cast("Q")
        self._addresses: dict[int, Address] = {}
        """By the first word of a name, in which all of it stands."""

    def receive(self, fd: int) -> list[tuple[Datagram, Address]]:
        count = self._call(fd, self._where, self.count, _MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.EINTR):
                return []
            raise OSError(number, "recvmmsg")
        found: list[tuple[Datagram, Address]] = []
        words, stride, view, slot = self._words, self._stride, self._view, self._slot
        lengths, flags = self._length_at, self._flags_at
        names, known = self._name_words, self._addresses
        for number in range(count):
            at = number * stride
            if words[at + flags] & _MSG_TRUNC:
                continue
            start = number * slot
            address = known.get(names[2 * number]) or self._learn_address(number)
            found.append((view[start : start + words[at + lengths]], address))
        return found

    def _learn_address(self, number: int) -> Address:
        if len(self._addresses) >= MAX_KNOWN_ADDRESSES:
            self._addresses.clear()
        _, port, host = _SOCKET_ADDRESS.unpack_from(self._names, number * _SOCKET_ADDRESS.size)
        address = self._addresses[self._name_words[2 * number]] = (socket.inet_ntoa(host), socket.ntohs(port))
        return address


class UdpSocket:
    """A bound socket that never blocks. ``many`` False: single calls only."""

    def __init__(
        self, address: Address, largest: int = BASE, *, many: bool = True, wants_refusals: bool = False
    ) -> None:
        """``largest``: bytes of the largest datagram that is expected. ``wants_refusals``: whoever has the socket
        takes them as soon as poll says that there is an error. Raises OSError if the address cannot be bound, and
        OverflowError, TypeError or UnicodeError if it is none."""
        self._slot = max(SLOT_BYTES, largest + UDP_OVERHEAD)
        self._segments = many
        self._wants_refusals = wants_refusals
        self._unfragmented = False
        """Whether what is too large for an interface is refused, and not cut by IP."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self._socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
            if wants_refusals:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            self._socket.bind(address)
        except Exception:
            self._socket.close()
            raise
        self._many = _open_many(self._slot) if many else None

    def fileno(self) -> int:
        """The descriptor, to wait for what comes."""
        return self._socket.fileno()

    def getsockname(self) -> Address:
        """Where it is bound."""
        host, port = self._socket.getsockname()
        return host, port

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def receive(self) -> Sequence[tuple[Datagram, Address]]:
        """Some of the datagrams that have come, valid until the next call; none if there are none. Raises OSError."""
        try:
            return self._receive()
        except OSError:
            if not self._wants_refusals:
                raise
            # Of a datagram that was sent. It is reported once, so what has come is there with the next call.
            return self._receive()

    def _receive(self) -> Sequence[tuple[Datagram, Address]]:
        if self._many is not None:
            return self._many.receive(self._socket.fileno())
        found: list[tuple[Datagram, Address]] = []
        try:
            while len(found) < BATCH:
                datagram, address = self._socket.recvfrom(self._slot)
                found.append((datagram, address))
        except BlockingIOError:
            pass
        except OSError:
            if not found:
                raise
        return found

    def send(self, datagram: bytes, address: Address) -> None:
        """Send a datagram. Raises OSError if it does not leave, and what ``socket.sendto`` raises for an address that
        is none."""
        if (len(datagram) > BASE) is not self._unfragmented:
            self._set_unfragmented(len(datagram) > BASE)
        try:
            self._socket.sendto(datagram, address)
        except BlockingIOError:
            raise
        except OSError:
            if not self._wants_refusals:
                raise
            # Perhaps ICMP's answer to an earlier datagram, to any address; it is reported once, and none has left.
            self._socket.sendto(datagram, address)

    def take_refusals(self) -> Sequence[Refusal]:
        """Some of the answers that have come to what was sent; none if there are none."""
        found: list[Refusal] = []
        while len(found) < MAX_ERRORS:
            try:
                quoted, control, _, destination = self._socket.recvmsg(QUOTED_BYTES, _ERROR_BYTES, _MSG_ERRQUEUE)
            except OSError:
                break
            nobody_there = any(
                level == socket.IPPROTO_IP and kind == _IP_RECVERR and _says_port_unreachable(data, destination[0])
                for level, kind, data in control
            )
            found.append(Refusal((destination[0], destination[1]), nobody_there, quoted))
        return found

    def send_all(self, datagrams: Sequence[bytes], address: Address) -> int:
        """Send datagrams, in this order. Returns how many have left; the others are as good as lost."""
        sent = at = 0
        while at < len(datagrams):
            end = _end_of_train(datagrams, at) if self._segments else at + 1
            if end - at > 1 and self._send_train(datagrams[at:end], address):
                sent += end - at
            else:
                sent += self._send_singly(datagrams[at:end], address)
            at = end
        return sent

    def _send_train(self, datagrams: Sequence[bytes], address: Address) -> bool:
        size = len(datagrams[0])
        if (size > BASE) is not self._unfragmented:
            self._set_unfragmented(size > BASE)
        segment = [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", size))]
        for last in (False, True) if self._wants_refusals else (True,):
            try:
                self._socket.sendmsg(datagrams, segment, 0, address)
            except BlockingIOError:
                return False
            except OSError as error:
                if last and error.errno in _NEVER_SEGMENTED:
                    self._segments = False
            else:
                return True
        return False

    def _send_singly(self, datagrams: Sequence[bytes], address: Address) -> int:
        sent = 0
        for datagram in datagrams:
            try:
                self.send(datagram, address)
            except OSError:
                continue  # a full buffer, or no way: the same as a datagram lost on the way
            sent += 1
        return sent

    def _set_unfragmented(self, unfragmented: bool) -> None:
        self._unfragmented = unfragmented
        how = _PMTUDISC_PROBE if unfragmented else _PMTUDISC_WANT
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, how)


def interface_mtu(towards: Address) -> int:
    """Bytes of the largest IP packet that leaves the interface by which ``towards`` is reached; DEFAULT_MTU where
    that cannot be told."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.connect(towards)
            return max(LEAST_MTU, asked.getsockopt(socket.IPPROTO_IP, _IP_MTU))
    except (OSError, OverflowError, TypeError, UnicodeError):
        return DEFAULT_MTU


def _says_port_unreachable(error: bytes, destination: str) -> bool:
    """Whether an ``IP_RECVERR`` message is ICMP's port unreachable from the host at ``destination`` itself: a router
    or firewall on the way knows nothing of that host's processes."""
    offender = error[_EXTENDED_ERROR.size :]
    if len(offender) < _SOCKET_ADDRESS.size:
        return False
    _, origin, kind, code, *_ = _EXTENDED_ERROR.unpack_from(error)
    family, _, host = _SOCKET_ADDRESS.unpack_from(offender)
    is_port = (origin, kind, code) == (_ORIGIN_ICMP, _ICMP_DEST_UNREACH, _ICMP_PORT_UNREACH)
    return is_port and family == socket.AF_INET and socket.inet_ntoa(host) == destination


def _open_many(slot: int) -> _ManyBuffers | None:
    try:
        return _ManyBuffers(slot)
    except (AttributeError, OSError):
        return None


def _end_of_train(datagrams: Sequence[bytes], start: int) -> int:
    """Where those end that may go with the one at ``start``: of the same size, the last one perhaps shorter."""
    size = filled = len(datagrams[start])
    end = start + 1
    while end < len(datagrams) and end - start < TRAIN_DATAGRAMS:
        this = len(datagrams[end])
        if this > size or filled + this > TRAIN_BYTES:
            break
        filled += this
        end += 1
        if this < size:
            break
    return end
