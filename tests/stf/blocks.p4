// The blocks that a test does not care about. A test that brings one says so by OWN_… before it includes this.
#include "types.p4"

#ifndef OWN_TYPES
struct headers_t {
  data_h d;
}

struct meta_t {
  bit<8> m;
}
#endif

#ifndef OWN_PARSER
PARSER {
  state start {
    packet.extract(hdr.d);
    transition accept;
  }
}
#endif

#ifndef OWN_VERIFY
VERIFY {
  apply { }
}
#endif

#ifndef OWN_EGRESS
EGRESS {
  apply { }
}
#endif

#ifndef OWN_UPDATE
UPDATE {
  apply { }
}
#endif

#ifndef OWN_DEPARSER
DEPARSER {
  apply {
    packet.emit(hdr);
  }
}
#endif
