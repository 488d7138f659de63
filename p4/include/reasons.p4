// Every drop has a reason, every reason a counter (index = the number here).
#ifndef REASONS_P4_
#define REASONS_P4_

enum bit<8> DropReason {
  none = 0,
  not_ip = 1,         // ARP, IPv6 and every other Ethertype: hosts know their gateway, nothing else is served
  bad_ipv4 = 2,       // version, header length (options are not served) or total length
  bad_checksum = 3,   // IPv4 header checksum
  ttl_expired = 4,
  short_raft = 5,     // a datagram to the Raft port that holds no whole header, or a wrong UDP length
  bad_version = 6,    // Raft version, reserved byte or unknown type
  term_range = 7,     // a term or index of 2^63 or above in a peer message
  bad_flags = 8,      // FANOUT on anything but an AppendEntries, READ on anything but a ClientRequest, and GATHERED,
                      // which only a packet on its way out has
  not_member = 9,     // a peer message or client reply from a host that is not the member it claims to be
  stale_term = 10,    // a peer request of a lower term while the leader is heard
  no_route = 11,
  bad_probe = 12,     // a link probe from an edge port
  parser_error = 13,
  bad_target = 14,    // target 255 on anything but a FANOUT or a Configuration, or a FANOUT to a single member
  udp_fragment = 15,  // an IPv4 fragment of a UDP datagram, which the guard could not look into
  bad_packet_out = 16, // a packet-out of an unknown kind or slot
  wrong_port = 17,    // a FANOUT that does not come from where its leader lies
  forged_hint = 18,   // a CampaignHint: the controller's own never come in at a port
  over_limit = 19,    // a client's request beyond the limit of the port that it enters at
  kept = 20           // an acknowledgement that is kept until enough members have said something new
}

// What becomes of a copy of a FANOUT, each with a counter (index = the number here).
enum bit<8> CopyFate {
  no_entry = 0,       // not made: the switch does not know for whom it would be
  to_member = 1,
  over_trunk = 2,     // to the next switch of the tree
  to_sender = 3,      // not made: it would go to the member that has sent the message
  back = 4            // not made: it would go back over the trunk that the message came by
}

// What becomes of an acknowledgement that may be gathered, each with a counter (index = the number here).
enum bit<8> AckFate {
  news = 0,           // goes on: with the leader, a quorum has said something new
  anew = 1,           // goes on: nothing has for a heartbeat, or what was kept is of another term, leader or kind
  kept = 2,
  carried = 3,        // was kept, and goes on in front of another one's payload
  superseded = 4      // was kept, and is carried no more: its sender has said as much or more since
}

// What becomes of an ICMP port unreachable that enters at an edge port, each with a counter (index = the number here).
// It is forwarded in any case.
enum bit<8> EndFate {
  told = 0,           // to the controller
  too_soon = 1,       // something was told of that port a moment ago
  no_entry = 2,       // its sender is not known as a member's host at that port
  other_address = 3,  // it is not about its sender's own address
  other_port = 4      // it is about another port than Raft's, or not about UDP
}

#endif  // REASONS_P4_
