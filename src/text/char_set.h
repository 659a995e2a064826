// Sets of code points, for the classes of regular expressions.
#ifndef LOAM_TEXT_CHAR_SET_H
#define LOAM_TEXT_CHAR_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct loam_span {
    uint32_t first;
    uint32_t end; // the first code point behind it
};

// A zeroed set is empty. Spans come in any order; tidied they are ascending, and no two touch.
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

// These three tidy the set that they change.
enum loam_status loam_char_set_invert(struct loam_char_set *set, struct loam_error *error);
enum loam_status loam_char_set_unite(struct loam_char_set *set, const struct loam_char_set *other,
                                     struct loam_error *error);
enum loam_status loam_char_set_intersect(struct loam_char_set *set, struct loam_char_set *other,
                                         struct loam_error *error); // `other` is spent

// Adds what \p{NAME} stands for, or with a ":" before the name [[:NAME:]]. `*known` is false where loam has
// no such name. Blanks, "-", "_" and the case of ASCII letters do not matter in a name.
enum loam_status loam_char_set_add_property(struct loam_char_set *set, const char *name, size_t size,
                                            bool *known, struct loam_error *error);

// Adds what matches the set's characters where case is ignored, without sequences of several characters.
enum loam_status loam_char_set_ignore_case(struct loam_char_set *set, struct loam_error *error);

#endif
