#include "helpers/generation.h"

#include "test.h"

enum loam_finish test_generate(struct loam_generator *generator, const int32_t *prompt, int32_t count,
                               const struct loam_generation *generation, const struct loam_segments *adapters,
                               int32_t *output, int32_t *output_count)
{
    struct loam_error error;
    struct loam_generated next;
    int32_t sequence;
    size_t advanced;
    *output_count = 0;
    assert_ok(loam_generator_begin(generator, prompt, count, generation, adapters, &sequence, &error));
    do {
        assert_ok(loam_generator_advance(generator, &next, &advanced, &error));
        assert_int_equal(advanced, 1);
        if (next.id >= 0 && next.finish != LOAM_FINISH_STOP) output[(*output_count)++] = next.id;
    } while (next.finish == LOAM_FINISH_NONE);
    loam_generator_end(generator, sequence);
    return next.finish;
}
