// What the packet tests share: one header of eight bytes and what follows it.
#include <core.p4>
#include <v1model.p4>

header word_h {
  bit<8> op;
  bit<8> a;
  bit<8> b;
  bit<8> r;
  bit<32> w;
}

header byte_h {
  bit<8> v;
}

struct headers_t {
  word_h w;
  byte_h[4] s;
}

struct meta_t {
  bit<8> x;
  bool flag;
}

parser parse(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
  state start {
    packet.extract(hdr.w);
    transition accept;
  }
}

control check(inout headers_t hdr, inout meta_t meta) {
  apply {
  }
}

control update(inout headers_t hdr, inout meta_t meta) {
  apply {
  }
}

control egress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
  apply {
  }
}

control deparse(packet_out packet, in headers_t hdr) {
  apply {
    packet.emit(hdr);
  }
}

#define INGRESS control ingress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm)
#define MAIN V1Switch(parse(), check(), ingress(), egress(), update(), deparse()) main
