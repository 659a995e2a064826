// The parts of an adapter, shared by the files of this room.
#ifndef LOAM_LORA_ADAPTER_H
#define LOAM_LORA_ADAPTER_H

#include "lora/adapter_stored.h"

// The tensors of an adapted module.
enum loam_adapter_part {
    LOAM_PART_A,
    LOAM_PART_B,
    LOAM_PART_MAGNITUDE,
    LOAM_PART_BIAS, // of B
    LOAM_PART_COUNT,
};

struct loam_adapted_part {
    char *name;                              // "base_model.model." + path + ".lora_A.weight"; NULL: absent
    size_t index;                            // in the set
    const struct loam_stored_tensor *stored; // in the file of an opened adapter; NULL after filling
};

// One adapted module: a linear, the head or the embedding. PEFT stores the matrices of an embedding the other way
// round: lora_embedding_A [r, V] is B transposed, lora_embedding_B [H, r] is A transposed.
struct loam_adapted {
    const struct loam_linear *linear;
    struct loam_lora_slot *slot; // in the adapter's slots
    bool is_embedding;
    struct loam_adapted_part parts[LOAM_PART_COUNT];
};

// A parameter of the model that the adapter replaces: of a module that is trained and saved as a whole
// (modules_to_save), a bias, or a weight of the file that the settings do not name (lora/frozen.c). Where it is trained the value is an f32 master; the passes read a copy in the dtype
// of the model.
struct loam_replaced {
    const struct loam_parameter *parameter; // of a tied head: the embedding
    char *name;                             // in the file: "base_model.model.model.norm.weight"
    char *tied_name;                        // of the head in the file, where it shares the value; NULL: none
    bool of_head;                           // the weight of a tied head
    bool frozen;                            // not trained; its value is the mirror
    bool optional;             // a bias, which keeps the value of the base where the file has none
    struct loam_tensor value;  // f32; data NULL: only the mirror has the value
    struct loam_tensor mirror; // in the dtype of the model; data NULL: the model reads `value`
    size_t index;              // in the set
    const struct loam_stored_tensor *stored; // in the file of an opened adapter; NULL after filling
    struct loam_replacement entry;           // for the passes
};

// The trained tokens of one module, and of the head that is tied to it: rows that take the place of the rows of these.
struct loam_trained_tokens {
    const struct loam_linear *module; // the embedding or the head
    const struct loam_token_list *list;
    struct loam_token_rows *places[LOAM_TOKEN_PLACES]; // in the slots of the adapter
    size_t place_count;
    int64_t *order; // [n] the place in the list of each token, rising by token
    char *name;     // "base_model.model." + path + ".token_adapter.trainable_tokens_delta"
    size_t index;   // in the set
    const struct loam_stored_tensor *stored; // in the file of an opened adapter; NULL after filling
};

struct loam_adapter {
    const struct loam_model *model; // may be destroyed before the adapter
    struct loam_adapter_slots slots;
    struct loam_segment whole; // this adapter over all rows
    struct loam_adapter_config config;
    struct loam_adapted *items; // in model order
    size_t count;
    bool ties; // the head has the matrices of the embedding, its last item and the one before (lora/tied.c)
    struct loam_trained_tokens tokens[LOAM_TOKEN_PLACES]; // [token_count]
    size_t token_count;
    struct loam_arena token_arena; // of the ids
    const struct loam_device *token_device;
    // parameters of the model, in its order, a tied head last; then frozen ones
    struct loam_replaced *replaced;
    size_t replaced_count;
    struct loam_trainables *set;      // NULL: not trained
    bool trained_later;               // without a set: it may be registered in one later
    struct loam_arena arena;          // memory of the matrices outside a set
    const struct loam_device *device; // device of the arena
    struct loam_arena norms;          // of DoRA, which loam_adapter_keep_norms computes
    const struct loam_device *norms_device;
    struct loam_lora_slot *taken;  // [count] what an initialisation takes from the base; NULL: nothing
    struct loam_arena taken_arena; // its memory
    const struct loam_device *taken_device;
    struct loam_arena mirrors; // of replaced parameters
    const struct loam_device *mirrors_device;
    struct loam_stored_adapter stored; // the file of an opened adapter; closed after filling
};

// Makes an adapter whose matrices have no memory yet. Takes ownership of `config`, also on failure. Finds the
// modules that its targets name and sets their slots. After the call the targets are a list. `stored` is the
// file of an adapter that was trained elsewhere: the head and the embedding are adapted where it has matrices
// for them. NULL: the adapter is fresh, and every name of the list must match a module.
enum loam_status loam_adapter_attach(struct loam_adapter **out, const struct loam_model *model,
                                     struct loam_adapter_config *config,
                                     const struct loam_stored_adapter *stored, struct loam_error *error);
