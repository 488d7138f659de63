/* Match-action tables over keys of 64-bit words.
 *
 * Entries with the same mask form a group with a hash table over the masked keys: an exact table has one group, an
 * LPM table one per prefix length in use (longest first), a ternary table one per mask in use (best priority first; the
 * search ends at the first group that cannot win any more). Tables with a range field are searched in order. */
#ifndef P4_TABLES_H
#define P4_TABLES_H

#include "p4_bits.h"

enum p4_table_mode { P4_KEYLESS, P4_EXACT, P4_LPM, P4_TERNARY, P4_RANGE };

struct p4_meter {
    /* Peak first, as it is asked first (RFC 2698); per second and size, in the meter's unit. */
    uint64_t rate[2], burst[2], tokens[2], filled[2];
    bool configured;
};

/* What an entry or an action profile's member does. */
struct p4_call {
    uint32_t action;
    uint32_t pad;
    uint64_t params[];
};

struct p4_group {
    uint32_t count;
    struct p4_call **members;
};

struct p4_entry {
    struct p4_entry *next; /* same mask and masked key, next in order */
    uint64_t order;        /* priority, then age: the smaller wins */
    uint64_t packets, bytes, hit_us;
    struct p4_meter *meter;
    struct p4_call *member; /* action profiles: one of these two */
    struct p4_group *group;
    uint64_t *key;  /* value words, then mask words (of a range: its low, then its high) */
    uint32_t hash;
    uint32_t action;
    uint64_t params[];
};

struct p4_slot {
    uint32_t hash;
    struct p4_entry *entry;
};

struct p4_masked {
    uint64_t best;  /* the smallest order among the entries */
    uint32_t count; /* of keys; chained entries of one key count once */
    uint32_t capacity;
    struct p4_slot *slots;
    uint8_t *tags; /* of each slot: 0 if it is empty, else a part of its hash; small, so that they stay in the cache */
    uint64_t mask[];
};

/* One key field: its words, and whether it is a range. */
struct p4_component {
    uint16_t first, words;
    bool range;
};

struct p4_table_info {
    const char *name;
    enum p4_table_mode mode;
    uint16_t key_words, param_words, components;
    const struct p4_component *component;
    bool meter; /* entries have a direct meter */
};

struct p4_table {
    const struct p4_table_info *info;
    struct p4_masked **groups;
    uint32_t n_groups, room;
    struct p4_entry **ranged; /* sorted by order */
    uint32_t n_ranged, ranged_room;
    uint32_t count;
    uint32_t age;
    struct p4_entry *fallback; /* the default entry; its action 0 means none */
};

/* The winning entry, or NULL. `key` has info->key_words words. */
struct p4_entry *p4_table_find(const struct p4_table *table, const uint64_t *key);

void p4_table_init(struct p4_table *table, const struct p4_table_info *info);
void p4_table_free(struct p4_table *table);
/* For LPM tables `rank` is (greatest prefix length - the entry's); else the smaller rank wins. NULL: no memory. */
struct p4_entry *p4_table_add(struct p4_table *table, const uint64_t *value, const uint64_t *mask, uint32_t rank);
void p4_table_remove(struct p4_table *table, struct p4_entry *entry);

#endif
