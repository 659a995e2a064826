// bench_chats MODEL_DIRECTORY TEMPLATE DATA [TEXTS]: makes ids and weights of the conversations of DATA, as loam train
// and loam data do. TEMPLATE is that of --chat-template. Prints one JSON object with the processor time of opening the
// file, and of reading every record. With TEXTS only writes the rendered texts there, with a NUL after each.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "data/chat_record.h"
#include "data/dataset.h"

struct bench {
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_chat_source source;
    struct loam_dataset *dataset;
    double open_seconds;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static enum loam_status open_bench(struct bench *bench, const char *model, const char *name, const char *data,
                                   struct loam_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tokenizer.json", model);
    LOAM_TRY(loam_tokenizer_load(&bench->tokenizer, path, error));
    LOAM_TRY(loam_special_tokens_load(&bench->special, model, bench->tokenizer, error));
    LOAM_TRY(loam_chat_source_find(&bench->source, model, name, false, error));
    const struct loam_chat_options chat = {
        .name = data,
        .source = &bench->source,
        .tokenizer = bench->tokenizer,
        .special = &bench->special,
        .max_length = INT32_MAX,
        .vocabulary = loam_tokenizer_vocabulary_size(bench->tokenizer),
    };
    const struct loam_dataset_options options = {
        .path = data,
        .chat = &chat,
        .max_length = chat.max_length,
        .tokenizer = chat.tokenizer,
        .special = chat.special,
        .vocabulary = chat.vocabulary,
    };
    const double start = now();
    enum loam_status status = loam_dataset_open(&bench->dataset, &options, error);
    bench->open_seconds = now() - start;
    return status;
}

static void close_bench(struct bench *bench)
{
    loam_dataset_destroy(bench->dataset);
    loam_chat_source_deinit(&bench->source);
    loam_special_tokens_deinit(&bench->special);
    loam_tokenizer_destroy(bench->tokenizer);
}

// Continues a digest (FNV-1a) of ids and weights, which tells whether two commits give the same examples.
static uint64_t digest_example(uint64_t digest, const struct loam_example *example)
{
    for (int32_t i = 0; i < example->count; i++)
        digest =
            (digest ^ ((uint64_t)(uint32_t)example->ids[i] << 1 | (example->weights[i] > 0))) * 0x100000001B3;
    return digest;
}

static enum loam_status read_all(const struct bench *bench, struct loam_error *error)
{
    struct loam_example example = {0};
    const size_t count = loam_dataset_count(bench->dataset);
    size_t tokens = 0, learnt = 0;
    uint64_t digest = 0xCBF29CE484222325;
    enum loam_status status = LOAM_OK;
    const double start = now();
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        status = loam_dataset_read(bench->dataset, i, &example, error);
        digest = digest_example(digest, &example);
        tokens += (size_t)example.count;
        for (int32_t j = 0; j < example.count; j++)
            learnt += example.weights[j] > 0;
    }
    const double seconds = now() - start;
    loam_example_deinit(&example);
    if (status == LOAM_OK)
        printf("{\"chats\": %zu, \"tokens\": %zu, \"learnt\": %zu, \"digest\": \"%016llx\", "
               "\"open_seconds\": %.6f, \"read_seconds\": %.6f}\n",
               count, tokens, learnt, (unsigned long long)digest, bench->open_seconds, seconds);
    return status;
}

static enum loam_status render_record(const struct bench *bench, size_t index,
                                      struct loam_chat_rendering *rendering, struct loam_error *error)
{
    struct loam_record record;
    struct loam_conversation conversation;
    json_t *made = NULL;
    LOAM_TRY(loam_dataset_record(bench->dataset, index, &record, error));
    enum loam_status status = loam_record_conversation(&record, &conversation, &made, error);
    const struct loam_chat_input input = {
        .messages = conversation.messages, .tools = conversation.tools, .variables = bench->source.variables};
    if (status == LOAM_OK)
        status = loam_chat_template_render(bench->source.chat_template, &input, rendering, error);
    json_decref(made);
    return status;
}

static enum loam_status write_all(const struct bench *bench, const char *path, struct loam_error *error)
{
    struct loam_chat_rendering rendering = {0};
    FILE *file = fopen(path, "wb");
    if (file == NULL) return loam_fail(error, LOAM_ERROR_IO, "cannot write %s", path);
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < loam_dataset_count(bench->dataset) && status == LOAM_OK; i++) {
        status = render_record(bench, i, &rendering, error);
        const size_t size = rendering.text.size;
        if (status == LOAM_OK &&
            (fwrite(rendering.text.data, 1, size, file) != size || fputc('\0', file) == EOF))
            status = loam_fail(error, LOAM_ERROR_IO, "cannot write %s", path);
    }
    loam_chat_rendering_deinit(&rendering);
    if (fclose(file) != 0 && status == LOAM_OK)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot write %s", path);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: bench_chats MODEL_DIRECTORY TEMPLATE DATA [TEXTS]\n");
        return 2;
    }
    struct loam_error error;
    struct bench bench = {0};
    enum loam_status status = open_bench(&bench, argv[1], argv[2], argv[3], &error);
    if (status == LOAM_OK) status = argc == 5 ? write_all(&bench, argv[4], &error) : read_all(&bench, &error);
    if (status != LOAM_OK) fprintf(stderr, "%s\n", error.message);
    close_bench(&bench);
    return status == LOAM_OK ? 0 : 1;
}
