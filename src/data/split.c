#include "data/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/utf8.h"

void loam_splits_deinit(struct loam_splits *splits)
{
    free(splits->items);
    free(splits->starts);
    if (splits->has_ids) loam_scratch_close(&splits->ids);
    *splits = (struct loam_splits){0};
}

static enum loam_status add(struct loam_splits *splits, const struct loam_split *split,
                            struct loam_error *error)
{
    struct loam_split *items =
        loam_grow(splits->items, &splits->capacity, splits->count + 1, sizeof *items, error);
    if (items == NULL) return LOAM_ERROR_MEMORY;
    splits->items = items;
    items[splits->count] = *split;
    items[splits->count++].first = split->record + splits->extra;
    splits->extra += (size_t)split->pieces - 1;
    return LOAM_OK;
}

static enum loam_status append_ids(struct loam_splits *splits, const struct loam_example *example,
                                   struct loam_error *error)
{
    if (!splits->has_ids)
        LOAM_TRY(loam_scratch_open(&splits->ids, splits->path, "the ids of its long texts",
                                   "for the ids of its long texts", error));
    splits->has_ids = true;
    return loam_scratch_append(&splits->ids, example->ids, (size_t)example->count * sizeof *example->ids,
                               error);
}

enum loam_status loam_splits_add_text(struct loam_splits *splits, size_t record,
                                      const struct loam_example *example, struct loam_error *error)
{
    const int32_t longest = splits->longest;
    struct loam_split split = {.record = record,
                               .pieces = example->count / longest + (example->count % longest != 0),
                               .is_text = true,
                               .lacks_stop = example->lacks_stop,
                               .count = example->count,
                               .at = splits->has_ids ? (size_t)splits->ids.size / sizeof *example->ids : 0};
    memcpy(split.id, example->id, sizeof split.id);
    LOAM_TRY(append_ids(splits, example, error));
    return add(splits, &split, error);
}

enum loam_status loam_splits_add_chat(struct loam_splits *splits, size_t record, const char *id,
                                      const int32_t *starts, int32_t pieces, int32_t messages,
                                      struct loam_error *error)
{
    const size_t before = splits->start_count;
    struct loam_split split = {.record = record, .pieces = pieces, .count = messages, .at = before};
    int32_t *all =
        loam_grow(splits->starts, &splits->start_capacity, before + (size_t)pieces, sizeof *all, error);
    if (all == NULL) return LOAM_ERROR_MEMORY;
    splits->starts = all;
    memcpy(all + before, starts, (size_t)pieces * sizeof *starts);
    splits->start_count = before + (size_t)pieces;
    snprintf(split.id, sizeof split.id, "%s", id);
    return add(splits, &split, error);
}

// The last record of several examples whose `key` is at most `index`; NULL: there is none.
static const struct loam_split *find_before(const struct loam_splits *splits, size_t index, bool by_record)
{
    size_t low = 0, high = splits->count; // it is in [low - 1, high)
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct loam_split *split = &splits->items[middle];
        if ((by_record ? split->record : split->first) <= index)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &splits->items[low - 1] : NULL;
}

struct loam_split_place loam_splits_find(const struct loam_splits *splits, size_t example)
{
    const struct loam_split *split = find_before(splits, example, false);
    if (split == NULL) return (struct loam_split_place){.record = example};
    const size_t after = example - split->first;
    if (after < (size_t)split->pieces)
        return (struct loam_split_place){.record = split->record, .split = split, .piece = (int32_t)after};
    return (struct loam_split_place){.record = split->record + 1 + (after - (size_t)split->pieces)};
}

size_t loam_splits_first(const struct loam_splits *splits, size_t record)
{
    const struct loam_split *split = find_before(splits, record, true);
    if (split == NULL) return record;
    if (split->record == record) return split->first;
    return split->first + (size_t)split->pieces + (record - split->record - 1);
}

// The first token of a piece of a text.
static int32_t start_of(const struct loam_splits *splits, const struct loam_split *split, int32_t piece)
{
    if (piece == split->pieces) return split->count;
    const int32_t start = piece * splits->longest;
    const bool is_single = start + 1 == split->count && splits->longest > 1;
    return is_single ? start - 1 : start;
}

void loam_split_name(struct loam_example *example, const struct loam_split_place *place)
{
    const char *id = place->split->id;
    const size_t room = sizeof example->id - sizeof ", piece 2147483647";
    snprintf(example->id, sizeof example->id, "%.*s, piece %d", (int)loam_utf8_fit(id, strlen(id), room), id,
             (int)place->piece + 1);
}

enum loam_status loam_splits_read(const struct loam_splits *splits, const struct loam_split_place *place,
                                  struct loam_example *example, struct loam_error *error)
{
    const struct loam_split *split = place->split;
    const int32_t start = start_of(splits, split, place->piece);
    const int32_t count = start_of(splits, split, place->piece + 1) - start;
    const bool is_last = place->piece + 1 == split->pieces;
    loam_split_name(example, place);
    example->count = 0;
    LOAM_TRY(loam_example_reserve(example, (size_t)count, error));
    LOAM_TRY(loam_scratch_read(&splits->ids, (split->at + (size_t)start) * sizeof *example->ids, example->ids,
                               (size_t)count * sizeof *example->ids, error));
    example->count = example->length = count;
    example->dropped = false;
    example->lacks_stop = is_last && split->lacks_stop;
    example->begins_inside = place->piece > 0;
    example->ends_inside = !is_last;
    loam_example_learn_from(example, 0);
    return LOAM_OK;
}

void loam_splits_messages(const struct loam_splits *splits, const struct loam_split_place *place,
                          size_t *start, size_t *end)
{
    const struct loam_split *split = place->split;
    const int32_t *starts = splits->starts + split->at;
    *start = (size_t)starts[place->piece];
    *end = (size_t)(place->piece + 1 < split->pieces ? starts[place->piece + 1] : split->count);
}
