#include "io/pickle_values.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/heap.h"

enum {
    VALUES = 1 << 22, // bounds memory; a tensor makes about 15 values
    STACK = 1 << 16,  // pickle writes dictionaries in parts of 1,000 pairs
};

enum loam_status loam_pickle_fail(const struct loam_pickle_reader *reader, const char *what,
                                  struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: %s at byte %zu", reader->name, what,
                     (size_t)(reader->at - reader->start));
}

enum loam_status loam_pickle_fail_form(const struct loam_pickle_reader *reader, const char *what,
                                       struct loam_error *error)
{
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "%s: before byte %zu, %s in a form that a state dictionary of dense tensors does not need",
        reader->name, (size_t)(reader->at - reader->start), what);
}

// ---- the stack ----

enum loam_status loam_pickle_push(struct loam_pickle_reader *reader, uint32_t value, struct loam_error *error)
{
    if (reader->depth == STACK) return loam_pickle_fail(reader, "the stack is too deep", error);
    uint32_t *stack =
        loam_grow(reader->stack, &reader->stack_capacity, reader->depth + 1, sizeof *stack, error);
    if (stack == NULL) return LOAM_ERROR_MEMORY;
    reader->stack = stack;
    stack[reader->depth++] = value;
    return LOAM_OK;
}

enum loam_status loam_pickle_push_new(struct loam_pickle_reader *reader, struct loam_pickle_value value,
                                      struct loam_error *error)
{
    if (reader->value_count == VALUES) return loam_pickle_fail(reader, "there are too many values", error);
    struct loam_pickle_value *values =
        loam_grow(reader->values, &reader->value_capacity, reader->value_count + 1, sizeof *values, error);
    if (values == NULL) return LOAM_ERROR_MEMORY;
    reader->values = values;
    values[reader->value_count] = value;
    return loam_pickle_push(reader, (uint32_t)reader->value_count++, error);
}

// The depth below which nothing may be removed: that of the last mark.
static size_t floor_of(const struct loam_pickle_reader *reader)
{
    return reader->mark_count == 0 ? 0 : reader->marks[reader->mark_count - 1];
}

enum loam_status loam_pickle_pop(struct loam_pickle_reader *reader, uint32_t *value, struct loam_error *error)
{
    if (reader->depth <= floor_of(reader)) return loam_pickle_fail(reader, "the stack is empty", error);
    *value = reader->stack[--reader->depth];
    return LOAM_OK;
}

enum loam_status loam_pickle_pop_kind(struct loam_pickle_reader *reader, enum loam_pickle_kind kind,
                                      const char *what, uint32_t *value, struct loam_error *error)
{
    LOAM_TRY(loam_pickle_pop(reader, value, error));
    return reader->values[*value].kind == kind ? LOAM_OK : loam_pickle_fail_form(reader, what, error);
}

enum loam_status loam_pickle_push_mark(struct loam_pickle_reader *reader, struct loam_error *error)
{
    if (reader->mark_count == STACK) return loam_pickle_fail(reader, "the stack is too deep", error);
    size_t *marks =
        loam_grow(reader->marks, &reader->mark_capacity, reader->mark_count + 1, sizeof *marks, error);
    if (marks == NULL) return LOAM_ERROR_MEMORY;
    reader->marks = marks;
    marks[reader->mark_count++] = reader->depth;
    return LOAM_OK;
}

// Removes the last mark; the values above it, from `*first`, stay on the stack.
static enum loam_status pop_mark(struct loam_pickle_reader *reader, size_t *first, struct loam_error *error)
{
    if (reader->mark_count == 0) return loam_pickle_fail(reader, "a mark is missing", error);
    *first = reader->marks[--reader->mark_count];
    return LOAM_OK;
}

// ---- memo ----

enum loam_status loam_pickle_put(struct loam_pickle_reader *reader, uint64_t index, struct loam_error *error)
{
    if (index >= VALUES) return loam_pickle_fail(reader, "the memo is too large", error);
    if (reader->depth <= floor_of(reader)) return loam_pickle_fail(reader, "the stack is empty", error);
    uint32_t *memo = loam_grow(reader->memo, &reader->memo_capacity, (size_t)index + 1, sizeof *memo, error);
    if (memo == NULL) return LOAM_ERROR_MEMORY;
    reader->memo = memo;
    while (reader->memo_count <= index)
        memo[reader->memo_count++] = 0;
    memo[index] = reader->stack[reader->depth - 1] + 1;
    return LOAM_OK;
}

