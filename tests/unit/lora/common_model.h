// A tiny model for the tests of this room, with only names and shapes or with random weights.
#ifndef LOAM_TESTS_LORA_COMMON_MODEL_H
#define LOAM_TESTS_LORA_COMMON_MODEL_H

#include "lora/lora.h"

struct test_model {
    char directory[256]; // the model directory of a loaded model
    struct loam_device *device;
    struct loam_model *model;
};

// 2 layers of hidden size 32 and 4 heads; `family` is "bloom" or "llama".
void test_model_names(struct test_model *fixture, const char *family);
void test_model_loaded(struct test_model *fixture, const char *family);
void test_model_free(struct test_model *fixture);

// Overwrites the last value of an adapter.
void test_spoil_adapter(const char *adapter, float value);

#endif
