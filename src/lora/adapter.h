// The parts of an adapter, shared by the files of this room.
#ifndef LOAM_LORA_ADAPTER_H
#define LOAM_LORA_ADAPTER_H

#include "lora/adapter_stored.h"

// The tensors of an adapted linear.
enum loam_adapter_part { LOAM_PART_A, LOAM_PART_B, LOAM_PART_MAGNITUDE, LOAM_PART_COUNT };

struct loam_adapted_part {
    char *name;                              // "base_model.model." + path + ".lora_A.weight"; NULL: absent
    size_t index;                            // in the set
    const struct loam_stored_tensor *stored; // in the file of an opened adapter; NULL after filling
};

// One adapted linear.
struct loam_adapted {
    const struct loam_linear *linear;
    struct loam_lora_slot *slot; // in the adapter's slots
    struct loam_adapted_part parts[LOAM_PART_COUNT];
};

struct loam_adapter {
    const struct loam_model *model; // may be destroyed before the adapter
    struct loam_adapter_slots slots;
    struct loam_segment whole; // this adapter over all rows
    struct loam_adapter_config config;
    struct loam_adapted *items; // in model order
    size_t count;
    struct loam_trainables *set;      // NULL: not trained
    struct loam_arena arena;          // memory of the matrices outside a set
    const struct loam_device *device; // device of the arena
    struct loam_arena norms;          // of loam_adapter_keep_norms
    const struct loam_device *norms_device;
    struct loam_lora_slot *taken;  // [count] what an initialisation takes from the base; NULL: nothing
    struct loam_arena taken_arena; // its memory
    const struct loam_device *taken_device;
    struct loam_stored_adapter stored; // the file of an opened adapter; closed after filling
};

// Makes an adapter whose matrices have no memory yet. Takes ownership of `config`, also on failure. Finds the
// linears that its targets name and sets their slots. For a `fresh` adapter, every name of the list must
// match a linear, and no target may match the head or the embedding. For an adapter that was trained
// elsewhere, such names become a notice. After the call the targets are a list.
enum loam_status loam_adapter_attach(struct loam_adapter **out, const struct loam_model *model,
                                     struct loam_adapter_config *config, bool fresh,
                                     struct loam_error *error);
// Returns PEFT's name of a module's tensor, released with free().
char *loam_adapter_part_name(const char *path, int part, struct loam_error *error);
// The value of a part in the slot, and its gradient.
struct loam_tensor *loam_adapted_value(const struct loam_adapted *item, int part);
struct loam_tensor *loam_adapted_gradient(const struct loam_adapted *item, int part);
// The number of tensors of the adapter.
size_t loam_adapter_tensors(const struct loam_adapter *adapter);
// Opens an adapter directory for merging or conversion. Every part of an item is in the mapped file, in the shapes of its slot. The slots have ranks and scales but no data. The model need not be
// loaded.
enum loam_status loam_adapter_open_stored(struct loam_adapter **out, const struct loam_model *model,
                                          const char *directory, struct loam_error *error);
// Allocates the matrices in the adapter's own arena, on the device of its loaded model.
enum loam_status loam_adapter_allocate(struct loam_adapter *adapter, struct loam_error *error);
// Allocates the frozen updates of an initialisation that takes a part of the base, and points the slots at
// them.
enum loam_status loam_adapter_allocate_taken(struct loam_adapter *adapter, const struct loam_device *device,
                                             struct loam_error *error);
// Computes the initial A and B of a module, and sets them where `set`. What the initialisation takes from the
// base becomes the module's frozen update.
enum loam_status loam_adapter_start_module(struct loam_adapter *adapter, size_t index,
                                           struct loam_stream *stream, uint64_t seed, bool set,
                                           struct loam_error *error);
// Computes the norms of DoRA once, where nothing trains the adapter. A streamed weight is left to the passes, which
// read it anyway.
enum loam_status loam_adapter_keep_norms(struct loam_adapter *adapter, struct loam_stream *stream,
                                         struct loam_error *error);
// Registers every part of every adapted linear in `set`. Matrices that have memory keep it.
enum loam_status loam_adapter_register(struct loam_adapter *adapter, struct loam_trainables *set,
                                       struct loam_error *error);
// Points the slots at the memory of the set. Called after loam_trainables_allocate.
void loam_adapter_point(struct loam_adapter *adapter);
// Undoes loam_adapter_register for an adapter whose matrices have memory of their own. Afterwards the set may
// be destroyed.
void loam_adapter_unregister(struct loam_adapter *adapter);

#endif
