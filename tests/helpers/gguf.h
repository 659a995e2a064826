// Bytes and elements of GGUF files.
#ifndef TEST_GGUF_H
#define TEST_GGUF_H

#include "base/bytes.h"
#include "io/streamed.h"

// Appends `size` bytes of a number, the lowest first.
void test_gguf_put(struct loam_bytes *bytes, uint64_t number, size_t size);
// Appends a text behind its length.
void test_gguf_put_text(struct loam_bytes *bytes, const char *text);
// A source of elements that tell tensor and place; `user` are the tensors.
enum loam_status test_gguf_fill(void *user, size_t index, size_t first, size_t count, void *block,
                                struct loam_error *error);

#endif
