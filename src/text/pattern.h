// Patterns of a Split or Replace: a literal text, a regular expression, a class of characters or runs of
// words.
#ifndef LOAM_TEXT_PATTERN_H
#define LOAM_TEXT_PATTERN_H

#include <oniguruma.h>

#include "base/bytes.h"
#include "text/scanner.h"
#include "text/unicode.h"

enum loam_pattern_kind {
    LOAM_PATTERN_LITERAL,
    LOAM_PATTERN_REGEX,
    LOAM_PATTERN_CLASS, // each character of the class is one match
    LOAM_PATTERN_WORDS, // \w+|[^\w\s]+
};

struct loam_pattern {
    enum loam_pattern_kind kind;
    struct loam_bytes literal;
    regex_t *regex;
    struct loam_scanner *scanner; // the same expression; NULL: not of the form that it reads
    loam_char_class in_class;
};

enum loam_status loam_pattern_init_literal(struct loam_pattern *pattern, const char *text, size_t size,
                                           struct loam_error *error);
// The syntax is Oniguruma's, as in `tokenizers`; classes of characters are those of text/unicode_data.h.
// `name` is the key path for messages.
enum loam_status loam_pattern_init_regex(struct loam_pattern *pattern, const char *text, size_t size,
                                         const char *name, struct loam_error *error);
void loam_pattern_init_class(struct loam_pattern *pattern, loam_char_class in_class);
void loam_pattern_init_words(struct loam_pattern *pattern);
enum loam_status loam_pattern_init_gpt2(struct loam_pattern *pattern, struct loam_error *error);
void loam_pattern_deinit(struct loam_pattern *pattern);

// A search from left to right through one text, or through its pieces one after the other. A zeroed struct
// is valid.
struct loam_matcher {
    const struct loam_pattern *pattern;
    const char *text;
    size_t size;
    size_t at;       // byte at which the search continues
    size_t last_end; // end of the last match; SIZE_MAX: no match so far
    size_t start;    // the match: bytes [start, end)
    size_t end;
    size_t longest;     // bytes of the longest match of a regular expression
    size_t retries;     // remaining steps of backtracking
    size_t steps;       // remaining steps of the scanner, after which the regular expression searches
    OnigRegion *region; // reused for every text
    OnigMatchParam *parameters;
};

// Starts a search in another text. Allocated memory is kept.
void loam_matcher_begin(struct loam_matcher *matcher, const struct loam_pattern *pattern, const char *text,
                        size_t size);
// Finds the next match. `*found`: there is one.
enum loam_status loam_matcher_next(struct loam_matcher *matcher, bool *found, struct loam_error *error);
size_t loam_matcher_bytes(const struct loam_matcher *matcher); // temporary memory of the longest match
void loam_matcher_deinit(struct loam_matcher *matcher);

#endif
