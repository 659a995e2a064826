// bench_tokenizer TOKENIZER.JSON FILE [SECONDS]: encodes the texts of FILE, which NULs separate,
// repeatedly for at least SECONDS (default 1). Prints one JSON object with the best and the median pass.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "text/tokenizer.h"

enum { MAX_PASSES = 1000 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

// Encodes every text once and counts the tokens.
static enum loam_status encode_all(const struct loam_tokenizer *tokenizer, const struct loam_map *map,
                                   struct loam_encoding *encoding, size_t *tokens, struct loam_error *error)
{
    const char *text = (const char *)map->data;
    *tokens = 0;
    for (size_t start = 0; start < map->size;) {
        size_t end = start;
        while (end < map->size && text[end] != '\0')
            end++;
        LOAM_TRY(loam_tokenizer_encode(tokenizer, text + start, end - start, false, encoding, error));
        *tokens += encoding->count;
        start = end + 1;
    }
    return LOAM_OK;
}

static enum loam_status measure(const struct loam_tokenizer *tokenizer, const struct loam_map *map,
                                double seconds, double load_seconds, struct loam_error *error)
{
    double passes[MAX_PASSES];
    int count = 0;
    size_t tokens = 0;
    struct loam_encoding encoding = {0};
    enum loam_status status = LOAM_OK;
    for (double spent = 0; (spent < seconds || count < 3) && count < MAX_PASSES && status == LOAM_OK;
         count++) {
        double start = now();
        status = encode_all(tokenizer, map, &encoding, &tokens, error);
        passes[count] = now() - start;
        spent += passes[count];
    }
    loam_encoding_deinit(&encoding);
    if (status != LOAM_OK) return status;
    qsort(passes, (size_t)count, sizeof *passes, compare);
    double bytes = (double)map->size;
    printf(
        "{\"bytes\": %zu, \"tokens\": %zu, \"passes\": %d, \"load_seconds\": %.4f, \"best_seconds\": %.6f, "
        "\"median_seconds\": %.6f, \"best_mb_per_second\": %.2f, \"median_mb_per_second\": %.2f}\n",
        map->size, tokens, count, load_seconds, passes[0], passes[count / 2], bytes / passes[0] / 1e6,
        bytes / passes[count / 2] / 1e6);
    return LOAM_OK;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: bench_tokenizer TOKENIZER.JSON FILE [SECONDS]\n");
        return 2;
    }
    struct loam_error error;
    struct loam_tokenizer *tokenizer = NULL;
    struct loam_map map = {0};
    double start = now();
    enum loam_status status = loam_tokenizer_load(&tokenizer, argv[1], &error);
    double load_seconds = now() - start;
    if (status == LOAM_OK) status = loam_map_open(&map, argv[2], true, &error);
    if (status == LOAM_OK)
        status = measure(tokenizer, &map, argc == 4 ? strtod(argv[3], NULL) : 1.0, load_seconds, &error);
    if (status != LOAM_OK) fprintf(stderr, "%s\n", error.message);
    loam_map_close(&map);
    loam_tokenizer_destroy(tokenizer);
    return status == LOAM_OK ? 0 : 1;
}
