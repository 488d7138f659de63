// At the leader's own switch the acknowledgements of entries are gathered: an AppendEntriesReply with GATHER is kept until
// enough members have said something new, and then one goes on with the others' latest in front of its payload, each as it
// was sent. The switch counts only in order to choose when. What it keeps may be lost: heartbeats' replies have no GATHER
// and pass, and say the same again.
//
// A packet that goes on with others' records looks so (docs/wire.md):
//
//   Raft header, GATHERED set | record of another member, up to seven | the sender's own payload and seal
//
// A record is what differs between two acknowledgements of one group, target and term: source, a zero byte, index and
// round; in a cluster with a key boot, counter and MAC, too.
#ifndef ACK_GATHER_P4_
#define ACK_GATHER_P4_

#include "headers.p4"

// What is done for each of a slot's POSITIONS; first is the slot's first cell.
#define EACH_POSITION(does) does(0) does(1) does(2) does(3) does(4) does(5) does(6) does(7)
#define FORGET(at)                    \
  said_index.write(first + at, 0);    \
  kept_record.write(first + at, 0);
#define COUNT(at)                     \
  said_index.read(said, first + at);  \
  if (said > high) {                  \
    members = members + 1;            \
    if (said < least) {               \
      least = said;                   \
    }                                 \
  }
#define CARRY(at)                                                     \
  kept_record.read(record, first + at);                               \
  if (record[399:392] != NOBODY) {                                    \
    kept_record.write(first + at, 0);                                 \
    acknowledgements.count((bit<32>)(bit<8>)AckFate.carried);         \
    add_words(record);                                                \
    if (sealed) {                                                     \
      hdr.sealed_records.push_front(1);                               \
      hdr.sealed_records[0].setValid();                               \
      hdr.sealed_records[0].content = record;                         \
      added = added + SEALED_RECORD_BYTES;                            \
    } else {                                                          \
      hdr.records.push_front(1);                                      \
      hdr.records[0].setValid();                                      \
      hdr.records[0].content = record[399:256];                       \
      added = added + RECORD_BYTES;                                   \
    }                                                                 \
  }

