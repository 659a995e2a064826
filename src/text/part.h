// Reads parts of tokenizer.json that have a "type", by a table of types. Every message begins with the file
// and the key path.
#ifndef LOAM_TEXT_PART_H
#define LOAM_TEXT_PART_H

#include "base/json.h"
#include "text/pattern.h"

// Reads one part into `target`, a struct that the functions of one table share. `name` is "FILE: key.path".
typedef enum loam_status (*loam_part_parser)(const json_t *part, const char *name, void *target,
                                             struct loam_error *error);

struct loam_part_kind {
    const char *type;
    loam_part_parser parse;
};

struct loam_part_table {
    const char *noun;     // "normalizer", for messages
    const char *sequence; // key of the parts of a Sequence
    const struct loam_part_kind *kinds;
    size_t count;
};

// Parses a part, or the parts of a Sequence in order. null adds nothing.
enum loam_status loam_part_parse(const struct loam_part_table *table, const json_t *part, const char *name,
                                 void *target, struct loam_error *error);

// These fields are required.
enum loam_status loam_part_bool(const json_t *part, const char *name, const char *key, bool *value,
                                struct loam_error *error);
enum loam_status loam_part_text(const json_t *part, const char *name, const char *key,
                                struct loam_bytes *value, struct loam_error *error);
// Gives the index of the value in `choices`. Without the key `*index` is unchanged.
enum loam_status loam_part_choice(const json_t *part, const char *name, const char *key,
                                  const char *const *choices, size_t count, int *index,
                                  struct loam_error *error);
// Reads {"String": text} or {"Regex": expression} under "pattern".
enum loam_status loam_part_pattern(const json_t *part, const char *name, struct loam_pattern *pattern,
                                   struct loam_error *error);

#endif
