// Sizes, ports and codes, each in one place. RAFT_PORT and CPU_PORT may be given on the compiler's command line.
#ifndef CONSTANTS_P4_
#define CONSTANTS_P4_

#ifndef RAFT_PORT
#define RAFT_PORT 26410
#endif
#ifndef CPU_PORT
#define CPU_PORT 510
#endif

const bit<16> ETHERTYPE_IPV4 = 0x0800;
// IEEE 802 local experimental Ethertype 1: the controller's probes of links between switches.
const bit<16> ETHERTYPE_PROBE = 0x88B5;
const bit<8> PROTOCOL_ICMP = 1;
const bit<8> PROTOCOL_UDP = 17;

// ICMP types and a code (RFC 792).
const bit<8> ICMP_ECHO_REPLY = 0;
const bit<8> ICMP_UNREACHABLE = 3;
const bit<8> ICMP_PORT_UNREACHABLE = 3;

const bit<16> ETHERNET_BYTES = 14;
const bit<16> IPV4_BYTES = 20;
const bit<16> UDP_BYTES = 8;
const bit<16> RAFT_BYTES = 40;
// An acknowledgement's payload, the seal behind it, and what is kept of both with source and index.
const bit<16> ACK_BYTES = 16;
const bit<16> SEAL_BYTES = 32;
const bit<16> RECORD_BYTES = 18;
const bit<16> SEALED_RECORD_BYTES = 50;
// UDP lengths of an acknowledgement that says no more than how far its sender is.
const bit<16> PLAIN_ACK = UDP_BYTES + RAFT_BYTES + ACK_BYTES;
const bit<16> SEALED_ACK = UDP_BYTES + RAFT_BYTES + ACK_BYTES + SEAL_BYTES;

const bit<8> RAFT_VERSION = 1;
const bit<8> NOBODY = 0;
const bit<8> EVERYBODY = 255;
const bit<8> FIRST_CLIENT_TYPE = 16;

// Bits of the Raft header's flags.
const bit<8> FLAG_FANOUT = 0x02;
const bit<8> FLAG_GATHER = 0x04;
const bit<8> FLAG_NO_STEER = 0x08;
const bit<8> FLAG_GATHERED = 0x40;
const bit<8> FLAG_READ = 0x80;

const bit<32> GROUPS = 64;
// When a group's leader changes, the next one's tree is there before the last one's goes.
const bit<32> TREES = 2 * GROUPS;
const bit<32> MEMBERS = 1024;
const bit<32> PORTS = 512;
// Places of the members beside the leader, of whom a group has at most so many.
const bit<8> POSITIONS = 8;
const bit<8> NO_POSITION = 255;
const bit<32> GATHER_CELLS = GROUPS * 8;
const bit<32> ROUTES = 4096;
const bit<32> MESSAGE_TYPES = 32;
const bit<32> DROP_REASONS = 32;
const bit<32> COPY_FATES = 8;
const bit<32> END_FATES = 8;
const bit<32> ACK_FATES = 8;
// Every message type above counts as this one.
const bit<8> LAST_COUNTED_TYPE = 31;

// What a meter says of a packet (v1model has no names for it). Between them is 1, yellow: beyond the committed rate,
// not beyond the peak rate.
const bit<8> METER_GREEN = 0;
const bit<8> METER_RED = 2;

// standard_metadata.instance_type of a copy that a multicast group has made (BMv2's simple_switch).
const bit<32> MULTICAST_COPY = 5;

// How often one group's digest may go out while switch and controller disagree, and how often that a group's leader is
// silent, or that nobody is at a port's host, in microseconds.
const bit<48> DIGEST_PERIOD_US = 200000;

// Wire numbers, as in hosts/raft/message.py.
enum bit<8> MessageType {
  pre_vote = 1,
  pre_vote_reply = 2,
  request_vote = 3,
  request_vote_reply = 4,
  append_entries = 5,
  append_entries_reply = 6,
  install_snapshot = 7,
  install_snapshot_reply = 8,
  timeout_now = 9,
  configuration = 10,
  campaign_hint = 11,
  fragment_status = 12,
  read_index = 13,
  read_index_reply = 14,
  client_request = 16,
  client_reply = 17,
  client_fragment_status = 18
}

// What the controller asks by packet-out, and what a packet-in is.
enum bit<7> ControllerKind {
  frame = 0,         // packet-out: send the frame out of egress_port
  registers = 1,     // packet-out: read a slot's registers; packet-in: the answer
  probe = 2,         // packet-in: a link probe that arrived on ingress_port
  configuration = 3, // packet-in: a Configuration message of a registered member
  echo_reply = 4     // packet-in: a member's host answers an ICMP echo request of the controller
}

#endif  // CONSTANTS_P4_
