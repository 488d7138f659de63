// An enum without values: compared, kept in a variable.
#include "blocks.p4"

enum Colour { red, green, blue }

INGRESS {
  apply {
    sm.egress_spec = 2;
    Colour c = Colour.red;
    if (hdr.d.a > 10) {
      c = Colour.green;
    }
    if (hdr.d.a > 20) {
      c = Colour.blue;
    }
    if (c == Colour.green) {
      hdr.d.r = 1;
    } else if (c != Colour.red) {
      hdr.d.r = 2;
    }
  }
}

MAIN;