enum loam_status loam_pickle_get(struct loam_pickle_reader *reader, uint64_t index, struct loam_error *error)
{
    if (index >= reader->memo_count || reader->memo[index] == 0)
        return loam_pickle_fail(reader, "the memo lacks a value", error);
    return loam_pickle_push(reader, reader->memo[index] - 1, error);
}

// ---- tuples and dictionaries ----

// Makes a tuple of the values of the stack from `first`.
static enum loam_status make_tuple(struct loam_pickle_reader *reader, size_t first, struct loam_error *error)
{
    const size_t count = reader->depth - first;
    if (count > VALUES - reader->item_count)
        return loam_pickle_fail(reader, "there are too many values", error);
    const struct loam_pickle_value tuple = {.kind = LOAM_PICKLE_TUPLE,
                                            .list = {(uint32_t)reader->item_count, (uint32_t)count}};
    uint32_t *items =
        loam_grow(reader->items, &reader->item_capacity, reader->item_count + count, sizeof *items, error);
    if (items == NULL) return LOAM_ERROR_MEMORY;
    reader->items = items;
    if (count > 0) memcpy(items + reader->item_count, reader->stack + first, count * sizeof *items);
    reader->item_count += count;
    reader->depth = first;
    return loam_pickle_push_new(reader, tuple, error);
}

enum loam_status loam_pickle_make_tuple(struct loam_pickle_reader *reader, size_t count,
                                        struct loam_error *error)
{
    if (reader->depth - floor_of(reader) < count)
        return loam_pickle_fail(reader, "the stack is empty", error);
    return make_tuple(reader, reader->depth - count, error);
}

enum loam_status loam_pickle_make_marked_tuple(struct loam_pickle_reader *reader, struct loam_error *error)
{
    size_t first = 0;
    LOAM_TRY(pop_mark(reader, &first, error));
    return make_tuple(reader, first, error);
}

static enum loam_status add_pair(struct loam_pickle_reader *reader, uint32_t dictionary, uint32_t key,
                                 uint32_t value, struct loam_error *error)
{
    if (reader->pair_count == VALUES) return loam_pickle_fail(reader, "there are too many values", error);
    struct loam_pickle_pair *pairs =
        loam_grow(reader->pairs, &reader->pair_capacity, reader->pair_count + 1, sizeof *pairs, error);
    if (pairs == NULL) return LOAM_ERROR_MEMORY;
    reader->pairs = pairs;
    pairs[reader->pair_count++] = (struct loam_pickle_pair){dictionary, key, value};
    reader->values[dictionary].pairs++;
    return LOAM_OK;
}

// Adds the values of the stack from `first`, keys and values in turns, to the dictionary below them.
static enum loam_status set_items(struct loam_pickle_reader *reader, size_t first, struct loam_error *error)
{
    if (first <= floor_of(reader) || (reader->depth - first) % 2 != 0)
        return loam_pickle_fail(reader, "a dictionary or one of its values is missing", error);
    const uint32_t dictionary = reader->stack[first - 1];
    if (reader->values[dictionary].kind != LOAM_PICKLE_DICT)
        return loam_pickle_fail_form(reader, "SETITEMS is used", error);
    for (size_t i = first; i < reader->depth; i += 2)
        LOAM_TRY(add_pair(reader, dictionary, reader->stack[i], reader->stack[i + 1], error));
    reader->depth = first;
    return LOAM_OK;
}

enum loam_status loam_pickle_set_item(struct loam_pickle_reader *reader, struct loam_error *error)
{
    if (reader->depth - floor_of(reader) < 3) return loam_pickle_fail(reader, "the stack is empty", error);
    return set_items(reader, reader->depth - 2, error);
}

enum loam_status loam_pickle_set_marked_items(struct loam_pickle_reader *reader, struct loam_error *error)
{
    size_t first = 0;
    LOAM_TRY(pop_mark(reader, &first, error));
    return set_items(reader, first, error);
}

const struct loam_pickle_value *loam_pickle_item(const struct loam_pickle_reader *reader,
                                                 const struct loam_pickle_value *tuple, size_t index,
                                                 enum loam_pickle_kind kind, uint32_t *number)
{
    if (index >= tuple->list.count) return NULL;
    *number = reader->items[tuple->list.first + index];
    const struct loam_pickle_value *item = &reader->values[*number];
    return item->kind == kind ? item : NULL;
}

void loam_pickle_reader_deinit(struct loam_pickle_reader *reader)
{
    free(reader->values);
    free(reader->items);
    free(reader->pairs);
    free(reader->stack);
    free(reader->marks);
    free(reader->memo);
}
