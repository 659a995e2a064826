// What a data set consists of: lengths, learnt tokens, repeated records, scripts.
#ifndef LOAM_DATA_STATISTICS_H
#define LOAM_DATA_STATISTICS_H

#include "data/example.h"
#include "data/text_set.h"
#include "text/script.h"

// Records whose text an earlier record has.
struct loam_repeats {
    size_t count;
    size_t first; // index of the first of them
    size_t of;    // index of the record that it repeats
};

// A zeroed struct is valid.
struct loam_statistics {
    size_t records;
    size_t split;    // records that are several examples
    size_t examples; // of all records; the next three count examples
    size_t cut;
    size_t dropped;
    size_t without_label; // not dropped, but nothing in it is learnt
    int64_t tokens;       // of examples, after cutting
    int64_t learnt;       // tokens that are learnt
    int64_t removed;      // tokens that cutting and dropping removed
    int32_t *lengths;     // [examples] tokens before cutting and dropping; ascending after finish
    size_t capacity;
    struct loam_text_set texts;
    struct loam_text_set normalized_texts;
    struct loam_repeats repeats;            // the same text
    struct loam_repeats normalized_repeats; // the same but for case and white space; includes those above
    int64_t scripts[LOAM_SCRIPTS];          // characters of each
};
void loam_statistics_deinit(struct loam_statistics *statistics);

// Adds record `index`, the first example of it, and its text before tokenising, valid UTF-8.
enum loam_status loam_statistics_add(struct loam_statistics *statistics, size_t index,
                                     const struct loam_example *example, const char *text, size_t size,
                                     struct loam_error *error);
// Adds a further example of the last record. `is_second`: the first one after that of loam_statistics_add.
enum loam_status loam_statistics_add_piece(struct loam_statistics *statistics,
                                           const struct loam_example *example, bool is_second,
                                           struct loam_error *error);
// Call after the last record and before the functions below.
void loam_statistics_finish(struct loam_statistics *statistics);

// The least length that `percent` of the examples do not exceed; 0 without records.
int32_t loam_statistics_length(const struct loam_statistics *statistics, int percent);

// Bar b counts the lengths in (start + b * step, start + (b + 1) * step]. The first and the last bar count some.
enum { LOAM_HISTOGRAM_BARS = 12 };
struct loam_histogram {
    int32_t step;  // 1, 2 or 5 times a power of ten
    int32_t start; // a multiple of step
    int bars;
    size_t counts[LOAM_HISTOGRAM_BARS];
};
struct loam_histogram loam_statistics_histogram(const struct loam_statistics *statistics);

// The scripts with the most characters, the first with the most. Characters that several scripts share do not
// count. Returns how many there are, at most LOAM_SHOWN_SCRIPTS.
enum { LOAM_SHOWN_SCRIPTS = 8 };
struct loam_script_share {
    const char *name;
    int64_t characters;
    double share; // of the characters of all scripts
};
int loam_statistics_scripts(const struct loam_statistics *statistics,
                            struct loam_script_share shares[LOAM_SHOWN_SCRIPTS]);

#endif
