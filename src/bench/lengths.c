#include "bench/lengths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/rng.h"
#include "data/example.h"

enum { FILE_LIMIT = 1 << 26, MOST_LENGTHS = 1 << 20, LONGEST = 1 << 24, FIRST_ID = 4 };

static const char separators[] = ", \t\r\n";

static bool is_list(const char *text)
{
    return text[0] >= '0' && text[0] <= '9' && text[strspn(text, "0123456789:,")] == '\0';
}

// Reads the number at `*at` and moves `*at` past it. Returns -1 if there is none or it is too large.
static int32_t read_number(const char **at)
{
    if (**at < '0' || **at > '9') return -1;
    char *end;
    const long long number = strtoll(*at, &end, 10);
    *at = end;
    return number <= LONGEST ? (int32_t)number : -1;
}

static enum loam_status fail_length(const char *at, struct loam_error *error)
{
    return loam_fail(
        error, LOAM_ERROR_USAGE,
        "--lengths: \"%.*s\": expected LENGTH or LENGTH:LABELS, of 2 to %d tokens, with fewer labels "
        "than tokens",
        (int)strcspn(at, separators) < 40 ? (int)strcspn(at, separators) : 40, at, (int)LONGEST);
}

static enum loam_status parse_items(struct loam_bench_lengths *lengths, const char *text, bool completion,
                                    struct loam_error *error)
{
    for (const char *at = text + strspn(text, separators); *at != '\0'; at += strspn(at, separators)) {
        const char *start = at;
        struct loam_bench_length *item = &lengths->items[lengths->count];
        item->tokens = read_number(&at);
        if (*at == ':') {
            at++;
            item->labels = read_number(&at);
            if (item->labels < 1) return fail_length(start, error);
        } else if (completion) {
            return loam_fail(
                error, LOAM_ERROR_USAGE,
                "--loss-on completion: each of --lengths must say how many labels it ends in, as in "
                "%d:12",
                item->tokens);
        }
        if (item->tokens < 2 || item->labels >= item->tokens || strcspn(at, separators) > 0)
            return fail_length(start, error);
        if (item->tokens > lengths->longest) lengths->longest = item->tokens;
        lengths->count++;
    }
    return LOAM_OK;
}

static size_t count_items(const char *text)
{
    size_t count = 0;
    for (text += strspn(text, separators); *text != '\0'; text += strspn(text, separators), count++)
        text += strcspn(text, separators);
    return count;
}

static enum loam_status parse_text(struct loam_bench_lengths *lengths, const char *text, bool completion,
                                   struct loam_error *error)
{
    const size_t count = count_items(text);
    if (count == 0 || count > MOST_LENGTHS)
        return loam_fail(error, LOAM_ERROR_USAGE, "--lengths has %zu lengths; expected 1 to %d", count,
                         (int)MOST_LENGTHS);
    lengths->items = loam_calloc(count, sizeof *lengths->items, error);
    if (lengths->items == NULL) return LOAM_ERROR_MEMORY;
    return parse_items(lengths, text, completion, error);
}

enum loam_status loam_bench_lengths_parse(struct loam_bench_lengths *lengths, const char *text,
                                          bool completion, struct loam_error *error)
{
    *lengths = (struct loam_bench_lengths){0};
    if (is_list(text)) return parse_text(lengths, text, completion, error);
    struct loam_bytes file = {0};
    enum loam_status status = loam_file_read(text, FILE_LIMIT, &file, error);
    if (status == LOAM_OK)
        status = parse_text(lengths, file.data != NULL ? file.data : "", completion, error);
    loam_bytes_deinit(&file);
    return status;
}

enum loam_status loam_bench_lengths_open(struct loam_bench_lengths *lengths, const char *text,
                                         struct loam_train_settings *settings, struct loam_error *error)
{
    const bool completion = settings->loss_on > LOAM_LOSS_ON_ALL;
    LOAM_TRY(loam_bench_lengths_parse(lengths, text, completion, error));
    if (settings->batch_size == 0) settings->batch_size = (int64_t)lengths->count;
    if (settings->max_length == 0) settings->max_length = lengths->longest;
    if (lengths->longest <= settings->max_length) return LOAM_OK;
    return loam_fail(error, is_list(text) ? LOAM_ERROR_USAGE : LOAM_ERROR_ARGUMENT,
                     "--lengths has %d tokens; --max-length allows %lld", lengths->longest,
                     (long long)settings->max_length);
}

void loam_bench_lengths_deinit(struct loam_bench_lengths *lengths)
{
    free(lengths->items);
    *lengths = (struct loam_bench_lengths){0};
}

static enum loam_status make_example(struct loam_example *example, const struct loam_bench_length *length,
                                     int64_t vocabulary, uint64_t seed, uint32_t index,
                                     struct loam_error *error)
{
    LOAM_TRY(loam_example_reserve(example, (size_t)length->tokens, error));
    const uint64_t stream = loam_rng_stream(LOAM_RNG_BENCH, index);
    // The first ids are usually special tokens. The time does not depend on the ids.
    const int64_t first = vocabulary > 2 * FIRST_ID ? FIRST_ID : 0;
    for (int32_t t = 0; t < length->tokens; t++) {
        const double uniform = (double)loam_rng_uniform(seed, stream, (uint64_t)t);
        example->ids[t] = (int32_t)(first + (int64_t)(uniform * (double)(vocabulary - first)));
    }
    example->count = length->tokens;
    loam_example_learn_from(example, length->labels > 0 ? (size_t)(length->tokens - length->labels) : 0);
    example->dropped = false;
    snprintf(example->id, sizeof example->id, "length %u", index + 1);
    return LOAM_OK;
}

enum loam_status loam_bench_lengths_collect(const struct loam_bench_lengths *lengths, int64_t vocabulary,
                                            uint64_t seed, const uint32_t *indices, size_t count,
                                            struct loam_step_buffers *buffers, struct loam_error *error)
{
    loam_step_clear(buffers);
    for (size_t i = 0; i < count; i++) {
        struct loam_example *example = &buffers->examples[buffers->count];
        LOAM_TRY(make_example(example, &lengths->items[indices[i]], vocabulary, seed, indices[i], error));
        loam_step_take(buffers);
    }
    return LOAM_OK;
}
