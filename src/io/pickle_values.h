// The values that a pickle makes while it is read: the stack, the memo, tuples and dictionaries. Counts are
// bounded, and nothing leaves the stack from below its last mark.
#ifndef LOAM_IO_PICKLE_VALUES_H
#define LOAM_IO_PICKLE_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct loam_pickled_text {
    const uint8_t *text; // in the pickle, without a NUL
    size_t size;
};

enum loam_pickle_kind {
    LOAM_PICKLE_NONE,
    LOAM_PICKLE_BOOL,
    LOAM_PICKLE_NUMBER,
    LOAM_PICKLE_TEXT,
    LOAM_PICKLE_SYMBOL,
    LOAM_PICKLE_TUPLE,
    LOAM_PICKLE_DICT,
    LOAM_PICKLE_STORAGE,
    LOAM_PICKLE_TENSOR,
};

// Values are numbered in the order in which the pickle makes them. One refers to others by number.
struct loam_pickle_value {
    enum loam_pickle_kind kind;
    union {
        int64_t number;
        struct loam_pickled_text text;
        size_t symbol; // a global name that the caller knows
        struct {
            uint32_t first, count; // in `items`
        } list;                    // of a tuple
        uint32_t pairs;            // of a dictionary
        struct {
            uint32_t symbol, key; // LOAM_PICKLE_SYMBOL and LOAM_PICKLE_TEXT
            int64_t elements;
        } storage;
        struct {
            uint32_t storage, size, stride; // LOAM_PICKLE_STORAGE, LOAM_PICKLE_TUPLE, LOAM_PICKLE_TUPLE
            int64_t offset;
        } tensor;
    };
};

// A pair of a dictionary. All pairs are in one array, in the order in which they were added.
struct loam_pickle_pair {
    uint32_t dictionary, key, value;
};

// The state of a pickle that is being read. A zeroed one with name, start, at and end is valid.
struct loam_pickle_reader {
    const char *name; // in messages
    const uint8_t *start, *at, *end;
    struct loam_pickle_value *values;
    size_t value_count, value_capacity;
    uint32_t *items; // of tuples
    size_t item_count, item_capacity;
    struct loam_pickle_pair *pairs; // of dictionaries
    size_t pair_count, pair_capacity;
    uint32_t *stack; // of values
    size_t depth, stack_capacity;
    size_t *marks; // depths of the stack
    size_t mark_count, mark_capacity;
    uint32_t *memo; // value + 1; 0: not set
    size_t memo_count, memo_capacity;
};

void loam_pickle_reader_deinit(struct loam_pickle_reader *reader);

// Fails with the place in the pickle. The second form is for a use that no state dictionary makes.
enum loam_status loam_pickle_fail(const struct loam_pickle_reader *reader, const char *what,
                                  struct loam_error *error);
enum loam_status loam_pickle_fail_form(const struct loam_pickle_reader *reader, const char *what,
                                       struct loam_error *error);

enum loam_status loam_pickle_push(struct loam_pickle_reader *reader, uint32_t value,
                                  struct loam_error *error);
enum loam_status loam_pickle_push_new(struct loam_pickle_reader *reader, struct loam_pickle_value value,
                                      struct loam_error *error);
enum loam_status loam_pickle_pop(struct loam_pickle_reader *reader, uint32_t *value,
                                 struct loam_error *error);
// Fails with `what` unless the value is of the kind.
enum loam_status loam_pickle_pop_kind(struct loam_pickle_reader *reader, enum loam_pickle_kind kind,
                                      const char *what, uint32_t *value, struct loam_error *error);
enum loam_status loam_pickle_push_mark(struct loam_pickle_reader *reader, struct loam_error *error);

// Keeps the top of the stack in the memo, or pushes what is kept.
enum loam_status loam_pickle_put(struct loam_pickle_reader *reader, uint64_t index, struct loam_error *error);
enum loam_status loam_pickle_get(struct loam_pickle_reader *reader, uint64_t index, struct loam_error *error);

// Replaces the last `count` values, or those above the last mark, with a tuple of them.
enum loam_status loam_pickle_make_tuple(struct loam_pickle_reader *reader, size_t count,
                                        struct loam_error *error);
enum loam_status loam_pickle_make_marked_tuple(struct loam_pickle_reader *reader, struct loam_error *error);
// Moves the last pair, or the pairs above the last mark, into the dictionary below.
enum loam_status loam_pickle_set_item(struct loam_pickle_reader *reader, struct loam_error *error);
enum loam_status loam_pickle_set_marked_items(struct loam_pickle_reader *reader, struct loam_error *error);

// Element `index` of a tuple and its number; NULL: there is none, or it is of another kind.
const struct loam_pickle_value *loam_pickle_item(const struct loam_pickle_reader *reader,
                                                 const struct loam_pickle_value *tuple, size_t index,
                                                 enum loam_pickle_kind kind, uint32_t *number);

#endif
