// Several adapters on one model: their updates add up, each times its factor.
#ifndef LOAM_LORA_ADAPTER_LIST_H
#define LOAM_LORA_ADAPTER_LIST_H

#include "lora/lora.h"

// An adapter to use, and the factor of its update.
struct loam_adapter_choice {
    const char *directory;
    double factor; // 1: as the adapter was trained
};

struct loam_adapter_choices {
    const struct loam_adapter_choice *items; // [count]
    size_t count;
};

// Parses "NAME" or "NAME:FACTOR": the name is the first `*size` bytes, and the factor is 1 where there is none. A
// number after the last colon is a factor, unless a directory has the whole text as its name.
enum loam_status loam_adapter_choice_parse(const char *text, size_t *size, double *factor,
                                           struct loam_error *error);

// Fails if the update of an adapter has no factor, or does not add to those of others: with DoRA each output of the
// sum is scaled to its magnitude. `directory` is for the message.
enum loam_status loam_adapter_check_sum(const struct loam_adapter *adapter,
                                        const struct loam_adapter_choices *choices, size_t index,
                                        struct loam_error *error);

// Fails if two adapters replace parameters of the model (modules_to_save, bias), or one does with a factor.
enum loam_status loam_adapter_check_replacing(struct loam_adapter *const *adapters,
                                              const struct loam_adapter_choices *choices,
                                              struct loam_error *error);

// A zeroed list is empty: the base model.
struct loam_adapter_list {
    struct loam_adapter **items;   // [count]
    struct loam_segment *segments; // [count] each adapter over all rows
    size_t count;
};

// Opens the adapters on a loaded model, and logs settings of their files that have no effect.
enum loam_status loam_adapter_list_open(struct loam_adapter_list *list, const struct loam_model *model,
                                        const struct loam_adapter_choices *choices,
                                        const struct loam_log *log, struct loam_error *error);
struct loam_segments loam_adapter_list_segments(const struct loam_adapter_list *list);
void loam_adapter_list_deinit(struct loam_adapter_list *list);

#endif
