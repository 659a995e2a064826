// What an adapter is made of; shared by the files of this room.
#ifndef LOAM_LORA_ADAPTER_H
#define LOAM_LORA_ADAPTER_H

#include "lora/adapter_stored.h"

// One adapted linear.
struct loam_adapted {
    const struct loam_linear *linear;
    struct loam_lora_slot *slot; // in the adapter's slots
    char *name_a;                // "base_model.model." + path + ".lora_A.weight"
    char *name_b;
    size_t index_a; // in the set
    size_t index_b;
    const struct loam_stored_tensor *stored_a; // of an opened adapter, until it is filled
    const struct loam_stored_tensor *stored_b;
};

struct loam_adapter {
    const struct loam_model *model; // not read when the adapter is destroyed: it may be gone
    struct loam_adapter_slots slots;
    struct loam_segment whole; // itself, over all rows
    struct loam_adapter_config config;
    struct loam_adapted *items; // in model order
    size_t count;
    struct loam_trainables *set;       // NULL: not trained
    struct loam_arena arena;           // of the matrices that are not in a set's memory
    const struct loam_device *device;  // of the arena
    struct loam_stored_adapter stored; // an opened adapter, until it is filled
};

// An adapter without matrices yet: takes `config` over (also on failure), finds the linears that its targets
// name and sets its slots for them. For a `fresh` adapter every name of the list must match a linear, and no
// name or expression may match the head or the embedding. An adapter that was trained elsewhere may have
// names for other models; they become a notice. Afterwards the targets are a list.
enum loam_status loam_adapter_attach(struct loam_adapter **out, const struct loam_model *model,
                                     struct loam_adapter_config *config, bool fresh,
                                     struct loam_error *error);
// Reads an adapter directory to be written elsewhere: every item has its stored_a and stored_b in the mapped
// file, in the shapes of its slot; the slots have ranks and scales, and no data. The model needs none.
enum loam_status loam_adapter_open_stored(struct loam_adapter **out, const struct loam_model *model,
                                          const char *directory, struct loam_error *error);
// Gives the matrices memory of the adapter's own, on the device of its loaded model.
enum loam_status loam_adapter_allocate(struct loam_adapter *adapter, struct loam_error *error);
// Registers A and B of every adapted linear in `set`; matrices that have memory of their own stay in it.
enum loam_status loam_adapter_register(struct loam_adapter *adapter, struct loam_trainables *set,
                                       struct loam_error *error);
// After loam_trainables_allocate: points the slots into the set.
void loam_adapter_point(struct loam_adapter *adapter);
// Undoes loam_adapter_register for an adapter whose matrices have memory of their own: it is not trained any
// more, and the set may go.
void loam_adapter_unregister(struct loam_adapter *adapter);

#endif
