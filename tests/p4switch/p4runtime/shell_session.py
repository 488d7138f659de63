"""What test_shell.py runs inside p4runtime-shell (`%run -i`), whose names it uses. Prints SESSION OK at its end."""
# ruff: noqa: F821

from p4runtime_sh.p4runtime import P4RuntimeWriteException


def read(entity):
    found = []
    entity.read(found.append)
    return found


def entry(port, table="ingress.exact_t", action="ingress.forward"):
    made = table_entry[table](action=action)
    made.match["narrow"] = "0x123"
    made.match["nibble"] = "4"
    made.action["port"] = str(port)
    return made


print("insert, read")
entry(7).insert()
[found] = read(table_entry["ingress.exact_t"])
assert found.action["port"].value == b"\x07", found

print("insert twice is refused")
try:
    entry(7).insert()
except P4RuntimeWriteException as error:
    assert "ALREADY_EXISTS" in str(error), error
else:
    raise AssertionError("no error")

print("modify")
entry(8).modify()
[found] = read(table_entry["ingress.exact_t"])
assert found.action["port"].value == b"\x08", found

print("ternary, range, optional, LPM, default")
mixed = table_entry["ingress.mixed_t"](action="ingress.forward")
mixed.match["address"] = "10.0.0.0&&&255.0.0.0"
mixed.match["number"] = "80..90"
mixed.match["nibble"] = "4"
mixed.match["port"] = "1"
mixed.action["port"] = "3"
mixed.priority = 10
mixed.insert()
assert len(read(table_entry["ingress.mixed_t"])) == 1
route = table_entry["ingress.lpm_t"](action="ingress.forward")
route.match["address"] = "10.0.0.0/8"
route.action["port"] = "510"
route.insert()
default = table_entry["ingress.exact_t"](action="ingress.forward", is_default=True)
default.action["port"] = "9"
default.modify()
default = table_entry["ingress.exact_t"](is_default=True)
default.read(lambda one: print(one))

print("counters")
counter = counter_entry["ingress.kinds"]
counter.index = 1
counter.packet_count = 40
counter.modify()
counter = counter_entry["ingress.kinds"]
assert len(read(counter)) == 4
counter.index = 1
[found] = read(counter)
assert found.packet_count == 40, found
direct = direct_counter_entry["ingress.exact_hits"]
direct.table_entry.match["narrow"] = "0x123"
direct.table_entry.match["nibble"] = "4"
direct.packet_count = 5
direct.modify()
[found] = read(direct)
assert found.packet_count == 5, found

print("meters")
meter = meter_entry["ingress.limits"]
meter.index = 2
meter.cir, meter.cburst, meter.pir, meter.pburst = 10, 20, 30, 40
meter.modify()
[found] = read(meter)
assert (found.cir, found.cburst, found.pir, found.pburst) == (10, 20, 30, 40), found

print("multicast group, clone session")
group = multicast_group_entry(4)
group.add(1, 11).add(510, 12)
group.insert()
group = multicast_group_entry(4)
[group] = read(group)
assert len(group.replicas) == 2, group
session = clone_session_entry(5)
session.add(7, 1)
session.insert()
session.modify()

print("packet-out, packet-in")
data = bytes(range(6)) + bytes(range(6, 12)) + b"\x88\xb6" + bytes(24)
packet = packet_out()
packet.payload = data
packet.metadata["egress_port"] = "0"
packet.metadata["kind"] = "1"
packet.metadata["arg"] = "0"
packet.send()
back = packet_in.packet_in_queue.get(timeout=30)
assert back.packet.payload[6:] == data[6:], back

print("packet-out through the multicast group")
packet.metadata["kind"] = "2"
packet.metadata["arg"] = "4"
packet.send()
back = packet_in.packet_in_queue.get(timeout=30)
assert [int.from_bytes(one.value, "big") for one in back.packet.metadata] == [510, 5, 12], back

print("digest")
digest = digest_entry["sample_t"]
digest.max_timeout_ns, digest.max_list_size, digest.ack_timeout_ns = 0, 1, 0
digest.insert()
packet.metadata["egress_port"] = "5"
packet.metadata["kind"] = "3"
packet.metadata["arg"] = "0xabc"
packet.send()
told = digest_list.digest_list_queue.get(timeout=30)
assert told.digest.data[0].struct.members[0].bitstring == b"\x0a\xbc", told
digest.delete()

print("counters count")
counter = counter_entry["ingress.kinds"]
assert [cell.packet_count for cell in read(counter)] == [0, 41, 1, 1]

print("delete")
group.delete()
session.delete()
mixed.delete()
route.delete()
entry(8).delete()
for name in ("exact_t", "mixed_t", "lpm_t"):
    assert read(table_entry["ingress." + name]) == [], name
assert packet_in.packet_in_queue.empty() and digest_list.digest_list_queue.empty()
print("SESSION OK")
