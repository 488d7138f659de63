// Headers and metadata.
#ifndef HEADERS_P4_
#define HEADERS_P4_

#include "constants.p4"
#include "reasons.p4"

typedef bit<9> port_t;
typedef bit<48> mac_t;
typedef bit<32> ipv4_addr_t;
typedef bit<48> time_us_t;  // microseconds since the switch started

@controller_header("packet_out")
header packet_out_t {
  port_t egress_port;
  bit<7> kind;
  bit<8> slot;
}

@controller_header("packet_in")
header packet_in_t {
  port_t ingress_port;
  bit<7> kind;
  bit<8> slot;
  bit<8> leader;
  bit<64> term;
  time_us_t last_heard_us;
  time_us_t now_us;
}

header ethernet_t {
  mac_t dst_addr;
  mac_t src_addr;
  bit<16> ether_type;
}

header ipv4_t {
  bit<4> version;
  bit<4> ihl;
  bit<8> diffserv;
  bit<16> total_len;
  bit<16> identification;
  bit<3> flags;
  bit<13> frag_offset;
  bit<8> ttl;
  bit<8> protocol;
  bit<16> checksum;
  ipv4_addr_t src_addr;
  ipv4_addr_t dst_addr;
}

header udp_t {
  bit<16> src_port;
  bit<16> dst_port;
  bit<16> length;
  bit<16> checksum;
}

header icmp_t {
  bit<8> type;
  bit<8> code;
  bit<16> checksum;
  bit<16> identifier;  // of an echo; unused in what is quoted below
  bit<16> sequence;
}

// The 40 bytes of hosts/wire.py. What follows them is read by a switch of acknowledgements that may be gathered only.
header raft_t {
  bit<8> version;
  bit<8> type;
  bit<8> flags;
  bit<8> source;
  bit<8> target;
  bit<8> reserved;
  bit<16> group;
  bit<64> term;
  bit<64> index;
  bit<64> log_term;
  bit<64> commit;
}

// The payload of an AppendEntriesReply that says no more than how far its sender is; in a cluster with a key the seal
// follows. What is encrypted or not is all the same here.
header ack_t {
  bit<64> cluster;
  bit<64> round;
}

header seal_t {
  bit<64> boot;
  bit<64> counter;
  bit<128> mac;
}

// What ack_gather.p4 puts in front of another one's payload: source, a zero byte, index, round; then the seal, if any.
header record_t {
  bit<144> content;
}

header sealed_record_t {
  bit<400> content;
}

// Either of them as it is kept.
typedef bit<400> kept_record_t;

struct headers_t {
  packet_in_t packet_in;
  packet_out_t packet_out;
  ethernet_t ethernet;
  ipv4_t ipv4;
  udp_t udp;
  raft_t raft;
  record_t[7] records;
  sealed_record_t[7] sealed_records;
  ack_t ack;
  seal_t seal;
  icmp_t icmp;
  // The packet that an ICMP port unreachable is about.
  ipv4_t quoted_ipv4;
  udp_t quoted_udp;
}

struct metadata_t {
  DropReason drop_reason;
  bool edge;          // the packet entered at a port where hosts hang
  bool tick;          // the controller asks for a slot's registers
  bool peer;          // a message between members
  bool group_known;
  bool registered;    // its sender is the member it names (or another switch has checked that)
  bool fanout;        // copied by a multicast group, not forwarded
  bool spread;        // a request that reads, on its way to a member that need not lead
  bool stale;         // its term is lower than that of a leader who is heard
  bool to_silent;     // it is for a leader who was not heard for a window
  bit<8> heard_leader;
  bit<64> heard_term;
  // The group's entry:
  bit<8> slot;
  bit<8> quorum;
  bit<8> leader;
  bit<64> term;
  ipv4_addr_t address;
  bit<16> udp_port;
}

// What a switch has heard of a group's leader, when that is not what the group's entry says.
struct leader_digest_t {
  bit<16> group;
  bit<8> slot;
  bit<8> leader;
  bit<64> term;
}

// Nobody listens at the Raft port of a member's host, by that host's own word.
struct leader_gone_digest_t {
  ipv4_addr_t address;
}

// A member asks after a leader that the switch has not heard for a window either.
struct leader_silence_digest_t {
  bit<16> group;
  bit<8> slot;
  bit<8> leader;
  bit<64> term;
}

#endif  // HEADERS_P4_
