"""Controller headers: the bits before a packet-in's or packet-out's frame: specification, "Packet I/O"."""

from __future__ import annotations

from collections.abc import Sequence

from finsy.proto import p4r

from p4switch.p4runtime.errors import invalid
from p4switch.p4runtime.p4info import Field
from p4switch.p4runtime.values import decode, encode


class ControllerHeader:
    """A header of `fields` from first to last bit, of the widths that the data plane has; clients do not see those
    with the id 0. An empty one stands for a program that declares none."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = tuple(fields)
        self._positions = {field.id: position for position, field in enumerate(fields) if field.id}
        bits = sum(field.data_width for field in fields)
        self.size = (bits + 7) // 8
        self._spare = self.size * 8 - bits

    def frame(self, message: p4r.PacketOut) -> bytes:
        """The bytes that enter at the CPU port.

        Raises:
            RequestError: OUT_OF_RANGE for a value that does not fit its field, INVALID_ARGUMENT for metadata that the
                P4Info does not have or that are missing. Fields marked @padding may be left out.
        """
        values: list[int | None] = [None] * len(self._fields)
        for metadata in message.metadata:
            position = self._positions.get(metadata.metadata_id)
            if position is None:
                raise invalid(f"packet_out has no metadata field with the id {metadata.metadata_id}")
            field = self._fields[position]
            if values[position] is not None:
                raise invalid(f"the packet_out field {field.name} is given twice")
            number = decode(metadata.value, field.width, f"packet_out.{field.name}")
            if number > field.data_limit:
                bits = f"the {field.data_width} bits of the header"
                raise invalid(f"packet_out.{field.name}: {number:#x} has no counterpart in {bits}")
            values[position] = number
        header = 0
        for field, value in zip(self._fields, values, strict=True):
            if value is None and not field.padding:
                raise invalid(f"the packet_out field {field.name} is missing")
            header = header << field.data_width | (value or 0)
        return (header << self._spare).to_bytes(self.size, "big") + message.payload

    def message(self, frame: bytes) -> p4r.PacketIn | None:
        """The packet-in of a frame that left at the CPU port; None if it is shorter than the header."""
        if len(frame) < self.size:
            return None
        packet = p4r.PacketIn(payload=frame[self.size :])
        bits = int.from_bytes(frame[: self.size], "big")
        below = self.size * 8
        for field in self._fields:
            below -= field.data_width
            if field.id:
                packet.metadata.add(metadata_id=field.id, value=encode(bits >> below & field.data_limit))
        return packet
