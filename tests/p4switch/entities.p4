// One of everything that a P4Runtime client can reach in v1model. What a packet meets:
//
//   packet_out.kind 1: put back the register's cell 0;  2: multicast to group `arg`;  3: digest;  else: to egress_port
//   other packets: exact_t, lpm_t, mixed_t, const_t, initial_t, ageing_t, metered_t, selected_t, in this order; each
//   may set the egress port. Port 0 means drop; the CPU port gets a packet_in header.

#include <core.p4>
#include <v1model.p4>

#define CPU_PORT 510

typedef bit<9> port_t;

@controller_header("packet_in")
header packet_in_t {
  port_t ingress_port;
  bit<7> kind;
  bit<16> arg;
}

@controller_header("packet_out")
header packet_out_t {
  port_t egress_port;
  bit<7> kind;
  bit<16> arg;
}

header ethernet_t {
  bit<48> dst;
  bit<48> src;
  bit<16> type;
}

header key_t {
  bit<12> narrow;
  bit<4> nibble;
  bit<32> address;
  bit<16> number;
  bit<128> wide;
}

struct headers_t {
  packet_in_t packet_in;
  packet_out_t packet_out;
  ethernet_t ethernet;
  key_t key;
}

struct metadata_t {
  bit<2> color;
  bool special;
}

struct sample_t {
  bit<12> narrow;
  bit<128> wide;
  port_t port;
}

parser entities_parser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                       inout standard_metadata_t standard_metadata) {
  value_set<bit<16>>(4) special_types;

  state start {
    meta.special = false;
    meta.color = 0;
    transition select(standard_metadata.ingress_port) {
      CPU_PORT: parse_packet_out;
      default: parse_ethernet;
    }
  }
  state parse_packet_out {
    packet.extract(hdr.packet_out);
    transition parse_ethernet;
  }
  state parse_ethernet {
    packet.extract(hdr.ethernet);
    transition select(hdr.ethernet.type) {
      0x88B6: parse_key;
      special_types: parse_special;
      default: accept;
    }
  }
  state parse_special {
    meta.special = true;
    transition accept;
  }
  state parse_key {
    packet.extract(hdr.key);
    transition accept;
  }
}

