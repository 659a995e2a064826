// Generation for one prompt.
#ifndef TEST_GENERATION_H
#define TEST_GENERATION_H

#include "generate/generator.h"

// Generates until the end by a generator without other sequences. `output` has room for max_new_tokens, or for as many as
// the context leaves. The end token is left out. Returns why the generation ended.
enum loam_finish test_generate(struct loam_generator *generator, const int32_t *prompt, int32_t count,
                               const struct loam_generation *generation, const struct loam_segments *adapters,
                               int32_t *output, int32_t *output_count);

#endif
