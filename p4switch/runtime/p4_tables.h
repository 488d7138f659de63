/* Match-action tables over keys of 64-bit words.
 *
 * Entries with the same mask form a group with a hash table over the masked keys: an exact table has one group, an
 * LPM table one per prefix length in use (longest first), a ternary table one per mask in use (best priority first; the
 * search ends at the first group that cannot win any more). Tables with a range field are searched in order. */
#ifndef P4_TABLES_H
#define P4_TABLES_H

#include "p4_bits.h"

enum { P4_BATCH = 64 };

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

/* What a look-up reads stands together: `order` begins a cache line, in which short keys and parameters end, too. */
struct p4_entry {
    struct p4_entry *next; /* same mask and masked key, next in order; or the next unused one */
    struct p4_meter *meter;
    struct p4_call *member; /* action profiles: one of these two */
    struct p4_group *group;
    uint64_t order; /* priority, then age: the smaller wins */
    uint32_t hash;
    uint32_t action;
    uint64_t packets, bytes, hit_us;
    uint64_t data[]; /* words of the value (of a range: its low), of the parameters, of the mask (its high) */
};

struct p4_masked {
    uint64_t best;  /* the smallest order among the entries */
    uint32_t count; /* of keys; chained entries of one key count once */
    uint32_t capacity;
    struct p4_entry **slots;
    uint8_t *tags; /* of each slot: 0 if it is empty, else a part of its hash; small, so that they stay in the cache */
    uint64_t mask[];
};

/* One key field: its words, and whether it is a range. */
struct p4_component {
    uint16_t first, words;
    bool range;
};

/* Where a frame most likely has a word of a key: so many bytes in network order. */
struct p4_peek {
    uint16_t at, bytes;
};

struct p4_table_info {
    const char *name;
    enum p4_table_mode mode;
    uint16_t key_words, param_words, components;
    const struct p4_component *component;
    const struct p4_peek *peek; /* of each word of the key; NULL: not known beforehand */
    bool meter;                 /* entries have a direct meter */
};

struct p4_frame {
    const uint8_t *data;
    uint32_t size;
};

struct p4_slab;

struct p4_table {
    const struct p4_table_info *info;
    struct p4_masked **groups;
    uint32_t n_groups, room;
    struct p4_entry **ranged; /* sorted by order */
    uint32_t n_ranged, ranged_room;
    uint32_t count;
    uint32_t age;
    struct p4_entry *fallback; /* the default entry; its action 0 means none */
    struct p4_slab *slabs;     /* the memory of all entries */
    struct p4_entry *unused;
};

static inline uint64_t *p4_entry_params(const struct p4_table_info *info, struct p4_entry *entry) {
    return entry->data + info->key_words;
}

static inline const uint64_t *p4_entry_mask(const struct p4_table_info *info, const struct p4_entry *entry) {
    return entry->data + info->key_words + info->param_words;
}

/* The winning entry, or NULL. `key` has info->key_words words. */
struct p4_entry *p4_table_find(const struct p4_table *table, const uint64_t *key);

/* Has the memory come to the cache that the look-ups of the frames, at most P4_BATCH, will most likely need. They then
 * do not wait for it one after another. Nothing else depends on it. */
void p4_table_look_ahead(const struct p4_table *table, const struct p4_frame *frames, uint32_t count);

void p4_table_init(struct p4_table *table, const struct p4_table_info *info);
void p4_table_free(struct p4_table *table);
/* For LPM tables `rank` is (greatest prefix length - the entry's); else the smaller rank wins. NULL: no memory. */
struct p4_entry *p4_table_add(struct p4_table *table, const uint64_t *value, const uint64_t *mask, uint32_t rank);
void p4_table_remove(struct p4_table *table, struct p4_entry *entry);

#endif
