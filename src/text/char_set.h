// Sets of code points, for the classes of regular expressions.
#ifndef LOAM_TEXT_CHAR_SET_H
#define LOAM_TEXT_CHAR_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct loam_span {
    uint32_t first;
    uint32_t end; // last code point + 1
};

// A zeroed set is empty. Spans may be in any order and overlap. A tidy set has ascending spans with gaps
// between.
struct loam_char_set {
    struct loam_span *spans; // [count]
    size_t count;
    size_t capacity;
};

void loam_char_set_deinit(struct loam_char_set *set);
enum loam_status loam_char_set_add(struct loam_char_set *set, uint32_t first, uint32_t end,
                                   struct loam_error *error);
void loam_char_set_tidy(struct loam_char_set *set);
bool loam_char_set_has(const struct loam_char_set *tidy, uint32_t code_point);

// Invert, unite and intersect leave `set` tidy. Intersect changes `other`, which can only be released after
// it.
enum loam_status loam_char_set_invert(struct loam_char_set *set, struct loam_error *error);
enum loam_status loam_char_set_unite(struct loam_char_set *set, const struct loam_char_set *other,
                                     struct loam_error *error);
enum loam_status loam_char_set_intersect(struct loam_char_set *set, struct loam_char_set *other,
                                         struct loam_error *error);

// Adds the characters of \p{NAME}, or of [[:NAME:]] where the name has a ":" before it. `*known` is false if
// loam does not have the name. Blanks, "-", "_" and the case of ASCII letters are ignored in a name.
enum loam_status loam_char_set_add_property(struct loam_char_set *set, const char *name, size_t size,
                                            bool *known, struct loam_error *error);

// Adds the single characters that match characters of the set when case is ignored.
enum loam_status loam_char_set_ignore_case(struct loam_char_set *set, struct loam_error *error);

#endif
