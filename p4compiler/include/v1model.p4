// The v1model architecture as BMv2's simple_switch implements it.
#ifndef _V1_MODEL_P4_
#define _V1_MODEL_P4_

#include "core.p4"

#ifndef V1MODEL_VERSION
#define V1MODEL_VERSION 20180101
#endif

#if V1MODEL_VERSION < 20180101 || V1MODEL_VERSION > 20200408
#error V1MODEL_VERSION is a date from 20180101 to 20200408
#endif

// From this version on, indexes of counters, meters and registers have a type of their own.
#define V1MODEL_TYPED_INDEXES (V1MODEL_VERSION >= 20200408)

match_kind {
  range,
  optional,   // an exact value, or anything
  selector    // chooses a member of an action selector's group
}

const bit<32> __v1model_version = V1MODEL_VERSION;

#if V1MODEL_TYPED_INDEXES
typedef bit<9> PortId_t;
#define V1MODEL_PORT PortId_t
#else
#define V1MODEL_PORT bit<9>
#endif

@metadata @name("standard_metadata")
struct standard_metadata_t {
  V1MODEL_PORT ingress_port;
  V1MODEL_PORT egress_spec;
  V1MODEL_PORT egress_port;
  bit<32> instance_type;
  bit<32> packet_length;
  @alias("queueing_metadata.enq_timestamp")
  bit<32> enq_timestamp;
  @alias("queueing_metadata.enq_qdepth")
  bit<19> enq_qdepth;
  @alias("queueing_metadata.deq_timedelta")
  bit<32> deq_timedelta;
  @alias("queueing_metadata.deq_qdepth")
  bit<19> deq_qdepth;
  @alias("intrinsic_metadata.ingress_global_timestamp")
  bit<48> ingress_global_timestamp;
  @alias("intrinsic_metadata.egress_global_timestamp")
  bit<48> egress_global_timestamp;
  @alias("intrinsic_metadata.mcast_grp")
  bit<16> mcast_grp;
  @alias("intrinsic_metadata.egress_rid")
  bit<16> egress_rid;
  bit<1> checksum_error;
  error parser_error;
  @alias("intrinsic_metadata.priority")
  bit<3> priority;
}

#undef V1MODEL_PORT

enum CounterType {
  packets,
  bytes,
  packets_and_bytes
}

enum MeterType {
  packets,
  bytes
}

#define V1MODEL_METER_COLOR_GREEN 0
#define V1MODEL_METER_COLOR_YELLOW 1
#define V1MODEL_METER_COLOR_RED 2

#if V1MODEL_TYPED_INDEXES

extern counter<I> {
  counter(bit<32> size, CounterType type);
  void count(in I index);
}

extern meter<I> {
  meter(bit<32> size, MeterType type);
  void execute_meter<T>(in I index, out T result);
}

extern register<T, I> {
  register(bit<32> size);
  @noSideEffects
  void read(out T result, in I index);
  void write(in I index, in T value);
}

#else

extern counter {
  counter(bit<32> size, CounterType type);
  void count(in bit<32> index);
}

extern meter {
  meter(bit<32> size, MeterType type);
  void execute_meter<T>(in bit<32> index, out T result);
}

extern register<T> {
  register(bit<32> size);
  @noSideEffects
  void read(out T result, in bit<32> index);
  void write(in bit<32> index, in T value);
}

#endif

// One cell per entry of the table that names it in its property `counters`; counted at every hit.
extern direct_counter {
  direct_counter(CounterType type);
  void count();
}

// One cell per entry of the table that names it in its property `meters`.
extern direct_meter<T> {
  direct_meter(MeterType type);
  void read(out T result);
}

// Values of the table property `implementation`: entries share actions, or groups of them.
extern action_profile {
  action_profile(bit<32> size);
}

extern void random<T>(out T result, in T lo, in T hi);

// To the controller. simple_switch ignores the receiver.
extern void digest<T>(in bit<32> receiver, in T data);

enum HashAlgorithm {
  crc32,
  crc32_custom,
  crc16,
  crc16_custom,
  random,
  identity,
  csum16,
  xor16
}

extern action_selector {
  action_selector(HashAlgorithm algorithm, bit<32> size, bit<32> outputWidth);
}

@deprecated("Use mark_to_drop(standard_metadata).")
extern void mark_to_drop();
// Sets egress_spec to the drop port and mcast_grp to 0; what comes later may set them again.
@pure
extern void mark_to_drop(inout standard_metadata_t standard_metadata);

// base + (hash of data) % max; just base if max is 0.
@pure
extern void hash<O, T, D, M>(out O result, in HashAlgorithm algo, in T base, in D data, in M max);

enum CloneType {
  I2E,
  E2E
}

@deprecated("Use verify_checksum and update_checksum.")
extern Checksum16 {
  Checksum16();
  bit<16> get<D>(in D data);
}

// In the control VerifyChecksum: sets standard_metadata.checksum_error if it is wrong.
extern void verify_checksum<T, O>(in bool condition, in T data, in O checksum, HashAlgorithm algo);
// In the control ComputeChecksum.
@pure
extern void update_checksum<T, O>(in bool condition, in T data, inout O checksum, HashAlgorithm algo);
// The same two over the data and the payload.
extern void verify_checksum_with_payload<T, O>(in bool condition, in T data, in O checksum, HashAlgorithm algo);
@noSideEffects
extern void update_checksum_with_payload<T, O>(in bool condition, in T data, inout O checksum, HashAlgorithm algo);

// Copies and repetitions. A field list holds the user metadata fields annotated with @field_list(index).
extern void clone(in CloneType type, in bit<32> session);
extern void clone_preserving_field_list(in CloneType type, in bit<32> session, bit<8> index);
extern void resubmit_preserving_field_list(bit<8> index);
extern void recirculate_preserving_field_list(bit<8> index);

@deprecated("Use clone_preserving_field_list.")
extern void clone3<T>(in CloneType type, in bit<32> session, in T data);
@deprecated("Use resubmit_preserving_field_list.")
extern void resubmit<T>(in T data);
@deprecated("Use recirculate_preserving_field_list.")
extern void recirculate<T>(in T data);

// To at most this many bytes.
extern void truncate(in bit<32> length);

extern void assert(in bool check);
extern void assume(in bool check);

extern void log_msg(string msg);
extern void log_msg<T>(string msg, in T data);

parser Parser<H, M>(packet_in b, out H parsedHdr, inout M meta, inout standard_metadata_t standard_metadata);

control VerifyChecksum<H, M>(inout H hdr, inout M meta);

@pipeline
control Ingress<H, M>(inout H hdr, inout M meta, inout standard_metadata_t standard_metadata);

@pipeline
control Egress<H, M>(inout H hdr, inout M meta, inout standard_metadata_t standard_metadata);

control ComputeChecksum<H, M>(inout H hdr, inout M meta);

@deparser
control Deparser<H>(packet_out b, in H hdr);

package V1Switch<H, M>(Parser<H, M> p, VerifyChecksum<H, M> vr, Ingress<H, M> ig, Egress<H, M> eg,
                       ComputeChecksum<H, M> ck, Deparser<H> dep);

#undef V1MODEL_TYPED_INDEXES

#endif  // _V1_MODEL_P4_
