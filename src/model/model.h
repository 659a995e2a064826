// A model: every tensor of the checkpoint as a parameter, arranged for the decoder. Created from the config
// alone (names and shapes; enough for inspect and for planning), then given its data.
#ifndef LOAM_MODEL_MODEL_H
#define LOAM_MODEL_MODEL_H

#include "io/container.h"
#include "model/config.h"
#include "model/offload.h"
#include "model/weight.h"

// One tensor of the checkpoint.
struct loam_parameter {
    char *name; // full: "transformer.h.0.self_attention.query_key_value.weight"
    const struct loam_weight_row *row;
    int layer;                        // -1 outside the layers
    struct loam_tensor value;         // shape always set; data NULL before loading
    struct loam_weight_handle handle; // of a matrix, once it has its data: how products read it
    // of a parameter that is copied to the device when it is read; NULL: it stays there
    struct loam_offload *offload;
};

struct loam_linear {
    // Module path in the model, or in the multimodal one that it is the text part of:
    // "transformer.h.0.self_attention.query_key_value".
    char *path;
    size_t index; // among the linears of the model, in model order; then come the head and the embedding
    int64_t in;
    int64_t out;
    const struct loam_parameter *weight; // [out, in], or [in, out] where transposed; NULL: there is none
    const struct loam_parameter *bias;   // [out]; NULL: none
};

struct loam_norm {
    enum loam_norm_kind kind;
    float offset;                   // of the weight: the scale is offset + w
    const struct loam_parameter *w; // [H]
    const struct loam_parameter *b; // [H]; NULL: none
};

struct loam_layer {
    struct loam_linear linears[LOAM_LINEAR_SLOTS];
    struct loam_norm norms[LOAM_NORM_SLOTS];
};

struct loam_model {
    struct loam_config config;
    enum loam_dtype dtype;             // of activations, vectors and most matrices in computation
    enum loam_dtype matrix_dtype;      // of the last matrix; one of several may differ
    struct loam_parameter *parameters; // in checkpoint order: embedding, layers, final norm, head
    size_t parameter_count;
    const struct loam_parameter *embedding; // [V, H]
    const struct loam_parameter *positions; // [P, H]; NULL: positions are not learned
    struct loam_norm embedding_norm;        // w NULL: none
    struct loam_layer *layers;              // [config.layers]
    size_t linear_count;                    // of the layers; the head is not among them
    struct loam_norm final_norm;
    struct loam_linear head;         // H to V; its weight is the embedding when tied
    struct loam_linear embedder;     // the embedding as adapters take it: H to V
    size_t module_count;             // of the linears, the head and the embedding
    struct loam_tensor alibi_slopes; // [Q] f32 on the device, or none
    // Of the tables that do not depend on the length of a sequence.
    struct loam_tensor rope_frequencies[LOAM_CONFIG_ROPES]; // [R/2] f32 each on the device, or none
    // Where the data is.
    struct loam_container *file; // mapped weights stay in it
    size_t mapped_bytes;         // of those
    struct loam_arena arena;     // converted ones and tables
    const struct loam_device *device;
    struct loam_weight_reader *reader; // of loam_load_options.streamed, or NULL
    struct loam_offload *offload;      // of loam_load_options.offloaded, or NULL
};

// Names and shapes only.
enum loam_status loam_model_create(struct loam_model **out, const struct loam_config *config,
                                   struct loam_error *error);
void loam_model_destroy(struct loam_model *model);
// Gives a model whose config ties the head a head of its own.
enum loam_status loam_model_untie_head(struct loam_model *model, struct loam_error *error);

// How the weights are to be held.
struct loam_load_options {
    enum loam_dtype dtype; // of activations
    bool keep_halves;      // matrices that are stored in bf16 or f16 stay so, where dtype is f32
    bool writable;         // never mapped: they will be trained (--method full)
    bool streamed;         // matrices stay in the file and are read for each product
    int64_t offloaded;     // layers that stay in memory of the host, on a device with memory of its own
    const struct loam_callbacks *callbacks; // for the log and for progress; NULL: none
};
// Where config.json ties the head to the embedding, but the checkpoint stores a head of other values: gives
// the model that head as a parameter of its own, as transformers does, and logs a warning. A stored copy of
// the embedding changes nothing. Also logs how many tensors of other parts of a multimodal model are ignored.
// loam_model_load does this; callers that read only names and shapes call it
// themselves.
enum loam_status loam_model_settle_head(struct loam_model *model, const struct loam_container *file,
                                        const struct loam_log *log, struct loam_error *error);

// Gives every parameter its data from the checkpoint in `directory`: used in place where the mapped file has
// the right dtype and alignment and the device computes in host memory, else converted once into the arena
// (two passes: count, then fill). Missing, misshapen or unclaimed tensors are refused by name; names with and
// without the family's prefix are the same. On a planning device nothing is read but the headers (and the
// stored head of a config that ties it), and a directory without weights counts as one that has them in
// `dtype`.
enum loam_status loam_model_load(struct loam_model *model, const char *directory,
                                 const struct loam_device *device, const struct loam_load_options *options,
                                 struct loam_error *error);

// Makes the value of a parameter readable to what is queued next. Passes do that themselves.
void loam_parameter_read(const struct loam_parameter *parameter, struct loam_stream *stream);

// Parameters, the tied head counted once.
int64_t loam_model_parameter_total(const struct loam_model *model);
// Linears in model order; NULL at the end. The head is not among them.
const struct loam_linear *loam_model_linear_at(const struct loam_model *model, size_t index);
// What adapters may adapt: the linears, then the embedding, then the head; NULL at the end.
const struct loam_linear *loam_model_module_at(const struct loam_model *model, size_t index);
bool loam_model_head_is_tied(const struct loam_model *model);

// Writes DIRECTORY/model.safetensors in `dtype`: a random checkpoint with the family's own initialisation
// (linears and embedding N(0, initializer_range^2), biases 0, norms 1 and 0), one Philox stream a tensor,
// made block by block, so that it needs no memory to speak of. The caller puts config.json beside it
// (loam_config_rewrite). `callbacks` get the progress, LOAM_ACTIVITY_WRITE; NULL: none.
enum loam_status loam_model_init_checkpoint(const struct loam_model *model, uint64_t seed,
                                            enum loam_dtype dtype, const char *directory,
                                            const struct loam_callbacks *callbacks, struct loam_error *error);
// Writes the parameters (downloaded from the device) as DIRECTORY/model.safetensors in `dtype`. The
// caller puts config.json beside it (loam_config_rewrite).
enum loam_status loam_model_save(const struct loam_model *model, enum loam_dtype dtype, const char *directory,
                                 struct loam_error *error);

#endif
