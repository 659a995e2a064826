// Values of the template language, with Python's types and semantics. All memory belongs to a pool; values are
// immutable except namespaces and the state of iterators, loops, cyclers and joiners.
#ifndef LOAM_CHAT_VALUE_H
#define LOAM_CHAT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/pool.h"

enum chat_kind {
    CHAT_MISSING, // no value: an unset variable or an absent argument; zeroed memory
    CHAT_UNDEFINED,
    CHAT_NONE,
    CHAT_BOOL,
    CHAT_INT,
    CHAT_FLOAT,
    CHAT_STRING,
    CHAT_LIST,
    CHAT_TUPLE,
    CHAT_DICT,
    CHAT_RANGE,
    CHAT_VIEW,     // keys(), values() or items() of a dict
    CHAT_ITERATOR, // can be read once, like Python's generators
    CHAT_NAMESPACE,
    CHAT_LOOP,
    CHAT_MACRO,
    CHAT_METHOD,
    CHAT_FUNCTION,
    CHAT_CYCLER,
    CHAT_JOINER,
};

// Where text comes from: the number of a source, 0 for the template's own text, and a bit for text inside
// {% generation %}.
enum { CHAT_TEMPLATE_ORIGIN = 0 };
#define CHAT_GENERATED UINT32_C(0x80000000)

struct chat_span {
    uint32_t end; // byte behind the span; it begins where the one before it ends
    uint32_t origin;
};

struct chat_string {
    const char *data; // UTF-8, [size]
    uint32_t size;    // bytes
    uint32_t length;  // characters
    uint32_t hash;
    uint32_t origin;               // of the whole string if it has no spans
    const struct chat_span *spans; // [span_count], at least two
    uint32_t span_count;
};

struct chat_list;
struct chat_dict;
struct chat_range;
struct chat_view;
struct chat_iterator;
struct chat_loop;
struct chat_macro;
struct chat_method;
struct chat_native;
struct chat_cycler;
struct chat_joiner;
struct chat_undefined;

struct chat_value {
    uint8_t kind;    // enum chat_kind
    bool markup;     // a string that the filter `safe` or `escape` made, or a tuple that `groupby` made
    uint32_t origin; // of numbers, lists and dicts: that of the text they become; strings have their own
    union {
        bool truth;
        int64_t integer;
        double real;
        const struct chat_string *string;
        const struct chat_list *list; // also of a tuple
        struct chat_dict *dict;       // also of a namespace
        const struct chat_range *range;
        const struct chat_view *view;
        struct chat_iterator *iterator;
        struct chat_loop *loop;
        const struct chat_macro *macro;
        const struct chat_method *method;
        const struct chat_native *function;
        struct chat_cycler *cycler;
        struct chat_joiner *joiner;
        const struct chat_undefined *undefined;
    } as;
};

struct chat_list {
    struct chat_value *items; // [count]
    size_t count;
};

struct chat_entry {
    struct chat_value key, value;
    uint32_t hash;
};
struct chat_dict {
    struct chat_entry *entries; // [count], in the order of insertion
    size_t count, capacity;
    uint32_t *places; // [place_count] index + 1 of an entry by hash, 0: free; NULL for a small dict
    size_t place_count;
};

struct chat_range {
    int64_t start, stop, step, count;
};

enum chat_view_part { CHAT_KEYS, CHAT_VALUES, CHAT_ITEMS };
struct chat_view {
    const struct chat_dict *dict;
    enum chat_view_part what;
};

// Why there is no value. The message is made when it is needed.
struct chat_undefined {
    const char *hint; // the message; NULL: made from the fields below
    bool of_object;
    struct chat_value object;
    struct chat_value name; // of the variable, attribute or element
};

#define CHAT_NO_VALUE ((struct chat_value){.kind = CHAT_NONE})
static inline struct chat_value chat_bool(bool truth)
{
    return (struct chat_value){.kind = CHAT_BOOL, .as.truth = truth};
}
static inline struct chat_value chat_int(int64_t integer)
{
    return (struct chat_value){.kind = CHAT_INT, .as.integer = integer};
}
static inline struct chat_value chat_float(double real)
{
    return (struct chat_value){.kind = CHAT_FLOAT, .as.real = real};
}
static inline struct chat_value chat_from_string(const struct chat_string *string)
{
    return (struct chat_value){.kind = CHAT_STRING, .origin = string->origin, .as.string = string};
}
static inline bool chat_is_number(struct chat_value value)
{
    return value.kind == CHAT_BOOL || value.kind == CHAT_INT || value.kind == CHAT_FLOAT;
}
static inline bool chat_is_integer(struct chat_value value) // as Python, where a bool is an int
{
    return value.kind == CHAT_BOOL || value.kind == CHAT_INT;
}
static inline int64_t chat_integer(struct chat_value value) // of a bool or an int
{
    return value.kind == CHAT_BOOL ? value.as.truth : value.as.integer;
}
static inline bool chat_is_list(struct chat_value value) // or a tuple
{
    return value.kind == CHAT_LIST || value.kind == CHAT_TUPLE;
}
double chat_number(struct chat_value value); // of a bool, int or float

// Python's name of the type: "str", "NoneType", "dict".
const char *chat_type_name(struct chat_value value);

// Python's truth of a value.
bool chat_is_true(struct chat_value value);

// Python's len(); -1 for a type that has none.
int64_t chat_length(struct chat_value value);

// Python's ==. Each compared part takes one of `*steps`; values that need more are different, and the caller stops.
enum { CHAT_VALUE_DEPTH = 500 }; // levels of lists and dicts in a value
bool chat_equals(struct chat_value left, struct chat_value right, size_t *steps);
bool chat_string_equals(const struct chat_string *left, const struct chat_string *right);

// Python's `is`.
bool chat_is_same(struct chat_value left, struct chat_value right);

// Python's order: -1, 0, 1, or 2 if the types have no order (not a number: 3, which no comparison holds for).
enum { CHAT_NO_ORDER = 2, CHAT_NOT_A_NUMBER = 3 };
int chat_order(struct chat_value left, struct chat_value right, size_t *steps);

// False for a value that is no key of a dict: lists, dicts, and tuples with such.
bool chat_hash(struct chat_value value, uint32_t *hash);

struct chat_dict *chat_dict_create(struct chat_pool *pool, struct loam_error *error);
// Adds or replaces. The key must be hashable.
enum loam_status chat_dict_put(struct chat_dict *dict, struct chat_pool *pool, struct chat_value key,
                               struct chat_value value, struct loam_error *error);
// The value of a key; NULL if the dict does not have it.
const struct chat_value *chat_dict_get(const struct chat_dict *dict, struct chat_value key);

// A list or tuple of `count` elements, which are missing until the caller sets `(*items)[i]`.
enum loam_status chat_list_create(struct chat_value *list, enum chat_kind kind, size_t count,
                                  struct chat_value **items, struct chat_pool *pool,
                                  struct loam_error *error);

// A list that grows.
struct chat_items {
    struct chat_value *items;
    size_t count, capacity;
};
enum loam_status chat_items_push(struct chat_items *items, struct chat_value value, struct chat_pool *pool,
                                 struct loam_error *error);
enum loam_status chat_items_finish(const struct chat_items *items, enum chat_kind kind,
                                   struct chat_value *list, struct chat_pool *pool, struct loam_error *error);

#endif
