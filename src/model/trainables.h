// What training changes: LoRA matrices, or every parameter. One block [values | gradients | m | v], each part
// in the same order, so that zeroing and the norm are one call and the optimiser is one loop.
#ifndef LOAM_MODEL_TRAINABLES_H
#define LOAM_MODEL_TRAINABLES_H

#include "model/model.h"

struct loam_trainable {
    const char *name;         // owned by the model or adapter
    bool decayed;             // weight decay applies
    double rate;              // factor of the learning rate
    size_t owner;             // 1 + the item whose value this one shares; 0: it has its own
    struct loam_tensor value; // f32
    struct loam_tensor grad;
    struct loam_tensor m;
    struct loam_tensor v;
    // copy in the model's half that the forward reads; data NULL when the forward reads `value`
    struct loam_tensor mirror;
};

struct loam_trainables {
    struct loam_trainable *items;
    size_t count;
    size_t capacity;
    struct loam_arena arena;
    struct loam_tensor gradients; // all of them as one vector (padding between is zero)
    struct loam_tensor *of_model; // the gradient of each parameter of a model, in its order; NULL: an adapter
    const struct loam_device *device;
};

// Registers a tensor. With data NULL only its shape is known yet and allocate gives it memory; else the value
// stays where it is (f32). `index` (optional) receives its place in the set.
enum loam_status loam_trainables_add(struct loam_trainables *set, const char *name, struct loam_tensor value,
                                     bool decayed, size_t *index, struct loam_error *error);
// Gives an item the value of an earlier one, of the same shape. Its gradient and moments stay its own, so the optimiser
// changes the value once for each.
void loam_trainables_share(struct loam_trainables *set, size_t index, size_t owner);
// Takes the memory and points every tensor into it; new values, gradients and moments are zero.
enum loam_status loam_trainables_allocate(struct loam_trainables *set, const struct loam_device *device,
                                          struct loam_error *error);
void loam_trainables_deinit(struct loam_trainables *set);
int64_t loam_trainables_total(const struct loam_trainables *set); // elements, padding not counted

// Whether weight decay applies to a parameter: not to biases and norms.
bool loam_parameter_is_decayed(const struct loam_parameter *parameter);
// --method full: every parameter of a model loaded `writable` becomes trainable, with memory taken;
// set->of_model has the gradients for struct loam_decoder_limits. An f32 model is trained in place; one
// in a half gets f32 masters, of which it is the rounded mirror. Biases and norms are not decayed.
enum loam_status loam_trainables_from_model(struct loam_trainables *set, const struct loam_model *model,
                                            struct loam_error *error);

#endif