control ack_gather(inout headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
  // Of each slot: whose acknowledgements it has (generation, whether sealed, target, group, term, cluster), when the last one went on,
  // and the least index that those said who made a quorum with the leader then.
  register<bit<192>>(GROUPS) gather_tag;
  register<time_us_t>(GROUPS) went_on_at;
  register<bit<64>>(GROUPS) quorum_index;
  // Of each position: the highest index that its member has said, and its latest record that nothing has carried yet.
  register<bit<64>>(GATHER_CELLS) said_index;
  register<kept_record_t>(GATHER_CELLS) kept_record;
  direct_counter(CounterType.packets_and_bytes) ack_gather_counter;
  counter(ACK_FATES, CounterType.packets_and_bytes) acknowledgements;

  bit<8> needed = 0;
  port_t leader_port = 0;
  time_us_t window = 0;
  bit<32> generation = 0;
  bit<8> position = NO_POSITION;
  bit<32> members_generation = 0;

  // needed: so many others make a quorum with the leader. generation stands for the members and their positions: while the
  // entries of one group are written, those of two generations are never mixed.
  action gather(port_t port, bit<8> others, time_us_t window_us, bit<32> of_generation) {
    ack_gather_counter.count();
    leader_port = port;
    needed = others;
    window = window_us;
    generation = of_generation;
  }

  action as_it_came() {
    ack_gather_counter.count();
  }

  table ack_gather {
    key = {
      hdr.raft.group: exact @name("group");
      hdr.raft.target: exact @name("target");
    }
    actions = {
      gather;
      @defaultonly as_it_came;
    }
    const default_action = as_it_came();
    counters = ack_gather_counter;
    size = TREES;
  }

  action has_position(bit<8> at, bit<32> of_generation) {
    position = at;
    members_generation = of_generation;
  }

  action no_position() {
  }

  table ack_positions {
    key = {
      hdr.raft.group: exact @name("group");
      hdr.raft.source: exact @name("source");
    }
    actions = {
      has_position;
      @defaultonly no_position;
    }
    const default_action = no_position();
    size = MEMBERS;
  }

  bit<32> words = 0;

  // The ones' complement sum of what is put in front, which grows by a record's words (RFC 1071).
  action add_words(kept_record_t r) {
    words = words + (bit<32>)r[399:384] + (bit<32>)r[383:368] + (bit<32>)r[367:352] + (bit<32>)r[351:336];
    words = words + (bit<32>)r[335:320] + (bit<32>)r[319:304] + (bit<32>)r[303:288] + (bit<32>)r[287:272];
    words = words + (bit<32>)r[271:256] + (bit<32>)r[255:240] + (bit<32>)r[239:224] + (bit<32>)r[223:208];
    words = words + (bit<32>)r[207:192] + (bit<32>)r[191:176] + (bit<32>)r[175:160] + (bit<32>)r[159:144];
    words = words + (bit<32>)r[143:128] + (bit<32>)r[127:112] + (bit<32>)r[111:96] + (bit<32>)r[95:80];
    words = words + (bit<32>)r[79:64] + (bit<32>)r[63:48] + (bit<32>)r[47:32] + (bit<32>)r[31:16];
    words = words + (bit<32>)r[15:0];
  }

  apply {
    if (hdr.raft.target == meta.leader && hdr.raft.term == meta.term && hdr.raft.log_term == 0 &&
        hdr.raft.commit == 0 && hdr.ipv4.dst_addr == meta.address && hdr.udp.dst_port == meta.udp_port) {
      ack_gather.apply();
      ack_positions.apply();
    }
    // GATHERED is set only on what leaves for a host: no switch takes it from anybody.
    if (needed != 0 && position < POSITIONS && members_generation == generation &&
        standard_metadata.egress_spec == leader_port) {
      time_us_t now = standard_metadata.ingress_global_timestamp;
      bit<32> slot = (bit<32>)meta.slot;
      bit<32> first = slot << 3;
      bit<32> own = first + (bit<32>)position;
      bool sealed = hdr.seal.isValid();
      bit<8> kind = sealed ? 8w1 : 8w0;
      bit<192> tag = generation ++ kind ++ hdr.raft.target ++ hdr.raft.group ++ hdr.raft.term ++ hdr.ack.cluster;
      bit<192> held_tag;
      time_us_t went_on;
      bit<64> high;
      gather_tag.read(held_tag, slot);
      went_on_at.read(went_on, slot);
      quorum_index.read(high, slot);
      bool anew = held_tag != tag || now - went_on > window;
      if (anew) {
        high = 0;
        gather_tag.write(slot, tag);
        quorum_index.write(slot, 0);
        EACH_POSITION(FORGET)
      }

      bit<64> said;
      kept_record_t record;
      said_index.read(said, own);
      kept_record.read(record, own);
      bool latest = hdr.raft.index >= said;
      if (latest) {
        said_index.write(own, hdr.raft.index);
      }
      bit<8> members = 0;
      bit<64> least = 64w0xffffffffffffffff;
      EACH_POSITION(COUNT)
      bool news = members >= needed;

      if (record[399:392] != NOBODY && (latest || news)) {
        acknowledgements.count((bit<32>)(bit<8>)AckFate.superseded);
      }
      if (news || anew) {
        AckFate fate = AckFate.anew;
        if (news) {
          fate = AckFate.news;
          quorum_index.write(slot, least);
        }
        acknowledgements.count((bit<32>)(bit<8>)fate);
        went_on_at.write(slot, now);
        kept_record.write(own, 0);
        bit<16> added = 0;
        EACH_POSITION(CARRY)
        if (added != 0) {
          if (hdr.udp.checksum != 0) {
            // RFC 1624, equation 3: the records are new, the length is in the pseudo-header, too, the flag was 0.
            words = words + (bit<32>)(~hdr.udp.checksum) + (bit<32>)added + (bit<32>)added;
            words = words + (bit<32>)(FLAG_GATHERED ++ 8w0);
            words = (bit<32>)words[15:0] + (bit<32>)words[31:16];
            words = (bit<32>)words[15:0] + (bit<32>)words[31:16];
            hdr.udp.checksum = ~words[15:0];
            if (hdr.udp.checksum == 0) {
              hdr.udp.checksum = 0xffff;
            }
          }
          hdr.ipv4.total_len = hdr.ipv4.total_len + added;
          hdr.udp.length = hdr.udp.length + added;
          hdr.raft.flags = hdr.raft.flags | FLAG_GATHERED;
        }
      } else {
        acknowledgements.count((bit<32>)(bit<8>)AckFate.kept);
        meta.drop_reason = DropReason.kept;
        if (latest) {
          bit<256> proof = 0;
          if (sealed) {
            proof = hdr.seal.boot ++ hdr.seal.counter ++ hdr.seal.mac;
          }
          kept_record.write(own, hdr.raft.source ++ 8w0 ++ hdr.raft.index ++ hdr.ack.round ++ proof);
        }
      }
    }
  }
}

#endif  // ACK_GATHER_P4_
