// The parts of tokenizer.json that have a "type": looking the type up in a table of kinds and reading its
// fields. Every message begins with the file and the key path.
#ifndef LOAM_TEXT_PART_H
#define LOAM_TEXT_PART_H

#include "base/json.h"
#include "text/pattern.h"

// Reads one part into `target`, whose type the table's owner knows. `name` is "FILE: key.path".
typedef enum loam_status (*loam_part_parser)(const json_t *part, const char *name, void *target,
                                             struct loam_error *error);

struct loam_part_kind {
    const char *type;
    loam_part_parser parse;
};

struct loam_part_room {
    const char *what;     // "normalizer", for messages
    const char *sequence; // the key that holds the parts of a Sequence
    const struct loam_part_kind *kinds;
    size_t count;
};

// Parses a part, or the parts of a Sequence in order; null is no part at all.
enum loam_status loam_part_parse(const struct loam_part_room *room, const json_t *part, const char *name,
                                 void *target, struct loam_error *error);

// Fields that must be there.
enum loam_status loam_part_bool(const json_t *part, const char *name, const char *key, bool *value,
                                struct loam_error *error);
enum loam_status loam_part_text(const json_t *part, const char *name, const char *key,
                                struct loam_bytes *value, struct loam_error *error);
// One of `choices`, whose index is given; a key that is absent leaves `*index` alone.
enum loam_status loam_part_choice(const json_t *part, const char *name, const char *key,
                                  const char *const *choices, size_t count, int *index,
                                  struct loam_error *error);
// {"String": text} or {"Regex": expression} under "pattern".
enum loam_status loam_part_pattern(const json_t *part, const char *name, struct loam_pattern *pattern,
                                   struct loam_error *error);

#endif
