// The P4_16 core library: what every architecture shares (P4_16 specification, appendix "P4 core library").
#ifndef _CORE_P4_
#define _CORE_P4_

error {
  NoError,
  PacketTooShort,         // extract or lookahead reaches past the end
  NoMatch,                // no case of a select fits
  StackOutOfBounds,       // a header stack has no such element
  HeaderTooShort,         // more bits asked for than the varbit field holds
  ParserTimeout,          // the target's time for parsing is over
  ParserInvalidArgument   // a value that the target cannot handle
}

extern packet_in {
  void extract<T>(out T hdr);
  // For a header with one varbit field, which gets `variableFieldSizeInBits` bits.
  void extract<T>(out T variableSizeHeader, in bit<32> variableFieldSizeInBits);
  T lookahead<T>();
  void advance(in bit<32> sizeInBits);
  // Length of the packet in bytes.
  bit<32> length();
}

extern packet_out {
  void emit<T>(in T hdr);
}

// In parsers: goes to the state reject with that error unless the check holds.
extern void verify(in bool check, in error toSignal);

@noWarn("unused")
action NoAction() {
}

match_kind {
  exact,
  ternary,
  lpm
}

// At compile time.
extern bool static_assert(bool check, string message);
extern bool static_assert(bool check);

#endif  // _CORE_P4_