// Returns PEFT's name of a module's tensor, released with free().
char *loam_adapter_part_name(const char *path, int part, struct loam_error *error);
// Names what an adapter has besides matrices of the linears of layers, for forms that hold these alone; NULL: nothing.
// `magnitudes`: the form has those of DoRA.
const char *loam_adapter_name_beyond(const struct loam_adapter *adapter, bool magnitudes);
// The value of a part in the slot, and its gradient.
struct loam_tensor *loam_adapted_value(const struct loam_adapted *item, int part);
struct loam_tensor *loam_adapted_gradient(const struct loam_adapted *item, int part);
// The values of a part in the file's order from those of the slot, or back: a transposed copy for an embedding.
void loam_adapted_copy_to_file(const struct loam_adapted *item, int part, float *file, const float *values);
void loam_adapted_copy_from_file(const struct loam_adapted *item, int part, float *values, const float *file);
// The size of the magnitude of DoRA and of the bias of B: the outputs of a linear, the columns of an embedding.
int64_t loam_adapted_outputs(const struct loam_adapted *item);
// The shape of a part in the file.
struct loam_tensor loam_adapted_file_shape(const struct loam_adapted *item, int part);
// The number of tensors in the file of the adapter.
size_t loam_adapter_tensors(const struct loam_adapter *adapter);
// The base of an adapter that is opened without a loaded model: its weights by parameter, as they are stored, or where
// `weights` is NULL its directory. Copies of the base in the file are compared with them.
struct loam_adapter_base {
    const struct loam_stored_tensor *const *weights;
    const char *directory;
};
// Opens an adapter directory for merging or conversion. Every part of an item is in the mapped file, in the shapes of
// its slot. The slots have ranks and scales but no data. The model need not be loaded.
enum loam_status loam_adapter_open_stored(struct loam_adapter **out, const struct loam_model *model,
                                          const char *directory, const struct loam_adapter_base *base,
                                          struct loam_error *error);
// Allocates the matrices in the adapter's own arena, on the device of its loaded model. The adapter may be trained
// later.
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
// Allocates the norms of DoRA, where nothing trains the adapter.
enum loam_status loam_adapter_allocate_norms(struct loam_adapter *adapter, const struct loam_device *device,
                                             struct loam_error *error);
// Computes the norms of DoRA once, where they are allocated. A streamed weight is left to the passes, which read it
// anyway.
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

// ---- replaced parameters (lora/replaced.c, lora/replaced_values.c) ----

// Finds the parameters that the settings name, after the targets were matched. For a `fresh` adapter every name
// must match a module with parameters.
enum loam_status loam_replaced_match(struct loam_adapter *adapter, bool fresh, struct loam_error *error);
// The names [parameter_count + 1] of the parameters, and last of a tied head, in the multimodal model that the model is a
// part of, by which PEFT matches: "model.language_model.norm.weight". NULL and a filled error on failure.
char **loam_replaced_names(const struct loam_model *model, struct loam_error *error);
void loam_replaced_names_free(const struct loam_model *model, char **names);
// Adds an entry at `place`, of `parameter`; of the tied head its place is parameter_count. `name` is that of the
// parameter in the multimodal model, `wrapper` the module into which PEFT moves it ("base_layer."), or empty.
enum loam_status loam_replaced_add(struct loam_adapter *adapter, const struct loam_parameter *parameter,
                                   size_t place, const char *name, const char *wrapper,
                                   struct loam_error *error);
// The name of a parameter in the file.
char *loam_replaced_file_name(const char *parameter, const char *wrapper, struct loam_error *error);
// Compares the weights of an opened adapter's file that the settings do not name with those of the base, and adds entries
// for those that differ. `weights`: the base's by parameter, as they are stored; NULL: those of the loaded model.
enum loam_status loam_frozen_match(struct loam_adapter *adapter,
                                   const struct loam_stored_tensor *const *weights, struct loam_error *error);
// As loam_frozen_match with the weights in the directory of the base, if it has any and the file has something to
// compare.
enum loam_status loam_frozen_match_directory(struct loam_adapter *adapter, const char *directory,
                                             bool *compared, struct loam_error *error);
// Returns the weight that an item adapts: the model's, or a frozen one.
const struct loam_weight_handle *loam_adapted_weight(const struct loam_adapter *adapter,
                                                     const struct loam_adapted *item);
void loam_replaced_deinit(struct loam_adapter *adapter);

// Registers the parameters in the adapter's set, points them at its memory, and undoes that.
enum loam_status loam_replaced_register(struct loam_adapter *adapter, struct loam_error *error);
void loam_replaced_point(struct loam_adapter *adapter);
void loam_replaced_unregister(struct loam_adapter *adapter);

