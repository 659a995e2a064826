// Small checkpoints for the tests of the model room.
#ifndef LOAM_TEST_CHECKPOINT_H
#define LOAM_TEST_CHECKPOINT_H

#include "io/safetensors.h"
#include "model/model.h"

#define BLOOM_CONFIG                                                                                         \
    "\"model_type\":\"bloom\",\"hidden_size\":12,\"n_layer\":2,\"n_head\":3,\"vocab_size\":10"
#define LLAMA_CONFIG                                                                                         \
    "\"model_type\":\"llama\",\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":4,"         \
    "\"num_key_value_heads\":2,\"intermediate_size\":20,\"vocab_size\":11"

// Parses the text of a config.
enum loam_status test_parse_config(struct loam_config *config, const char *json, struct loam_error *error);

// Names and shapes of the config, which must be good.
struct loam_model *test_create_model(const char *json);

// A checkpoint as a list that a test may spoil before it is written.
struct test_checkpoint {
    struct loam_write_tensor tensors[64];
    char names[64][96];
    size_t count;
    float *data; // what every tensor shows: value i of tensor k is k + i / 1024
};
void test_checkpoint_init(struct test_checkpoint *checkpoint, const struct loam_model *model,
                          enum loam_dtype dtype);
void test_checkpoint_deinit(struct test_checkpoint *checkpoint);
size_t test_checkpoint_index(const struct test_checkpoint *checkpoint, const char *name);
void test_checkpoint_remove(struct test_checkpoint *checkpoint, const char *name);
// A copy of a tensor under another name.
void test_checkpoint_copy(struct test_checkpoint *checkpoint, const char *from, const char *to);
void test_checkpoint_write(const struct test_checkpoint *checkpoint, const char *directory, const char *file);

#endif
