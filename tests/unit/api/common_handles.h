// A tiny model that is open, and packed batches of bytes, for the tests of handles.
#ifndef LOAM_TESTS_API_COMMON_HANDLES_H
#define LOAM_TESTS_API_COMMON_HANDLES_H

#include "test.h"

#include "unit/run/common_fixture.h"

struct opened {
    struct fixture fixture;
    struct loam_device_handle *device; // "ref", one thread
    struct loam_model_handle *model;   // f32
    struct loam_tokenizer_handle *tokenizer;
};
void opened_make(struct opened *opened, const char *family);
void opened_remove(struct opened *opened);
struct loam_model_handle *opened_another_model(const struct opened *opened);
struct loam_adapter_handle *opened_adapter(const struct opened *opened, uint64_t seed, double dropout);

// Texts end to end, a token for each byte and EOS, each learnt with the weight.
struct texts {
    int32_t ids[256];
    int32_t offsets[9];
    float weights[256];
    struct loam_packed_batch batch;
};
void texts_pack(struct texts *texts, const struct opened *opened, const char *const *lines, int32_t count,
                float weight);

// Both directories have the file with the same bytes.
#define assert_same_file(a, b, name) assert_true(fixture_same_file((a), (b), (name)))

#endif