// Places the f32 values of an adapter with memory of its own; where `counting`, only counts.
void loam_replaced_place(struct loam_adapter *adapter, struct loam_arena *arena, bool counting);
// Allocates the mirrors, and points the passes at the parameters. The model must be loaded.
enum loam_status loam_replaced_allocate(struct loam_adapter *adapter, const struct loam_device *device,
                                        struct loam_error *error);
// Copies the values of the model.
enum loam_status loam_replaced_start(struct loam_adapter *adapter, struct loam_stream *stream,
                                     struct loam_error *error);
// Reads the values of the file.
enum loam_status loam_replaced_fill(struct loam_adapter *adapter, struct loam_stream *stream,
                                    struct loam_error *error);
// Downloads `count` elements from `first` on as f32.
enum loam_status loam_replaced_download(const struct loam_replaced *item, struct loam_stream *stream,
                                        size_t first, size_t count, float *values, struct loam_error *error);

// ---- ensure_weight_tying: one adapter, or one replaced weight, of a tied embedding and its head (lora/tied.c) ----

// Returns whether an entry of the list ends in embed_tokens or lm_head, the names by which PEFT knows embeddings and
// heads.
bool loam_tied_list_is_known(const struct loam_targets *list);
// Puts the path of the embedding into the list. As PEFT does, takes the head out of it; where PEFT does not know the
// embedding by its name, the head stays, so that PEFT ties the two again when it reads the list.
enum loam_status loam_tied_list_write(struct loam_targets *list, const char *embedding, const char *head,
                                      struct loam_error *error);

// Decides whether the embedding and the head share the matrices of their adapters (`adapter->ties`). `stored` is the
// file of an opened adapter; NULL: the adapter is fresh.
enum loam_status loam_tied_settle(struct loam_adapter *adapter, const struct loam_stored_adapter *stored,
                                  struct loam_error *error);
// Writes the pair into the list of targets. `expression`: the list was made from one.
enum loam_status loam_tied_write(struct loam_adapter *adapter, bool expression, struct loam_error *error);
// Fails on settings that do not go with ensure_weight_tying. Called after the modules were matched.
enum loam_status loam_tied_check(const struct loam_adapter *adapter, struct loam_error *error);
// Fails if the file of an opened adapter has other values for the head than for the embedding.
enum loam_status loam_tied_check_stored(const struct loam_adapter *adapter, struct loam_error *error);
// The embedding and the head of an adapter that ties them: the last two items, in model order.
const struct loam_adapted *loam_tied_embedding(const struct loam_adapter *adapter);
const struct loam_adapted *loam_tied_head(const struct loam_adapter *adapter);
// Returns whether a part of an item has its value from the embedding.
bool loam_tied_part(const struct loam_adapter *adapter, const struct loam_adapted *item, int part);

// ---- trained tokens (lora/trained_tokens.c) ----

// Finds the modules of the config's tokens, and sets what the slots can have without memory.
enum loam_status loam_adapter_attach_tokens(struct loam_adapter *adapter, struct loam_error *error);
void loam_adapter_free_tokens(struct loam_adapter *adapter);
// Registers the rows in a set, points the slots at its memory, and takes the gradients away again.
enum loam_status loam_adapter_register_tokens(struct loam_adapter *adapter, struct loam_trainables *set,
                                              struct loam_error *error);
void loam_adapter_point_tokens(struct loam_adapter *adapter);
void loam_adapter_unregister_tokens(struct loam_adapter *adapter);
// Gives the rows memory in an arena; `counting`: only counts.
void loam_adapter_place_tokens(struct loam_adapter *adapter, struct loam_arena *arena, bool counting);
// Allocates the ids on the device.
enum loam_status loam_adapter_allocate_tokens(struct loam_adapter *adapter, const struct loam_device *device,
                                              struct loam_error *error);
// Writes the ids, and the rows: those of the base, or those of the file. The rows of the file are checked by
// loam_adapter_find_tokens.
enum loam_status loam_adapter_start_tokens(struct loam_adapter *adapter, struct loam_stream *stream,
                                           struct loam_error *error);
enum loam_status loam_adapter_fill_tokens(struct loam_adapter *adapter, struct loam_stream *stream,
                                          struct loam_error *error);
// Finds the rows of an opened adapter in its file.
enum loam_status loam_adapter_find_tokens(struct loam_adapter *adapter, struct loam_error *error);
// The rows [n, H] in the file's order, downloaded into `host`.
enum loam_status loam_adapter_download_tokens(const struct loam_trained_tokens *tokens,
                                              struct loam_stream *stream, float *host,
                                              struct loam_error *error);
int64_t loam_trained_tokens_count(const struct loam_trained_tokens *tokens);

#endif