control entities_verify(inout headers_t hdr, inout metadata_t meta) {
  apply { }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  counter(512, CounterType.packets_and_bytes) arrivals;
  counter(4, CounterType.packets) kinds;
  meter(8, MeterType.packets) limits;
  register<bit<48>>(16) cells;
  direct_counter(CounterType.packets_and_bytes) exact_hits;
  direct_counter(CounterType.packets_and_bytes) mixed_hits;
  direct_meter<bit<2>>(MeterType.bytes) entry_limits;
  action_selector(HashAlgorithm.crc16, 16, 14) selected_actions;

  action drop() {
    mark_to_drop(standard_metadata);
  }
  action forward(port_t port) {
    standard_metadata.egress_spec = port;
  }
  action rewrite(bit<48> dst, port_t port) {
    hdr.ethernet.dst = dst;
    standard_metadata.egress_spec = port;
  }
  action to_group(bit<16> group) {
    standard_metadata.mcast_grp = group;
  }
  action copy_to(bit<32> session) {
    clone(CloneType.I2E, session);
  }
  action measured(port_t port) {
    entry_limits.read(meta.color);
    standard_metadata.egress_spec = port;
  }

  table exact_t {
    key = {
      hdr.key.narrow : exact @name("narrow");
      hdr.key.nibble : exact @name("nibble");
    }
    actions = {
      forward;
      rewrite;
      copy_to;
      @tableonly to_group;
      @defaultonly NoAction;
    }
    default_action = NoAction();
    counters = exact_hits;
    size = 64;
  }
  table lpm_t {
    key = {
      hdr.key.address : lpm @name("address");
    }
    actions = {
      forward;
      drop;
    }
    const default_action = drop();
    size = 1024;
  }
  table mixed_t {
    key = {
      hdr.key.address : ternary @name("address");
      hdr.key.number : range @name("number");
      hdr.key.nibble : optional @name("nibble");
      standard_metadata.ingress_port : exact @name("port");
    }
    actions = {
      forward;
      NoAction;
    }
    default_action = NoAction();
    counters = mixed_hits;
    size = 16;
  }
  table const_t {
    key = {
      hdr.key.number : ternary @name("number");
    }
    actions = {
      forward;
      NoAction;
    }
    const entries = {
      0x1000 &&& 0xF000 : forward(21);
      0x2000 : forward(22);
    }
    default_action = NoAction();
  }
  table initial_t {
    key = {
      hdr.key.number : exact @name("number");
    }
    actions = {
      forward;
      NoAction;
    }
    entries = {
      0x3001 : forward(31);
      0x3002 : forward(32);
    }
    default_action = NoAction();
    size = 8;
  }
  table ageing_t {
    key = {
      hdr.key.wide : exact @name("wide");
    }
    actions = {
      forward;
      NoAction;
    }
    default_action = NoAction();
    support_timeout = true;
    size = 16;
  }
  table metered_t {
    key = {
      hdr.key.number : exact @name("number");
    }
    actions = {
      measured;
      NoAction;
    }
    default_action = NoAction();
    meters = entry_limits;
    size = 16;
  }
  table selected_t {
    key = {
      hdr.key.nibble : exact @name("nibble");
      hdr.key.address : selector;
    }
    actions = {
      forward;
      NoAction;
    }
    implementation = selected_actions;
    size = 16;
  }
  table keyless_t {
    actions = {
      forward;
      NoAction;
    }
    default_action = NoAction();
  }

  apply {
    arrivals.count((bit<32>)standard_metadata.ingress_port);
    if (hdr.packet_out.isValid()) {
      kinds.count((bit<32>)hdr.packet_out.kind);
      if (hdr.packet_out.kind == 1) {
        bit<48> held;
        cells.read(held, 0);
        hdr.ethernet.dst = held;
        standard_metadata.egress_spec = CPU_PORT;
      } else if (hdr.packet_out.kind == 2) {
        standard_metadata.mcast_grp = hdr.packet_out.arg;
      } else {
        standard_metadata.egress_spec = hdr.packet_out.egress_port;
      }
      if (hdr.packet_out.kind == 3) {
        digest<sample_t>(1, { hdr.packet_out.arg[11:0], 80w0 ++ hdr.ethernet.src, hdr.packet_out.egress_port });
      }
      hdr.packet_out.setInvalid();
    } else if (hdr.key.isValid()) {
      cells.write(1, hdr.ethernet.src);
      limits.execute_meter((bit<32>)hdr.key.nibble & 7, meta.color);
      lpm_t.apply();
      exact_t.apply();
      mixed_t.apply();
      const_t.apply();
      initial_t.apply();
      ageing_t.apply();
      metered_t.apply();
      selected_t.apply();
      keyless_t.apply();
      if (meta.color == 2) {
        drop();
      }
    } else if (meta.special) {
      standard_metadata.egress_spec = CPU_PORT;
    } else {
      drop();
    }
  }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  apply {
    if (standard_metadata.egress_port == CPU_PORT) {
      hdr.packet_in.setValid();
      hdr.packet_in.ingress_port = standard_metadata.ingress_port;
      hdr.packet_in.kind = (bit<7>)standard_metadata.instance_type[6:0];
      hdr.packet_in.arg = standard_metadata.egress_rid;
    }
  }
}

control entities_compute(inout headers_t hdr, inout metadata_t meta) {
  apply { }
}

control entities_deparser(packet_out packet, in headers_t hdr) {
  apply {
    packet.emit(hdr.packet_in);
    packet.emit(hdr.ethernet);
    packet.emit(hdr.key);
  }
}

V1Switch(entities_parser(), entities_verify(), ingress(), egress(), entities_compute(), entities_deparser()) main;
