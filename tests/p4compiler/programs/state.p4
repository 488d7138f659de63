// Registers, counters, hash, checksums, structs, enums and a loop.
#include "common.p4"

enum bit<8> Op { count = 1, read = 2, sum = 3, loop = 4, pack = 5 }
enum Side { left, right }

struct pair_t {
  bit<8> first;
  bit<8> second;
}

struct nest_t {
  pair_t inner;
  bit<8> third;
}

const bit<8> MAGIC = 8w3 + (8w1 << 4);

INGRESS {
  register<bit<16>>(8) cells;
  counter(8, CounterType.packets) seen;

  apply {
    sm.egress_spec = 2;
    Side side = hdr.w.b == 0 ? Side.left : Side.right;
    bit<16> cell;
    if (hdr.w.op == Op.count) {
      cells.read(cell, (bit<32>)hdr.w.a);
      cell = cell + (bit<16>)hdr.w.b;
      cells.write((bit<32>)hdr.w.a, cell);
      seen.count((bit<32>)hdr.w.a);
    } else if (hdr.w.op == Op.read) {
      cells.read(cell, (bit<32>)hdr.w.a);
      hdr.w.w = 16w0 ++ cell;
    } else if (hdr.w.op == Op.sum) {
      bit<16> sum;
      hash(sum, HashAlgorithm.csum16, 16w0, { hdr.w.a, hdr.w.b, hdr.w.w }, 32w65536);
      hdr.w.w = (bit<32>)sum;
    } else if (hdr.w.op == Op.loop) {
      bit<8> total = 0;
      for (bit<8> i = 0; i < hdr.w.a; i = i + 1) {
        if (i == 3) {
          continue;
        }
        if (i == 6) {
          break;
        }
        total = total + i;
      }
      for (bit<8> i in 8w1..4) {
        total = total + i;
      }
      hdr.w.r = total;
    } else if (hdr.w.op == Op.pack) {
      nest_t n = { { hdr.w.a, hdr.w.b }, MAGIC };
      nest_t m = n;
      m.inner = { first = n.inner.second, second = n.inner.first };
      hdr.w.a = m.inner.first;
      hdr.w.b = m.inner.second;
      hdr.w.r = m.third + (n == m ? 8w1 : 0);
    }
    if (side == Side.right) {
      hdr.w.op[7:7] = 1;
    }
  }
}

MAIN;
