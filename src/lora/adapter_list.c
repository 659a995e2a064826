#include "lora/adapter_list.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "lora/adapter.h"

// ---- choices ----

// Reads the number after the last colon. False: the text ends in none.
static bool find_factor(const char *text, size_t *size, double *factor)
{
    const char *colon = strrchr(text, ':');
    char *end;
    if (colon == NULL || colon == text || colon[1] == '\0') return false;
    if (strspn(colon + 1, "+-.0123456789eE") != strlen(colon + 1)) return false;
    *factor = strtod(colon + 1, &end);
    *size = (size_t)(colon - text);
    return *end == '\0';
}

enum loam_status loam_adapter_choice_parse(const char *text, size_t *size, double *factor,
                                           struct loam_error *error)
{
    const bool whole = loam_directory_exists(text) || !find_factor(text, size, factor);
    if (whole) {
        *size = strlen(text);
        *factor = 1;
    }
    if (isfinite((float)*factor)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "the factor in \"%s\" is too large: expected a number within single precision", text);
}

enum loam_status loam_adapter_check_sum(const struct loam_adapter *adapter,
                                        const struct loam_adapter_choices *choices, size_t index,
                                        struct loam_error *error)
{
    const struct loam_adapter_choice *choice = &choices->items[index];
    if (!adapter->config.dora || (choices->count == 1 && choice->factor == 1)) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "%s: DoRA (\"use_dora\") scales the sum of weight and update to its magnitudes, so this adapter "
        "has no factor and does not add to others: use it alone, or merge it into its model first",
        choice->directory);
}

enum loam_status loam_adapter_check_replacing(struct loam_adapter *const *adapters,
                                              const struct loam_adapter_choices *choices,
                                              struct loam_error *error)
{
    const char *first = NULL;
    for (size_t i = 0; i < choices->count; i++) {
        const struct loam_adapter_choice *choice = &choices->items[i];
        if (adapters[i]->replaced_count == 0) continue;
        if (choice->factor != 1)
            return loam_fail(
                error, LOAM_ERROR_UNSUPPORTED,
                "%s: the adapter has parameters in place of the model's (modules_to_save, bias), "
                "which have no factor: use it as it is",
                choice->directory);
        if (first != NULL)
            return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                             "%s and %s: both adapters have parameters in place of the model's "
                             "(modules_to_save, bias): merge one of them into its model first (loam merge)",
                             first, choice->directory);
        first = choice->directory;
    }
    return LOAM_OK;
}

// ---- the list ----

static enum loam_status add_adapter(struct loam_adapter_list *list, const struct loam_model *model,
                                    const struct loam_adapter_choices *choices, const struct loam_log *log,
                                    struct loam_error *error)
{
    const size_t index = list->count;
    struct loam_adapter *adapter;
    LOAM_TRY(loam_adapter_open(&adapter, model, choices->items[index].directory, NULL, error));
    list->items[index] = adapter;
    list->segments[index] = adapter->whole;
    list->segments[index].factor = (float)choices->items[index].factor;
    list->count++;
    LOAM_TRY(loam_adapter_check_sum(adapter, choices, index, error));
    loam_adapter_warn(adapter, log);
    return LOAM_OK;
}

enum loam_status loam_adapter_list_open(struct loam_adapter_list *list, const struct loam_model *model,
                                        const struct loam_adapter_choices *choices,
                                        const struct loam_log *log, struct loam_error *error)
{
    *list = (struct loam_adapter_list){0};
    list->items = loam_calloc(choices->count, sizeof(struct loam_adapter *), error);
    list->segments = loam_calloc(choices->count, sizeof *list->segments, error);
    enum loam_status status = list->items != NULL && list->segments != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    while (status == LOAM_OK && list->count < choices->count)
        status = add_adapter(list, model, choices, log, error);
    if (status == LOAM_OK) status = loam_adapter_check_replacing(list->items, choices, error);
    if (status != LOAM_OK) loam_adapter_list_deinit(list);
    return status;
}

struct loam_segments loam_adapter_list_segments(const struct loam_adapter_list *list)
{
    return (struct loam_segments){list->segments, list->count};
}

void loam_adapter_list_deinit(struct loam_adapter_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without items the count is 0.
        loam_adapter_destroy(list->items[i]);
    free(list->items);
    free(list->segments);
    *list = (struct loam_adapter_list){0};
}
