// A parser that computes with numbers of many widths. Each result chooses whether one more byte is extracted, so a
// dissector that computes anything else shows other headers.
#define OWN_TYPES
#define OWN_PARSER
#include "../stf/types.p4"

header wide_h {
  bit<128> a;
  bit<128> b;
  int<24> s;
  int<24> u;
  bit<72> odd;
}

header one_h {
  bit<8> v;
}

struct headers_t {
  wide_h w;
  one_h sum;
  one_h difference;
  one_h product;
  one_h bits;
  one_h shifted;
  one_h right;
  one_h less;
  one_h clamped;
  one_h joined;
  one_h negated;
}

struct meta_t {
}

#include "../stf/blocks.p4"

PARSER {
  bit<128> big;
  int<24> small;
  state start {
    packet.extract(hdr.w);
    big = hdr.w.a + hdr.w.b;
    transition select(big[7:0]) { 0x00 &&& 0x01: sum; default: difference_of; }
  }
  state sum { packet.extract(hdr.sum); transition difference_of; }
  state difference_of {
    big = hdr.w.a - hdr.w.b;
    transition select(big[127:120]) { 0xFF: difference; default: product_of; }
  }
  state difference { packet.extract(hdr.difference); transition product_of; }
  state product_of {
    big = hdr.w.a * hdr.w.b;
    transition select(big[71:64]) { 0x00 &&& 0x02: product; default: bits_of; }
  }
  state product { packet.extract(hdr.product); transition bits_of; }
  state bits_of {
    big = (hdr.w.a & ~hdr.w.b) | (hdr.w.a ^ 128w0xFFFF0000FFFF0000);
    transition select(big) { 128w0x0 &&& 128w0x100000000000000000: bits; default: shifted_of; }
  }
  state bits { packet.extract(hdr.bits); transition shifted_of; }
  state shifted_of {
    big = hdr.w.a << hdr.w.b[7:0];
    transition select(big[100:93]) { 0x00 &&& 0x04: shifted; default: right_of; }
  }
  state shifted { packet.extract(hdr.shifted); transition right_of; }
  state right_of {
    small = hdr.w.s >> 3;
    transition select((bit<1>)(small == hdr.w.u)) { 1: right; default: less_of; }
  }
  state right { packet.extract(hdr.right); transition less_of; }
  state less_of {
    transition select(hdr.w.s < hdr.w.u, hdr.w.odd > 72w0x7FFFFFFFFFFFFFFFFF) { (true, _): less; (_, true): less; default: clamped_of; }
  }
  state less { packet.extract(hdr.less); transition clamped_of; }
  state clamped_of {
    small = hdr.w.s |+| hdr.w.u;
    transition select((bit<24>)small) { 0x7FFFFF: clamped; 0x800000: clamped; default: joined_of; }
  }
  state clamped { packet.extract(hdr.clamped); transition joined_of; }
  state joined_of {
    big = hdr.w.odd[71:16] ++ hdr.w.odd;
    transition select(big[79:72] - big[15:8]) { 0x00 &&& 0x01: joined; default: negated_of; }
  }
  state joined { packet.extract(hdr.joined); transition negated_of; }
  state negated_of {
    small = -hdr.w.s;
    transition select(small > 5) { true: negated; default: accept; }
  }
  state negated { packet.extract(hdr.negated); transition accept; }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
  }
}

MAIN;
