// Every match kind, const entries with and without priorities, hit, miss, action_run, default actions.
#include "common.p4"

INGRESS {
  action put(bit<8> v) {
    hdr.w.r = v;
  }
  action flip() {
    hdr.w.r = ~hdr.w.r;
  }
  table exactly {
    key = { hdr.w.a: exact; hdr.w.b & 0x0F: exact @name("low"); }
    actions = { put; flip; }
    default_action = put(0xEE);
    const entries = {
      (1, 2): put(0x11);
      (3, 4): flip();
    }
  }
  table prefixed {
    key = { hdr.w.w: lpm; }
    actions = { put; NoAction; }
    const entries = {
      0x0A000000 &&& 0xFF000000: put(8);
      0x0A010000 &&& 0xFFFF0000: put(16);
      0x0A010101: put(32);
    }
  }
  table masked {
    key = { hdr.w.a: ternary; hdr.w.b: range; hdr.w.isValid(): exact; meta.x: optional; }
    actions = { put; NoAction; }
    const entries = {
      (0x10 &&& 0xF0, 1..3, true, _): put(1);
      (_, 2..9, true, 0): put(2);
      (_, _, true, 7): put(3);
    }
  }
  apply {
    sm.egress_spec = 2;
    if (hdr.w.op == 1) {
      if (exactly.apply().hit) {
        hdr.w.w = 1;
      } else {
        hdr.w.w = 2;
      }
    } else if (hdr.w.op == 2) {
      bool missed = prefixed.apply().miss;
      hdr.w.b = missed ? 8w0xFF : 0;
    } else {
      switch (masked.apply().action_run) {
        put: { hdr.w.w = 3; }
        default: { hdr.w.w = 4; }
      }
    }
  }
}

MAIN;
