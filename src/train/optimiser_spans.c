#include "train/optimiser_spans.h"

#include <stdlib.h>

#include "base/heap.h"

// Elements from the first one of a tensor to that of the next.
static int64_t elements_between(const struct loam_tensor *tensor, const struct loam_tensor *next)
{
    return ((const char *)next->data - (const char *)tensor->data) / (int64_t)sizeof(float);
}

// Whether the tensors of an item follow those of the item before it, all at the same distance.
static bool follows(const struct loam_trainable *before, const struct loam_trainable *item)
{
    const int64_t distance = elements_between(&before->grad, &item->grad);
    return before->owner == 0 && item->owner == 0 && before->mirror.data == NULL &&
           item->mirror.data == NULL && elements_between(&before->value, &item->value) == distance;
}

static bool is_of_kind(const struct loam_trainable *item, const struct loam_optimiser_group *kind)
{
    return item->rate == kind->rate && item->decayed == kind->decayed;
}

// The group of the item in the span; -1: the span has no room for another one.
static int group_of(struct loam_optimiser_span *span, const struct loam_trainable *item)
{
    for (int i = 0; i < span->kind_count; i++)
        if (is_of_kind(item, &span->kinds[i])) return i;
    if (span->kind_count == LOAM_ADAMW_GROUPS) return -1;
    span->kinds[span->kind_count] = (struct loam_optimiser_group){item->rate, item->decayed};
    return span->kind_count++;
}

static struct loam_tensor as_vector(const struct loam_tensor *tensor)
{
    return loam_tensor_1d(tensor->data, tensor->dtype, loam_tensor_count(tensor));
}

static struct loam_optimiser_span begin(const struct loam_trainable *item, size_t first_range)
{
    struct loam_optimiser_span span = {.param = as_vector(&item->value),
                                       .grad = as_vector(&item->grad),
                                       .m = as_vector(&item->m),
                                       .v = as_vector(&item->v),
                                       .first_range = first_range};
    if (item->mirror.data != NULL) span.mirror = as_vector(&item->mirror);
    return span;
}

// Lets the span end where the item ends, and gives the item a range unless the one before it is of its group.
static void append(struct loam_optimiser_span *span, const struct loam_trainable *item, int group,
                   struct loam_optimiser_ranges *ranges)
{
    const int64_t first = elements_between(&span->grad, &item->grad);
    struct loam_tensor *const tensors[] = {&span->param, &span->grad, &span->m, &span->v};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++)
        tensors[i]->shape[0] = first + loam_tensor_count(&item->grad);
    if (span->range_count > 0 && ranges->groups[ranges->count - 1] == group) return;
    ranges->starts[ranges->count] = (int32_t)first;
    ranges->groups[ranges->count++] = group;
    span->range_count++;
}

// The group of the item in the span that is open; -1: the item begins a span.
static int continued_group(struct loam_optimiser_spans *spans, const struct loam_trainable *item)
{
    if (spans->count == 0 || !follows(item - 1, item)) return -1;
    struct loam_optimiser_span *span = &spans->items[spans->count - 1];
    const int64_t end = elements_between(&span->grad, &item->grad) + loam_tensor_count(&item->grad);
    return end <= INT32_MAX ? group_of(span, item) : -1;
}

enum loam_status loam_optimiser_make_spans(struct loam_optimiser_spans *spans,
                                           struct loam_optimiser_ranges *ranges,
                                           const struct loam_trainables *set, struct loam_error *error)
{
    *ranges = (struct loam_optimiser_ranges){0};
    *spans = (struct loam_optimiser_spans){.items = loam_calloc(set->count, sizeof *spans->items, error)};
    ranges->starts = loam_calloc(set->count, sizeof *ranges->starts, error);
    ranges->groups = loam_calloc(set->count, sizeof *ranges->groups, error);
    if (spans->items == NULL || ranges->starts == NULL || ranges->groups == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < set->count; i++) {
        const struct loam_trainable *item = &set->items[i];
        int group = continued_group(spans, item);
        struct loam_optimiser_span *span = &spans->items[spans->count - (group >= 0)];
        if (group < 0) {
            *span = begin(item, ranges->count);
            spans->count++;
            group = group_of(span, item);
        }
        append(span, item, group, ranges);
    }
    return LOAM_OK;
}

void loam_optimiser_spans_deinit(struct loam_optimiser_spans *spans)
{
    free(spans->items);
    *spans = (struct loam_optimiser_spans){0};
}

void loam_optimiser_ranges_deinit(struct loam_optimiser_ranges *ranges)
{
    free(ranges->starts);
    free(ranges->groups);
    *ranges = (struct loam_optimiser_ranges){0};
}
