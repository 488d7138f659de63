"""P4Runtime servers in this process that stand in for switches: they keep entries, pass probes over links, answer
register reads, and can be broken in the ways that real ones break. Nothing is forwarded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from finsy import P4PacketOut, P4Schema, P4TableEntry
from finsy.p4entity import decode_entity
from finsy.proto import U128, p4r, p4r_grpc, rpc_code, rpc_status
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether

from controller.desired import Entry, Held, MulticastGroup
from controller.network import Network
from controller.program import DIGESTS, Program

FRAME, REGISTERS, PROBE, ECHO_REPLY = 0, 1, 2, 4
_UNBOUND = object()
_PROFILES = ("action_profile_member", "action_profile_group")


@dataclass
class Registers:
    """A slot: who was heard last, and how many microseconds ago."""

    leader: int = 0
    term: int = 0
    age_us: int = 0


@dataclass
class Fabric:
    """The links between stub switches; a cut end sends nothing."""

    network: Network
    switches: dict[str, StubSwitch] = field(default_factory=dict)
    cut: set[tuple[str, int]] = field(default_factory=set)

    def peer(self, switch: str, port: int) -> tuple[StubSwitch, int] | None:
        for link in self.network.links:
            for end, other in (link.ends, link.ends[::-1]):
                if end == (switch, port) and end not in self.cut and other[0] in self.switches:
                    return self.switches[other[0]], other[1]
        return None


def echo_reply(request: bytes) -> bytes:
    """How a host answers an ICMP echo request."""
    asked = Ether(request)
    answer = IP(src=asked[IP].dst, dst=asked[IP].src) / ICMP(type=0, id=asked[ICMP].id, seq=asked[ICMP].seq)
    return bytes(Ether(src=asked.dst, dst=asked.src) / answer)


class StubSwitch(p4r_grpc.P4RuntimeServicer):
    """One switch. ``start`` and ``stop`` are a process's; entries do not survive."""

    def __init__(self, name: str, device_id: int, program: Program, fabric: Fabric, address: str) -> None:
        self.name, self.device_id, self.address = name, device_id, address
        self.fabric = fabric
        self._program = program
        self.requests: list[p4r.WriteRequest] = []
        self.pushes = 0
        self.registers: dict[int, Registers] = {}
        self.failures: dict[str, int] = {}
        """Tables whose next so many inserts and modifies fail."""
        self.tells_of_vacancy = True
        """As the specification has it; BMv2 makes the next one primary by itself."""
        self.answering = asyncio.Event()
        """Cleared, the switch is as if paused."""
        self._server: Any = None
        self._reset()

    def _reset(self) -> None:
        self.config: p4r.ForwardingPipelineConfig | None = None
        self._highest = 0
        self._entries: dict[bytes, p4r.TableEntry] = {}
        self._groups: dict[int, p4r.MulticastGroupEntry] = {}
        self._profiles: dict[tuple[str, int], p4r.Entity] = {}
        """Members and groups of action profiles, by kind and id."""
        self._digests: set[int] = set()
        self.to_hosts: list[tuple[int, bytes]] = []
        """Frames that have left for hosts, with their ports."""
        self.answers_at: set[int] = set()
        """Ports where hosts answer echo requests."""
        self.streams: dict[int, asyncio.Queue[p4r.StreamMessageResponse]] = {}
        self.packets: dict[tuple[int, int], int] = {}
        self.counters: dict[tuple[str, int], tuple[int, int]] = {}
        self.answering.set()

    @property
    def schema(self) -> P4Schema:
        return self._program.schema

    async def start(self, *, reset: bool = True) -> None:
        """Without ``reset`` it was only the connection that failed: entries are still there."""
        if reset:
            self._reset()
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        p4r_grpc.add_P4RuntimeServicer_to_server(self, self._server)
        if self._server.add_insecure_port(self.address) == 0:
            raise OSError(f"cannot listen at {self.address}")
        await self._server.start()
        self.fabric.switches[self.name] = self

    async def stop(self) -> None:
        self.fabric.switches.pop(self.name, None)
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    # What tests look at and do.

    @property
    def entries(self) -> dict[tuple[str, Any], Entry]:
        found = [self._program.decode(P4TableEntry.decode_entry(e, self.schema)) for e in self._entries.values()]
        return {entry.key: entry for entry in found if isinstance(entry, Entry)}

    @property
    def groups(self) -> dict[int, set[tuple[int, int]]]:
        """(port, instance) of each copy, by multicast group."""
        return {
            number: {(replica.egress_port, replica.instance) for replica in group.replicas}
            for number, group in self._groups.items()
        }

    def held(self) -> set[Held]:
        """All that the controller has written, as it describes it."""
        copies = {MulticastGroup(number, tuple(sorted(group))) for number, group in self.groups.items()}
        profiles = {self._program.decode(decode_entity(one, self.schema)) for one in self._profiles.values()}
        return copies | set(self.entries.values()) | {one for one in profiles if one is not None}

    def leader(self, group: int = 1) -> tuple[int, int] | None:
        entry = self.entries.get(("groups", (("group", group),)))
        return (dict(entry.params)["leader"], dict(entry.params)["term"]) if entry else None

    def route(self, address: int) -> int | None:
        entry = self.entries.get(("ipv4_lpm", (("dst_addr", (address, 32)),)))
        return dict(entry.params)["port"] if entry else None

    def hear(self, leader: int, term: int, slot: int = 0) -> None:
        self.registers[slot] = Registers(leader, term)

    @property
    def digest_configured(self) -> bool:
        """Whether all digests are."""
        return len(self._digests) == len(DIGESTS)

    def digest(self, group: int, slot: int, leader: int, term: int, name: str = "leader_digest_t") -> None:
        """Send a digest about a leader to the primary."""
        self.send_digest(name, {"group": group, "slot": slot, "leader": leader, "term": term})

    def send_digest(self, name: str, data: dict[str, int]) -> None:
        """Send any digest to the primary, if it wants those."""
        digest = self.schema.digests[name]
        if digest.id not in self._digests:
            return
        message = p4r.DigestList(digest_id=digest.id, list_id=1, data=[digest.type_spec.encode_data(data)])
        self._to_primary(p4r.StreamMessageResponse(digest=message))

    def table(self, update: p4r.Update) -> str:
        """The table that an update concerns; nothing if it concerns none."""
        if not update.entity.HasField("table_entry"):
            return ""
        return str(self.schema.tables[update.entity.table_entry.table_id].alias)

    def lose_entry(self, table: str) -> None:
        """Forget a table's entries, as if somebody had deleted them."""
        table_id = self.schema.tables[table].id
        self._entries = {key: entry for key, entry in self._entries.items() if entry.table_id != table_id}

    def set_meter(self, table: str, config: p4r.MeterConfig | None) -> None:
        """Give a table's entries other meters, or none, as if somebody had written them."""
        table_id = self.schema.tables[table].id
        for entry in self._entries.values():
            if entry.table_id == table_id:
                entry.ClearField("meter_config")
                if config is not None:
                    entry.meter_config.CopyFrom(config)

    # P4Runtime.

    async def StreamChannel(
        self, requests: AsyncIterator[p4r.StreamMessageRequest], context: Any
    ) -> AsyncIterator[p4r.StreamMessageResponse]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        election_id = 0

        async def listen() -> None:
            nonlocal election_id
            async for request in requests:
                await self.answering.wait()
                if request.HasField("arbitration"):
                    wanted = U128.decode(request.arbitration.election_id)
                    if wanted != election_id and wanted in self.streams:
                        queue.put_nowait(_UNBOUND)
                        return
                    self.streams.pop(election_id, None)
                    election_id = wanted
                    self.streams[election_id] = queue
                    self._arbitrate()
                elif request.HasField("packet") and election_id == self._primary:
                    self._packet_out(request)
            queue.put_nowait(None)

        listener = asyncio.ensure_future(listen())
        try:
            while (message := await queue.get()) is not None:
                if message is _UNBOUND:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Election id already exists")
                yield message
        finally:
            listener.cancel()
            if self.streams.get(election_id) is queue:
                del self.streams[election_id]
                self._arbitrate()

    def _arbitrate(self) -> None:
        best = max(self.streams, default=0)
        if self.tells_of_vacancy:
            # P4Runtime 1.4, section 5.3: nobody below the highest id ever seen becomes the primary.
            best = self._highest = max(best, self._highest)
        for election_id, queue in self.streams.items():
            code = rpc_code.OK if election_id == best else rpc_code.ALREADY_EXISTS
            if best not in self.streams:
                code = rpc_code.NOT_FOUND
            update = p4r.MasterArbitrationUpdate(
                device_id=self.device_id, election_id=U128.encode(best), status=rpc_status.Status(code=code)
            )
            queue.put_nowait(p4r.StreamMessageResponse(arbitration=update))

    @property
    def _primary(self) -> int:
        return self._highest if self.tells_of_vacancy else max(self.streams, default=0)

    def _to_primary(self, message: p4r.StreamMessageResponse) -> None:
        if self._primary in self.streams:
            self.streams[self._primary].put_nowait(message)

    def _packet_out(self, request: p4r.StreamMessageRequest) -> None:
        metadata = self.schema.controller_packet_metadata["packet_out"].decode(request.packet.metadata)
        packet = P4PacketOut(request.packet.payload, **metadata)
        if packet["kind"] == FRAME:
            peer = self.fabric.peer(self.name, packet["egress_port"])
            if peer is not None:
                peer[0].arrive(peer[1], packet.payload)
            elif packet["egress_port"] not in self.fabric.network.trunks(self.name):
                self.to_hosts.append((packet["egress_port"], packet.payload))
                if packet["egress_port"] in self.answers_at:
                    self._packet_in(echo_reply(packet.payload), packet["egress_port"], ECHO_REPLY)
        elif packet["kind"] == REGISTERS:
            held = self.registers.get(packet["slot"], Registers())
            now = 10_000_000_000
            self._packet_in(
                b"", 510, REGISTERS, slot=packet["slot"], leader=held.leader, term=held.term, heard=now - held.age_us
            )

    def arrive(self, port: int, frame: bytes) -> None:
        """A probe comes in; without a trunk entry the program drops it."""
        if ("port_roles", (("ingress_port", port),)) in self.entries:
            self._packet_in(frame, port, PROBE)

    def _packet_in(
        self, payload: bytes, port: int, kind: int, *, slot: int = 0, leader: int = 0, term: int = 0, heard: int = 0
    ) -> None:
        values = {
            "ingress_port": port,
            "kind": kind,
            "slot": slot,
            "leader": leader,
            "term": term,
            "last_heard_us": heard,
            "now_us": 10_000_000_000,
        }
        metadata = self.schema.controller_packet_metadata["packet_in"].encode(values)
        self._to_primary(p4r.StreamMessageResponse(packet=p4r.PacketIn(payload=payload, metadata=metadata)))

    async def Capabilities(self, request: Any, context: Any) -> p4r.CapabilitiesResponse:
        return p4r.CapabilitiesResponse(p4runtime_api_version="1.4.0")

    async def SetForwardingPipelineConfig(self, request: Any, context: Any) -> Any:
        await self.answering.wait()
        await self._check_primary(request, context)
        self.config = request.config
        self._entries.clear()
        self._groups.clear()
        self._profiles.clear()
        self._digests.clear()
        self.pushes += 1
        return p4r.SetForwardingPipelineConfigResponse()

    async def GetForwardingPipelineConfig(self, request: Any, context: Any) -> Any:
        await self.answering.wait()
        if self.config is None:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, "No forwarding pipeline config set for this device"
            )
        reply = p4r.GetForwardingPipelineConfigResponse()
        assert self.config is not None
        reply.config.cookie.CopyFrom(self.config.cookie)
        if request.response_type == p4r.GetForwardingPipelineConfigRequest.P4INFO_AND_COOKIE:
            reply.config.p4info.CopyFrom(self.config.p4info)
        return reply

    async def _check_primary(self, request: Any, context: Any) -> None:
        if U128.decode(request.election_id) != self._primary:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "Not primary")

    async def Write(self, request: Any, context: Any) -> p4r.WriteResponse:
        await self.answering.wait()
        await self._check_primary(request, context)
        self.requests.append(request)
        codes = [self._update(update) for update in request.updates]
        if any(codes):
            status = rpc_status.Status(code=rpc_code.UNKNOWN, message="some updates failed")
            for code in codes:
                status.details.add().Pack(p4r.Error(canonical_code=code, message="stub" if code else ""))
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            await context.abort(grpc.StatusCode.UNKNOWN, "some updates failed")
        return p4r.WriteResponse()

    def _update(self, update: p4r.Update) -> int:
        if update.entity.HasField("digest_entry"):
            number = update.entity.digest_entry.digest_id
            if number in self._digests and update.type == p4r.Update.INSERT:
                return int(rpc_code.ALREADY_EXISTS)
            (self._digests.discard if update.type == p4r.Update.DELETE else self._digests.add)(number)
            return int(rpc_code.OK)
        if update.entity.HasField("packet_replication_engine_entry"):
            return self._update_group(update)
        if update.entity.WhichOneof("entity") in _PROFILES:
            return self._update_profile(update)
        entry = update.entity.table_entry
        name = self.schema.tables[entry.table_id].alias
        if self.failures.get(name, 0) > 0 and update.type != p4r.Update.DELETE:
            self.failures[name] -= 1
            return int(rpc_code.RESOURCE_EXHAUSTED)
        key = p4r.TableEntry(table_id=entry.table_id, match=entry.match).SerializeToString(deterministic=True)
        group = entry.action.action_profile_group_id
        if group and ("action_profile_group", group) not in self._profiles:
            return int(rpc_code.NOT_FOUND)
        if (key in self._entries) is (update.type == p4r.Update.INSERT):
            return int(rpc_code.ALREADY_EXISTS if key in self._entries else rpc_code.NOT_FOUND)
        if update.type == p4r.Update.DELETE:
            del self._entries[key]
        else:
            self._entries[key] = entry
        return int(rpc_code.OK)

    def _update_group(self, update: p4r.Update) -> int:
        group = update.entity.packet_replication_engine_entry.multicast_group_entry
        number = group.multicast_group_id
        if (number in self._groups) is (update.type == p4r.Update.INSERT):
            return int(rpc_code.ALREADY_EXISTS if number in self._groups else rpc_code.NOT_FOUND)
        if update.type == p4r.Update.DELETE:
            del self._groups[number]
        else:
            self._groups[number] = group
        return int(rpc_code.OK)

    def _update_profile(self, update: p4r.Update) -> int:
        """A group needs its members, what is used cannot go, and nobody makes an empty group."""
        kind = str(update.entity.WhichOneof("entity"))
        given = getattr(update.entity, kind)
        is_group = kind == "action_profile_group"
        key = kind, given.group_id if is_group else given.member_id
        if (key in self._profiles) is (update.type == p4r.Update.INSERT):
            return int(rpc_code.ALREADY_EXISTS if key in self._profiles else rpc_code.NOT_FOUND)
        if update.type == p4r.Update.DELETE:
            if key[1] in self._used(kind):
                return int(rpc_code.FAILED_PRECONDITION)
            del self._profiles[key]
            return int(rpc_code.OK)
        if is_group and not given.members:
            return int(rpc_code.INVALID_ARGUMENT)
        if is_group and any((_PROFILES[0], one.member_id) not in self._profiles for one in given.members):
            return int(rpc_code.NOT_FOUND)
        self._profiles[key] = update.entity
        return int(rpc_code.OK)

    def _used(self, kind: str) -> set[int]:
        if kind == "action_profile_group":
            return {entry.action.action_profile_group_id for entry in self._entries.values()}
        groups = [one.action_profile_group for name, one in self._profiles.items() if name[0] != kind]
        return {one.member_id for group in groups for one in group.members}

    async def Read(self, request: Any, context: Any) -> AsyncIterator[p4r.ReadResponse]:
        await self.answering.wait()
        reply = p4r.ReadResponse()
        for entity in request.entities:
            if entity.HasField("table_entry"):
                self._read_table(entity.table_entry, reply)
            elif entity.HasField("packet_replication_engine_entry"):
                for group in self._groups.values():
                    found_group = reply.entities.add().packet_replication_engine_entry.multicast_group_entry
                    found_group.CopyFrom(group)
                    # BMv2 returns copies by instance, whatever the order was that they were written in.
                    found_group.replicas.sort(key=lambda one: (one.instance, one.egress_port))
            elif entity.WhichOneof("entity") in _PROFILES:
                kind = entity.WhichOneof("entity")
                for (name, _), one in self._profiles.items():
                    if name == kind:
                        reply.entities.add().CopyFrom(one)
            elif entity.HasField("counter_entry"):
                counter = self.schema.counters[entity.counter_entry.counter_id]
                for index in range(counter.size):
                    packets, octets = self.counters.get((counter.alias, index), (0, 0))
                    found = reply.entities.add().counter_entry
                    found.counter_id, found.index.index = counter.id, index
                    found.data.packet_count, found.data.byte_count = packets, octets
        yield reply

    def _read_table(self, asked: p4r.TableEntry, reply: p4r.ReadResponse) -> None:
        for entry in self._entries.values():
            if asked.table_id in (0, entry.table_id):
                found = reply.entities.add().table_entry
                found.CopyFrom(entry)
                if asked.HasField("counter_data"):
                    held = P4TableEntry.decode_entry(entry, self.schema)
                    key = (held["group"], held["source"]) if held.table_id == "members" else (0, 0)
                    found.counter_data.packet_count = self.packets.get(key, 0)
