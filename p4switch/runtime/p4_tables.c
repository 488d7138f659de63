#include "p4_tables.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__ /* tells of a use of an entry that was removed */
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)0)
#endif

static inline uint32_t hash_words(const uint64_t *key, const uint64_t *mask, unsigned words) {
    uint64_t h = 0x243f6a8885a308d3ULL;
    for (unsigned i = 0; i < words; i++) {
        h = (h ^ (key[i] & mask[i])) * 0x9e3779b97f4a7c15ULL;
        h ^= h >> 29;
    }
    h *= 0xbf58476d1ce4e5b9ULL;
    return (uint32_t)(h >> 32);
}

static inline bool same_key(const struct p4_entry *entry, const uint64_t *key, const uint64_t *mask, unsigned words) {
    for (unsigned i = 0; i < words; i++)
        if (entry->data[i] != (key[i] & mask[i])) return false;
    return true;
}

enum { P4_TAGS_BEHIND = 7 };

static inline uint8_t tag_of(uint32_t hash) { return (uint8_t)(hash >> 24 | 0x80); }

/* High bits where a byte is zero, and perhaps above the lowest of those. */
static inline uint64_t zero_bytes(uint64_t x) { return (x - 0x0101010101010101ULL) & ~x & 0x8080808080808080ULL; }

/* That none of the entries has such a hash, by one look at eight tags: an entry stands before the first empty slot. */
static inline bool none_has(const struct p4_masked *group, uint32_t hash) {
    uint64_t tags;
    memcpy(&tags, group->tags + (hash & (group->capacity - 1)), sizeof tags);
    return zero_bytes(tags) && !zero_bytes(tags ^ tag_of(hash) * 0x0101010101010101ULL);
}

static inline struct p4_entry *group_find(const struct p4_masked *group, const uint64_t *key, unsigned words) {
    uint32_t hash = hash_words(key, group->mask, words), last = group->capacity - 1;
    if (none_has(group, hash)) return NULL;
    for (uint32_t i = hash & last;; i = (i + 1) & last) {
        if (!group->tags[i]) return NULL;
        if (group->tags[i] != tag_of(hash)) continue;
        struct p4_entry *entry = group->slots[i];
        if (same_key(entry, key, group->mask, words)) return entry;
    }
}

static int compare_words(const uint64_t *a, const uint64_t *b, unsigned words) {
    for (unsigned i = words; i-- > 0;)
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
}

static bool in_range(const struct p4_table_info *info, const struct p4_entry *entry, const uint64_t *key) {
    const uint64_t *low = entry->data, *high = p4_entry_mask(info, entry);
    for (unsigned c = 0; c < info->components; c++) {
        unsigned at = info->component[c].first, words = info->component[c].words;
        if (info->component[c].range) {
            if (compare_words(key + at, low + at, words) < 0 || compare_words(key + at, high + at, words) > 0)
                return false;
        } else {
            for (unsigned i = at; i < at + words; i++)
                if ((key[i] & high[i]) != low[i]) return false;
        }
    }
    return true;
}

struct p4_entry *p4_table_find(const struct p4_table *table, const uint64_t *key) {
    const struct p4_table_info *info = table->info;
    struct p4_entry *best = NULL;
    switch (info->mode) {
    case P4_KEYLESS:
        return NULL;
    case P4_EXACT:
    case P4_LPM:
        for (uint32_t g = 0; g < table->n_groups; g++) {
            struct p4_entry *entry = group_find(table->groups[g], key, info->key_words);
            if (entry) return entry;
        }
        return NULL;
    case P4_TERNARY:
        for (uint32_t g = 0; g < table->n_groups; g++) {
            if (best && table->groups[g]->best > best->order) break;
            struct p4_entry *entry = group_find(table->groups[g], key, info->key_words);
            if (entry && (!best || entry->order < best->order)) best = entry;
        }
        return best;
    case P4_RANGE:
        for (uint32_t i = 0; i < table->n_ranged; i++)
            if (in_range(info, table->ranged[i], key)) return table->ranged[i];
        return NULL;
    }
    return NULL;
}

/* Looking ahead --------------------------------------------------------------------------------------------------- */

enum { MANY = 1024 }; /* entries: fewer are in the cache anyway */

