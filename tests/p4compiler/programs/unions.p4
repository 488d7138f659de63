// Header unions, a varbit header, a sub-parser with an instance of its own, verify and user errors.
#include <core.p4>
#include <v1model.p4>

error {
  Strange
}

header kind_h { bit<8> kind; bit<8> length; }
header short_h { bit<8> v; }
header long_h { bit<16> v; }
header options_h { varbit<64> data; }
header report_h { bit<8> code; bit<8> size; }

header_union value_u { short_h small; long_h large; }

struct headers_t { kind_h kind; value_u value; options_h options; report_h report; }
struct meta_t { bit<8> seen; }

parser options_parser(packet_in packet, out options_h options, in bit<8> length) {
  state start {
    transition select(length) {
      0: accept;
      default: take;
    }
  }
  state take {
    packet.extract(options, (bit<32>)length << 3);
    transition accept;
  }
}

parser parse(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
  options_parser() options;
  state start {
    packet.extract(hdr.kind);
    if (hdr.kind.kind == 0xFF) {
      meta.seen = 1;
    } else {
      meta.seen = 2;
    }
    verify(hdr.kind.length < 9, error.Strange);
    transition select(hdr.kind.kind) {
      1: small;
      2: large;
      default: rest;
    }
  }
  state small { packet.extract(hdr.value.small); transition rest; }
  state large { packet.extract(hdr.value.large); transition rest; }
  state rest {
    options.apply(packet, hdr.options, hdr.kind.length);
    transition accept;
  }
}

control verify_c(inout headers_t hdr, inout meta_t meta) { apply { } }
control update_c(inout headers_t hdr, inout meta_t meta) { apply { } }

control ingress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
  apply {
    sm.egress_spec = 2;
    hdr.report = { meta.seen, 0 };
    if (sm.parser_error == error.Strange) {
      hdr.report.code = 0xEE;
    } else if (sm.parser_error == error.PacketTooShort) {
      hdr.report.code = 0xDD;
    }
    if (hdr.value.isValid()) {
      hdr.report.size = hdr.value.small.isValid() ? 8w1 : 2;
    }
    if (hdr.value.large.isValid()) {
      bit<8> low = hdr.value.large.v[7:0];
      hdr.value.small.setValid();
      hdr.value.small.v = low;
    }
  }
}

control egress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) { apply { } }

control deparse(packet_out packet, in headers_t hdr) {
  apply {
    packet.emit(hdr.report);
    packet.emit(hdr.kind);
    packet.emit(hdr.value);
    packet.emit(hdr.options);
  }
}

V1Switch(parse(), verify_c(), ingress(), egress(), update_c(), deparse()) main;
