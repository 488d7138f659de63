// Struct initialisers by position and by name, nesting, assignment, comparison.
#include "blocks.p4"

struct point_t {
  bit<8> x;
  bit<8> y;
}

struct line_t {
  point_t start;
  point_t end;
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    line_t line = { { hdr.d.a, hdr.d.b }, { y = 4, x = 3 } };
    point_t p = line.end;
    line.end = line.start;
    line.start = p;
    hdr.d.a = line.start.x;
    hdr.d.b = line.end.y;
    hdr.d.r = line.start == line.end ? 8w1 : 0;
  }
}

MAIN;
