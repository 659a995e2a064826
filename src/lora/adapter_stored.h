// The contents of adapter_model.safetensors or adapter_model.bin, read without a model: the tensors of each
// module, and the parameters that replace the model's.
#ifndef LOAM_LORA_ADAPTER_STORED_H
#define LOAM_LORA_ADAPTER_STORED_H

#include "io/container.h"
#include "lora/adapter_config.h"

struct loam_stored_module {
    // "transformer.h.0.mlp.dense_h_to_4h", with the family's prefix, or as a multimodal model has it.
    char *path;
    bool is_embedding;
    // Of a linear, or lora_embedding_A and lora_embedding_B with V inputs and H outputs. NULL: the file has none.
    const struct loam_stored_tensor *a;         // [r, in]
    const struct loam_stored_tensor *b;         // [out, r]
    const struct loam_stored_tensor *bias;      // [out], of B
    const struct loam_stored_tensor *magnitude; // [out], of DoRA
    const struct loam_stored_tensor *base;      // a copy of the base's weight, which PEFT saves at times
    const struct loam_stored_tensor *tokens;    // [n, H], rows of trained tokens
    bool transposed;                            // its family stores the weight as [in, out]
};

// A parameter of the model as a whole.
struct loam_stored_parameter {
    char *name; // "transformer.ln_f.weight", always with the family's prefix
    bool is_head;
    const struct loam_stored_tensor *tensor;
};

struct loam_stored_adapter {
    struct loam_container *file;
    struct loam_stored_module *modules; // in the file's order
    size_t count;
    struct loam_stored_parameter *parameters; // in the file's order
    size_t parameter_count;
    size_t others; // tensors of other parts of a multimodal model, which are passed over
    const struct loam_stored_tensor *first_other; // one of them; NULL: there is none
    size_t repeated; // tensors that are in the file a second time, with the same values
    const struct loam_stored_tensor *first_repeated;
};

// Reads DIRECTORY/adapter_model.safetensors or, without it, adapter_model.bin. Fails unless it has at least one tensor, and every tensor is a
// LoRA matrix of a linear module that loam adapts or a parameter of a model. A matrix or parameter that occurs twice is
// an error, except a magnitude of DoRA with the same values: PEFT writes that of an embedding or head twice where it saves
// embeddings.
enum loam_status loam_stored_adapter_open(struct loam_stored_adapter *stored, const char *directory,
                                          struct loam_error *error);
void loam_stored_adapter_close(struct loam_stored_adapter *stored);

// Fails if loam cannot decode the matrix or its shape is not [rows, columns]; 0 stands for any size. `config`
// is for messages.
enum loam_status loam_stored_matrix_check(const struct loam_stored_tensor *stored,
                                          const struct loam_adapter_config *config, int rank, int64_t rows,
                                          int64_t columns, struct loam_error *error);

// Fails unless the module has a magnitude [out] with DoRA and a bias of B [out] with lora_bias, and none without
// them.
enum loam_status loam_stored_vectors_check(const struct loam_stored_module *module,
                                           const struct loam_adapter_config *config, int64_t out,
                                           struct loam_error *error);
// Returns whether the file has more of the module than rows of tokens and a copy of its weight.
bool loam_stored_module_is_adapted(const struct loam_stored_module *module);
// Finds the parameter of that name of the model; NULL: the file has none.
const struct loam_stored_tensor *loam_stored_parameter_find(const struct loam_stored_adapter *stored,
                                                            const char *name);
// Fails unless loam decodes the parameter.
enum loam_status loam_stored_parameter_check(const struct loam_stored_parameter *parameter,
                                             struct loam_error *error);
// Returns whether the config asks for the parameter.
bool loam_stored_parameter_is_named(const struct loam_stored_parameter *parameter,
                                    const struct loam_adapter_config *config);
// Returns one of the module's tensors, for messages.
const struct loam_stored_tensor *loam_stored_module_tensor(const struct loam_stored_module *module);

// Adds a notice about tensors that are passed over to `config`.
enum loam_status loam_stored_adapter_note(const struct loam_stored_adapter *stored,
                                          struct loam_adapter_config *config, struct loam_error *error);

// Checks the adapter without its model: each module has both matrices, with the rank of the config, and is
// one of the targets. Parameters that the config does not ask for are counted in a notice.
enum loam_status loam_stored_adapter_check(const struct loam_stored_adapter *stored,
                                           struct loam_adapter_config *config, struct loam_error *error);

#endif