static bool peek_key(const struct p4_table_info *info, const struct p4_frame *frame, uint64_t *key) {
    for (unsigned i = 0; i < info->key_words; i++) {
        const struct p4_peek *peek = &info->peek[i];
        if (peek->at + peek->bytes > frame->size) return false;
        key[i] = p4_get_bits(frame->data, peek->at * 8u, peek->bytes * 8u);
    }
    return true;
}

/* The slot where a key that the table has most likely stands, or NULL. */
static struct p4_entry **likely_slot(const struct p4_table *table, const uint64_t *key) {
    for (uint32_t g = 0; g < table->n_groups; g++) {
        const struct p4_masked *group = table->groups[g];
        uint32_t hash = hash_words(key, group->mask, table->info->key_words), last = group->capacity - 1;
        if (none_has(group, hash)) continue;
        for (uint32_t i = hash & last; group->tags[i]; i = (i + 1) & last)
            if (group->tags[i] == tag_of(hash)) return &group->slots[i];
    }
    return NULL;
}

void p4_table_look_ahead(const struct p4_table *table, const struct p4_frame *frames, uint32_t count) {
    const struct p4_table_info *info = table->info;
    if (table->count < MANY || !info->peek || (info->mode != P4_EXACT && info->mode != P4_LPM)) return;
    struct p4_entry **slots[P4_BATCH];
    uint64_t key[info->key_words];
    for (uint32_t i = 0; i < count; i++) {
        slots[i] = peek_key(info, &frames[i], key) ? likely_slot(table, key) : NULL;
        if (slots[i]) __builtin_prefetch(slots[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        if (slots[i]) __builtin_prefetch(&(*slots[i])->order, 1);
}

/* Memory ------------------------------------------------------------------------------------------------------ */

enum { LINE = 64, FIRST_SLAB = 4096, HUGE_PAGE = 2 << 20 };

/* Room for entries. Each next one is twice as large, up to a huge page. */
struct p4_slab {
    struct p4_slab *before;
    size_t size;
};

/* Zeroed; in huge pages where that helps, as a look-up in a large table would else wait for the page table, too. */
static void *new_memory(size_t size) {
    if (size < HUGE_PAGE) return calloc(1, size);
    size = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *memory = aligned_alloc(HUGE_PAGE, size);
    if (!memory) return NULL;
    madvise(memory, size, MADV_HUGEPAGE);
    return memset(memory, 0, size);
}

/* Bytes of an entry: whole cache lines, and behind its data the meter if it has one. */
static size_t entry_size(const struct p4_table_info *info) {
    size_t size = sizeof(struct p4_entry) + (2u * info->key_words + info->param_words) * sizeof(uint64_t);
    if (info->meter) size += sizeof(struct p4_meter);
    return (size + LINE - 1) / LINE * LINE;
}

static bool add_slab(struct p4_table *table) {
    size_t stride = entry_size(table->info), size = table->slabs ? table->slabs->size * 2 : FIRST_SLAB;
    while (size < 3 * LINE + stride) size *= 2;
    if (size > HUGE_PAGE && stride < HUGE_PAGE / 4) size = HUGE_PAGE;
    struct p4_slab *slab = new_memory(size);
    if (!slab) return false;
    *slab = (struct p4_slab){table->slabs, size};
    table->slabs = slab;
    uintptr_t first = ((uintptr_t)(slab + 1) + offsetof(struct p4_entry, order) + LINE - 1) / LINE * LINE;
    uint8_t *at = (uint8_t *)(first - offsetof(struct p4_entry, order));
    struct p4_entry **last = &table->unused;
    for (; at + stride <= (uint8_t *)slab + size; at += stride) {
        *last = (void *)at;
        last = &(*last)->next;
        ASAN_POISON_MEMORY_REGION(last + 1, stride - sizeof *last);
    }
    return true;
}

/* Zeroed, or NULL: no memory. */
static struct p4_entry *new_entry(struct p4_table *table) {
    const struct p4_table_info *info = table->info;
    if (!table->unused && !add_slab(table)) return NULL;
    struct p4_entry *entry = table->unused;
    table->unused = entry->next;
    ASAN_UNPOISON_MEMORY_REGION(entry, entry_size(info));
    memset(entry, 0, entry_size(info));
    if (info->meter) entry->meter = (void *)(p4_entry_mask(info, entry) + info->key_words);
    return entry;
}

static void free_entry(struct p4_table *table, struct p4_entry *entry) {
    entry->next = table->unused;
    table->unused = entry;
    ASAN_POISON_MEMORY_REGION(&entry->next + 1, entry_size(table->info) - sizeof entry->next);
}

void p4_table_init(struct p4_table *table, const struct p4_table_info *info) {
    memset(table, 0, sizeof *table);
    table->info = info;
    table->fallback = new_entry(table);
}

static void free_group(struct p4_masked *group) {
    free(group->slots);
    free(group->tags);
    free(group);
}

void p4_table_free(struct p4_table *table) {
    for (uint32_t g = 0; g < table->n_groups; g++) free_group(table->groups[g]);
    for (struct p4_slab *before, *slab = table->slabs; slab; slab = before) {
        before = slab->before;
        free(slab);
    }
    free(table->groups);
    free(table->ranged);
    memset(table, 0, sizeof *table);
}

/* Groups and their entries -------------------------------------------------------------------------------------- */

/* Groups stand in the order of their best entry. */
static void sort_group(struct p4_table *table, uint32_t at) {
    struct p4_masked **g = table->groups;
    for (; at > 0 && g[at]->best < g[at - 1]->best; at--) {
        struct p4_masked *other = g[at - 1];
        g[at - 1] = g[at];
        g[at] = other;
    }
    for (; at + 1 < table->n_groups && g[at + 1]->best < g[at]->best; at++) {
        struct p4_masked *other = g[at + 1];
        g[at + 1] = g[at];
        g[at] = other;
    }
}

static struct p4_masked *find_group(struct p4_table *table, const uint64_t *mask, uint32_t *at) {
    size_t size = table->info->key_words * sizeof *mask;
    for (*at = 0; *at < table->n_groups; ++*at)
        if (!memcmp(table->groups[*at]->mask, mask, size)) return table->groups[*at];
    return NULL;
}

static struct p4_masked *add_group(struct p4_table *table, const uint64_t *mask, uint32_t *at) {
    if (table->n_groups == table->room) {
        uint32_t room = table->room ? table->room * 2 : 4;
        struct p4_masked **groups = realloc(table->groups, room * sizeof *groups);
        if (!groups) return NULL;
        table->groups = groups;
        table->room = room;
    }
    struct p4_masked *group = calloc(1, sizeof *group + table->info->key_words * sizeof *mask);
    if (!group) return NULL;
    group->capacity = 8;
    group->slots = new_memory(group->capacity * sizeof *group->slots);
    group->tags = new_memory(group->capacity + P4_TAGS_BEHIND);
    if (!group->slots || !group->tags) {
        free_group(group);
        return NULL;
    }
    memcpy(group->mask, mask, table->info->key_words * sizeof *mask);
    group->best = ~0ULL;
    *at = table->n_groups;
    table->groups[table->n_groups++] = group;
    return group;
}

/* The first ones stand behind the last, too, so that eight can be read from any. */
static void set_tag(struct p4_masked *group, uint32_t i, uint8_t tag) {
    group->tags[i] = tag;
    if (i < P4_TAGS_BEHIND) group->tags[group->capacity + i] = tag;
}

static void put_slot(struct p4_masked *group, struct p4_entry *entry) {
    uint32_t last = group->capacity - 1, i = entry->hash & last;
    while (group->slots[i]) i = (i + 1) & last;
    group->slots[i] = entry;
    set_tag(group, i, tag_of(entry->hash));
}

static bool grow(struct p4_masked *group) {
    if ((group->count + 1) * 2 <= group->capacity) return true;
    uint32_t old = group->capacity;
    struct p4_entry **slots = group->slots, **wider = new_memory((size_t)old * 2 * sizeof *slots);
    uint8_t *tags = new_memory((size_t)old * 2 + P4_TAGS_BEHIND);
    if (!wider || !tags) {
        free(wider);
        free(tags);
        return false;
    }
    free(group->tags);
    group->slots = wider;
    group->tags = tags;
    group->capacity = old * 2;
    for (uint32_t i = 0; i < old; i++)
        if (slots[i]) put_slot(group, slots[i]);
    free(slots);
    return true;
}

static bool add_ranged(struct p4_table *table, struct p4_entry *entry) {
    if (table->n_ranged == table->ranged_room) {
        uint32_t room = table->ranged_room ? table->ranged_room * 2 : 16;
        struct p4_entry **ranged = realloc(table->ranged, room * sizeof *ranged);
        if (!ranged) return false;
        table->ranged = ranged;
        table->ranged_room = room;
    }
    uint32_t at = table->n_ranged++;
    for (; at > 0 && table->ranged[at - 1]->order > entry->order; at--) table->ranged[at] = table->ranged[at - 1];
    table->ranged[at] = entry;
    return true;
}

static bool add_masked(struct p4_table *table, struct p4_entry *entry, const uint64_t *mask) {
    uint32_t at;
    unsigned words = table->info->key_words;
    struct p4_masked *group = find_group(table, mask, &at);
    if (!group) group = add_group(table, mask, &at);
    if (!group || !grow(group)) return false;
    entry->hash = hash_words(entry->data, mask, words);
    struct p4_entry *first = group_find(group, entry->data, words);
    if (!first) {
        put_slot(group, entry);
        group->count++;
    } else if (entry->order < first->order) {
        entry->next = first;
        uint32_t last = group->capacity - 1, i = entry->hash & last;
        while (group->slots[i] != first) i = (i + 1) & last;
        group->slots[i] = entry;
    } else {
        while (first->next && first->next->order < entry->order) first = first->next;
        entry->next = first->next;
        first->next = entry;
    }
    if (entry->order < group->best) {
        group->best = entry->order;
        sort_group(table, at);
    }
    return true;
}

struct p4_entry *p4_table_add(struct p4_table *table, const uint64_t *value, const uint64_t *mask, uint32_t rank) {
    const struct p4_table_info *info = table->info;
    unsigned words = info->key_words;
    struct p4_entry *entry = new_entry(table);
    if (!entry) return NULL;
    memcpy(entry->data, value, words * sizeof *value);
    memcpy(entry->data + words + info->param_words, mask, words * sizeof *mask);
    entry->order = (uint64_t)rank << 32 | table->age++;
    if (!(info->mode == P4_RANGE ? add_ranged(table, entry) : add_masked(table, entry, mask))) {
        free_entry(table, entry);
        return NULL;
    }
    table->count++;
    return entry;
}

/* Take slot i out and close the gap, so that searches need no marks for deleted slots. */
static void remove_slot(struct p4_masked *group, uint32_t i) {
    uint32_t last = group->capacity - 1, hole = i;
    for (uint32_t j = (i + 1) & last; group->slots[j]; j = (j + 1) & last) {
        uint32_t home = group->slots[j]->hash & last;
        if (((j - home) & last) >= ((j - hole) & last)) {
            group->slots[hole] = group->slots[j];
            set_tag(group, hole, group->tags[j]);
            hole = j;
        }
    }
    group->slots[hole] = NULL;
    set_tag(group, hole, 0);
    group->count--;
}

static void remove_group(struct p4_table *table, uint32_t at) {
    free_group(table->groups[at]);
    table->n_groups--;
    memmove(table->groups + at, table->groups + at + 1, (table->n_groups - at) * sizeof *table->groups);
}

static void remove_masked(struct p4_table *table, struct p4_entry *entry) {
    uint32_t at;
    struct p4_masked *group = find_group(table, p4_entry_mask(table->info, entry), &at);
    uint32_t last = group->capacity - 1, i = entry->hash & last;
    struct p4_entry *first;
    for (;; i = (i + 1) & last) {
        first = group->slots[i];
        if (first->hash == entry->hash && !memcmp(first->data, entry->data, table->info->key_words * sizeof(uint64_t)))
            break;
    }
    if (first != entry) {
        while (first->next != entry) first = first->next;
        first->next = entry->next;
    } else if (entry->next) {
        group->slots[i] = entry->next;
    } else {
        remove_slot(group, i);
    }
    if (group->count == 0) {
        remove_group(table, at);
    } else if (group->best == entry->order) {
        group->best = ~0ULL;
        for (uint32_t s = 0; s < group->capacity; s++)
            if (group->slots[s] && group->slots[s]->order < group->best) group->best = group->slots[s]->order;
        sort_group(table, at);
    }
}

void p4_table_remove(struct p4_table *table, struct p4_entry *entry) {
    if (table->info->mode == P4_RANGE) {
        uint32_t at = 0;
        while (table->ranged[at] != entry) at++;
        table->n_ranged--;
        memmove(table->ranged + at, table->ranged + at + 1, (table->n_ranged - at) * sizeof *table->ranged);
    } else {
        remove_masked(table, entry);
    }
    table->count--;
    free_entry(table, entry);
}
