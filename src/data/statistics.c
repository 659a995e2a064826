#include "data/statistics.h"

#include <stdlib.h>

#include "base/grow.h"
#include "model/batch.h"
#include "text/unicode.h"

void loam_statistics_deinit(struct loam_statistics *statistics)
{
    free(statistics->lengths);
    loam_text_set_deinit(&statistics->texts);
    loam_text_set_deinit(&statistics->normalized_texts);
    *statistics = (struct loam_statistics){0};
}

static enum loam_status add_length(struct loam_statistics *statistics, int32_t length,
                                   struct loam_error *error)
{
    int32_t *grown =
        loam_grow(statistics->lengths, &statistics->capacity, statistics->examples + 1, sizeof *grown, error);
    if (grown == NULL) return LOAM_ERROR_MEMORY;
    statistics->lengths = grown;
    grown[statistics->examples] = length;
    return LOAM_OK;
}

static enum loam_status add_text(struct loam_text_set *set, struct loam_repeats *repeats, uint64_t hash,
                                 size_t index, struct loam_error *error)
{
    size_t earlier;
    LOAM_TRY(loam_text_set_add(set, hash, index, &earlier, error));
    if (earlier == SIZE_MAX) return LOAM_OK;
    if (repeats->count++ == 0) {
        repeats->first = index;
        repeats->of = earlier;
    }
    return LOAM_OK;
}

static void add_scripts(struct loam_statistics *statistics, const char *text, size_t size)
{
    int64_t latin = 0;
    for (size_t at = 0, length; at < size; at += length) {
        int32_t code_point = loam_utf8_decode(text + at, &length);
        bool letter = (code_point >= 'a' && code_point <= 'z') || (code_point >= 'A' && code_point <= 'Z');
        latin += letter;
        // The rest of ASCII belongs to no script.
        if (code_point >= 0x80) statistics->scripts[loam_char_script(code_point)]++;
    }
    statistics->scripts[loam_char_script('a')] += latin;
}

static enum loam_status add_example(struct loam_statistics *statistics, const struct loam_example *example,
                                    struct loam_error *error)
{
    const struct loam_labels labels = loam_labels_count(example->weights, example->count);
    LOAM_TRY(add_length(statistics, example->length, error));
    statistics->examples++;
    statistics->tokens += example->count;
    statistics->learnt += labels.count;
    statistics->removed += example->length - example->count;
    statistics->dropped += example->dropped;
    statistics->cut += !example->dropped && example->length > example->count;
    statistics->without_label += !example->dropped && labels.count == 0;
    return LOAM_OK;
}

enum loam_status loam_statistics_add(struct loam_statistics *statistics, size_t index,
                                     const struct loam_example *example, const char *text, size_t size,
                                     struct loam_error *error)
{
    LOAM_TRY(add_text(&statistics->texts, &statistics->repeats, loam_text_hash(text, size), index, error));
    LOAM_TRY(add_text(&statistics->normalized_texts, &statistics->normalized_repeats,
                      loam_text_hash_normalized(text, size), index, error));
    add_scripts(statistics, text, size);
    statistics->records++;
    return add_example(statistics, example, error);
}

enum loam_status loam_statistics_add_piece(struct loam_statistics *statistics,
                                           const struct loam_example *example, bool is_second,
                                           struct loam_error *error)
{
    statistics->split += is_second;
    return add_example(statistics, example, error);
}

static int compare_lengths(const void *a, const void *b)
{
    int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

void loam_statistics_finish(struct loam_statistics *statistics)
{
    if (statistics->examples > 0)
        qsort(statistics->lengths, statistics->examples, sizeof *statistics->lengths, compare_lengths);
}

int32_t loam_statistics_length(const struct loam_statistics *statistics, int percent)
{
    size_t count = statistics->examples;
    if (count == 0) return 0;
    size_t rank = count / 100 * (size_t)percent + (count % 100 * (size_t)percent + 99) / 100;
    return statistics->lengths[rank == 0 ? 0 : rank - 1];
}

// The number of the bar of a length, counted from length 1.
static int32_t find_bar(int32_t length, int64_t step)
{
    return length > 0 ? (int32_t)((length - 1) / step) : 0;
}

// The least step of 1, 2 or 5 times a power of ten with which LOAM_HISTOGRAM_BARS bars have all lengths.
static int32_t choose_step(int32_t shortest, int32_t longest)
{
    static const int64_t factors[] = {1, 2, 5};
    for (int64_t power = 1;; power *= 10)
        for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
            const int64_t step = factors[i] * power;
            if (find_bar(longest, step) - find_bar(shortest, step) < LOAM_HISTOGRAM_BARS)
                return (int32_t)step;
        }
}

struct loam_histogram loam_statistics_histogram(const struct loam_statistics *statistics)
{
    const int32_t shortest = loam_statistics_length(statistics, 0);
    const int32_t longest = loam_statistics_length(statistics, 100);
    const int32_t step = choose_step(shortest, longest), first = find_bar(shortest, step);
    struct loam_histogram histogram = {.step = step, .start = first * step};
    for (size_t i = 0; i < statistics->examples; i++)
        histogram.counts[find_bar(statistics->lengths[i], step) - first]++;
    if (statistics->examples > 0) histogram.bars = find_bar(longest, step) - first + 1;
    return histogram;
}

int loam_statistics_scripts(const struct loam_statistics *statistics,
                            struct loam_script_share shares[LOAM_SHOWN_SCRIPTS])
{
    int count = 0;
    int64_t all = 0;
    for (uint32_t script = 0; script < LOAM_SCRIPTS; script++) {
        struct loam_script_share share = {.characters = statistics->scripts[script]};
        if (share.characters == 0 || loam_script_is_shared(script)) continue;
        share.name = loam_script_name(script);
        all += share.characters;
        int at = count;
        for (; at > 0 && shares[at - 1].characters < share.characters; at--)
            if (at < LOAM_SHOWN_SCRIPTS) shares[at] = shares[at - 1];
        if (at < LOAM_SHOWN_SCRIPTS) shares[at] = share;
        if (count < LOAM_SHOWN_SCRIPTS) count++;
    }
    for (int i = 0; i < count; i++)
        shares[i].share = (double)shares[i].characters / (double)all;
    return count;
}
