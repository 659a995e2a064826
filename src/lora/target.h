// Target modules: the linears of a model that an adapter adapts.
#ifndef LOAM_LORA_TARGET_H
#define LOAM_LORA_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

enum loam_target_kind {
    LOAM_TARGET_LIST,       // a path that equals an entry or ends in "." + entry
    LOAM_TARGET_PATTERN,    // a regular expression in Python's syntax that must match the whole path
    LOAM_TARGET_ALL_LINEAR, // every linear
};

struct loam_targets {
    enum loam_target_kind kind;
    char **entries; // LIST: sorted, without duplicates
    size_t count;
    char *pattern; // PATTERN
    void *regex;   // PATTERN, compiled
};

// Parses the value of --target-modules: "all-linear" in any case; a regular expression if the text has any of
// `* + ? | ( ) [ ] { } ^ $ \`; otherwise names separated by commas, without the blanks around them.
enum loam_status loam_targets_parse(struct loam_targets *targets, const char *text, struct loam_error *error);
// Parses names separated by commas, without the blanks around them.
enum loam_status loam_targets_parse_list(struct loam_targets *targets, const char *text,
                                         struct loam_error *error);
// Makes a list of the given names, unparsed.
enum loam_status loam_targets_init_list(struct loam_targets *targets, const char *const *entries,
                                        size_t count, struct loam_error *error);
enum loam_status loam_targets_init_pattern(struct loam_targets *targets, const char *pattern,
                                           struct loam_error *error);
void loam_targets_deinit(struct loam_targets *targets);

// Returns whether an entry of a list names `path`.
bool loam_target_entry_matches(const char *entry, const char *path);
// Returns whether an entry of a list is the whole path.
bool loam_targets_have_path(const struct loam_targets *targets, const char *path);
enum loam_status loam_targets_match(const struct loam_targets *targets, const char *path, bool *matches,
                                    struct loam_error *error);
// Appends the targets as one line of text, for messages and logs.
enum loam_status loam_targets_describe(const struct loam_targets *targets, struct loam_bytes *text,
                                       struct loam_error *error);

#endif
