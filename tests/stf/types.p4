// What most tests begin with: one header of eight bytes, and the signatures of the six blocks.
#ifndef TYPES_P4
#define TYPES_P4
#include <core.p4>
#include <v1model.p4>

header data_h {
  bit<8> op;
  bit<8> a;
  bit<8> b;
  bit<8> r;
  bit<16> x;
  bit<16> y;
}

#define PARSER parser parse(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm)
#define VERIFY control check(inout headers_t hdr, inout meta_t meta)
#define INGRESS control ingress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm)
#define EGRESS control egress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm)
#define UPDATE control update(inout headers_t hdr, inout meta_t meta)
#define DEPARSER control deparse(packet_out packet, in headers_t hdr)
#define MAIN V1Switch(parse(), check(), ingress(), egress(), update(), deparse()) main

#endif
