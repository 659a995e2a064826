// Random conversations that are packed into one batch: each has the losses that it has alone, and the gradients are the sum
// of those of each alone.
#include "data/chat_example.h"
#include "helpers/byte_tokenizer.h"
#include "helpers/chats.h"
#include "parity/run/common_golden.h"

#include <math.h>

static struct loam_error error;
static uint32_t seed = 1;

static const char chat_template[] =
    "{% for m in messages %}{{ '<pad>' ~ m.role[0] ~ m.content ~ '</s>' }}{% endfor %}";

static uint32_t draw(uint32_t limit)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 16) % limit;
}

static json_t *draw_messages(void)
{
    json_t *messages = json_array();
    for (uint32_t i = 0, count = 2 * (1 + draw(2)); i < count; i++) {
        char text[4] = {0};
        for (uint32_t at = 0, size = draw(4); at < size; at++)
            text[at] = (char)('a' + draw(26));
        json_array_append_new(
            messages, json_pack("{s:s, s:s}", "role", i % 2 == 0 ? "user" : "assistant", "content", text));
    }
    return messages;
}

struct chats {
    char directory[256];
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_chat_source source;
    struct loam_chat_work work;
    struct loam_example examples[GOLDEN_SEQUENCES];
};

static void make_chats(struct chats *chats, int32_t vocabulary)
{
    *chats = (struct chats){0};
    assert_non_null(test_make_directory(chats->directory));
    chats->tokenizer = test_byte_tokenizer(chats->directory, false, false);
    chats->special = test_special_tokens(false, false);
    chats->source = test_chat_source(chat_template, NULL);
    const struct loam_chat_options options = {.name = "chats",
                                              .source = &chats->source,
                                              .tokenizer = chats->tokenizer,
                                              .special = &chats->special,
                                              .max_length = 100,
                                              .vocabulary = TEST_VOCABULARY};
    for (int i = 0; i < GOLDEN_SEQUENCES; i++) {
        struct loam_example *example = &chats->examples[i];
        enum loam_example_fate fate;
        json_t *messages = draw_messages();
        const struct loam_conversation conversation = {.messages = messages};
        assert_ok(loam_chat_example_build(example, &conversation, &options, &chats->work, &fate, &error));
        for (int32_t t = 0; t < example->count; t++)
            example->ids[t] %= vocabulary; // of a tiny model
        json_decref(messages);
    }
}

static void release_chats(struct chats *chats)
{
    for (int i = 0; i < GOLDEN_SEQUENCES; i++)
        loam_example_deinit(&chats->examples[i]);
    loam_chat_work_deinit(&chats->work);
    loam_chat_source_deinit(&chats->source);
    loam_tokenizer_destroy(chats->tokenizer);
    test_remove_directory(chats->directory);
}

static void pack(struct golden_run *run, const struct chats *chats, int first, int count)
{
    loam_batch_clear(&run->batch);
    for (int i = first; i < first + count; i++) {
        const struct loam_example *example = &chats->examples[i];
        assert_ok(
            loam_batch_append(&run->batch, "chat", example->ids, example->weights, example->count, &error));
    }
}

static void check_round(struct golden_run *run, const struct chats *chats, double near)
{
    const int64_t count = loam_tensor_count(&run->set.gradients);
    float losses[256];
    golden_run_zero_gradients(run);
    pack(run, chats, 0, GOLDEN_SEQUENCES);
    const int32_t tokens = run->batch.tokens;
    assert_in_range(tokens, 1, sizeof losses / sizeof *losses);
    assert_true(golden_run_train(run, 1) > 1);
    memcpy(losses, run->batch.losses, (size_t)tokens * sizeof *losses);
    float *packed = golden_run_download(run, &run->set.gradients);
    golden_run_zero_gradients(run);
    int32_t at = 0;
    for (int i = 0; i < GOLDEN_SEQUENCES; i++) {
        pack(run, chats, i, 1);
        golden_run_train(run, 1);
        for (int32_t t = 0; t < run->batch.tokens; t++, at++)
            if (!(fabs((double)run->batch.losses[t] - (double)losses[at]) <= near * 10))
                fail_msg("chat %d, token %d: loss %g alone, %g packed", i, t, (double)run->batch.losses[t],
                         (double)losses[at]);
    }
    assert_int_equal(at, tokens);
    float *alone = golden_run_download(run, &run->set.gradients);
    assert_true(golden_error(alone, packed, count) < near);
    free(packed);
    free(alone);
}

// Makes room for chats, which are longer than the golden's sequences.
static void enlarge(struct golden_run *run)
{
    enum { TOKENS = 128 };
    const struct loam_decoder_limits limits = {.tokens = TOKENS,
                                               .sequences = GOLDEN_SEQUENCES,
                                               .train = true,
                                               .adapters = loam_adapter_segments(run->adapter),
                                               .gradients = run->set.of_model};
    loam_decoder_destroy(run->decoder);
    loam_batch_deinit(&run->batch);
    assert_ok(loam_decoder_create(&run->decoder, run->model, run->device, &limits, &error));
    assert_ok(loam_batch_init(&run->batch, TOKENS, GOLDEN_SEQUENCES, &error));
}

static void test_packed_chats(void **state)
{
    static const char *const names[] = {"llama-grouped", "qwen3-tied", "mistral-window", "gemma3-two-ropes"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int device = 0; device < 2; device++) {
            struct golden golden;
            struct golden_run run;
            const struct golden_run_options options = {
                .device = device == 0 ? "ref" : "cpu", .dtype = LOAM_F32, .adapter = "adapter"};
            golden_open(&golden, names[i]);
            golden_run_start(&run, &golden, &options);
            enlarge(&run);
            for (int round = 0; round < 4; round++) {
                struct chats chats;
                make_chats(&chats, (int32_t)run.model->config.vocabulary);
                check_round(&run, &chats, 1e-5);
                release_chats(&chats);
            }
            golden_run_end(&run);
            golden_close(&golden);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_packed_chats)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
