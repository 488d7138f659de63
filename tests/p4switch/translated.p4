// Types that P4Runtime clients see with another width than the data plane's. A packet from a port meets matched_t, whose
// action sends it to a port, or to the controller; a packet-out goes to the port that it names.

#include <core.p4>
#include <v1model.p4>

#define CPU_PORT 510
#ifndef PORT_TYPE
#define PORT_TYPE bit<32>
#endif

@p4runtime_translation("lab/port", PORT_TYPE)
type bit<9> port_t;
@p4runtime_translation("lab/short", bit<8>)
type bit<16> short_t;
enum color_t { red, green, blue }

@controller_header("packet_in")
header packet_in_t {
  bit<7> before;
  port_t ingress_port;
  short_t kind;
}

@controller_header("packet_out")
header packet_out_t {
  port_t egress_port;
  @hidden
  bit<7> unseen;
  short_t kind;
}

header ethernet_t {
  bit<48> dst;
  bit<48> src;
  bit<16> type;
}

struct headers_t {
  packet_in_t packet_in;
  packet_out_t packet_out;
  ethernet_t ethernet;
}

struct metadata_t {
  port_t port;
  port_t port_again;
  port_t port_prefix;
  port_t port_range;
  port_t port_optional;
}

struct seen_t {
  port_t port;
  bit<48> src;
}

parser translated_parser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                         inout standard_metadata_t standard_metadata) {
  state start {
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
    transition accept;
  }
}

control nothing(inout headers_t hdr, inout metadata_t meta) {
  apply { }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  register<port_t>(4) last_port;

  action forward(port_t port) {
    standard_metadata.egress_spec = (bit<9>)port;
  }
  action paint(color_t color) {
    hdr.ethernet.type = color == color_t.blue ? 16w0xB1 : 16w0xEE;
  }
  action to_controller() {
    standard_metadata.egress_spec = CPU_PORT;
    hdr.packet_in.setValid();
    hdr.packet_in.before = 0x55;
    hdr.packet_in.ingress_port = meta.port;
    hdr.packet_in.kind = (short_t)16w0xCD;
  }
  table matched_t {
    key = {
      meta.port: exact;
      meta.port_again: ternary;
      meta.port_range: range;
      meta.port_optional: optional;
    }
    actions = { forward; to_controller; NoAction; }
    default_action = NoAction();
  }
  table prefix_t {
    key = { meta.port_prefix: lpm; }
    actions = { forward; paint; NoAction; }
    default_action = NoAction();
  }
  apply {
    port_t port = (port_t)standard_metadata.ingress_port;
    meta.port = port;
    meta.port_again = port;
    meta.port_prefix = port;
    meta.port_range = port;
    meta.port_optional = port;
    if (hdr.packet_out.isValid()) {
      standard_metadata.egress_spec = (bit<9>)hdr.packet_out.egress_port;
      hdr.ethernet.type = (bit<16>)hdr.packet_out.kind;
      hdr.packet_out.setInvalid();
    } else {
      last_port.write(0, port);
      digest<seen_t>(1, {port, hdr.ethernet.src});
      matched_t.apply();
      prefix_t.apply();
    }
  }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  apply { }
}

control translated_deparser(packet_out packet, in headers_t hdr) {
  apply {
    packet.emit(hdr.packet_in);
    packet.emit(hdr.ethernet);
  }
}

V1Switch(translated_parser(), nothing(), ingress(), egress(), nothing(), translated_deparser()) main;
