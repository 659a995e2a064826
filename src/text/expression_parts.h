// State and functions shared by the files that rewrite expressions, classes and escapes.
#ifndef LOAM_TEXT_EXPRESSION_PARTS_H
#define LOAM_TEXT_EXPRESSION_PARTS_H

#include "base/bytes.h"
#include "text/char_set.h"

struct loam_expression {
    const char *text; // valid UTF-8
    size_t size;
    size_t at;
    const char *name; // key path for messages
    bool ignore_case;
    bool extended; // white space and comments are ignored
    struct loam_bytes *out;
    struct loam_bytes options; // options outside of each open group, one byte per group
};

// The byte `ahead` bytes after this place. '\0' at the end and for a NUL in the text; callers compare with
// other characters only.
char loam_expression_peek(const struct loam_expression *expression, size_t ahead);

// Fail with a message that names byte `start`.
enum loam_status loam_expression_fail_malformed(const struct loam_expression *expression, size_t start,
                                                const char *reason, struct loam_error *error);
enum loam_status loam_expression_fail_unsupported(const struct loam_expression *expression, size_t start,
                                                  const char *what, struct loam_error *error);

enum loam_escape_kind {
    LOAM_ESCAPE_OTHER, // neither a character nor a set: an operator
    LOAM_ESCAPE_CHARACTER,
    LOAM_ESCAPE_SET,
};
struct loam_escape {
    enum loam_escape_kind kind;
    uint32_t code_point;
    struct loam_char_set set; // owned by the caller
};
// Reads the escape at the backslash and moves after it; with LOAM_ESCAPE_OTHER it stays at the backslash.
// `in_class`: the escape is inside brackets, where \b is a backspace and digits are octal.
enum loam_status loam_expression_read_escape(struct loam_expression *expression, bool in_class,
                                             struct loam_escape *escape, struct loam_error *error);

// Adds the characters that Oniguruma treats as word characters outside of classes. There it uses another
// table for code points below 256, which includes superscript digits and fractions.
enum loam_status loam_expression_add_word(struct loam_char_set *set, struct loam_error *error);

// Reads the bracketed class that begins here, with the classes inside it, into a tidy set.
enum loam_status loam_expression_read_class(struct loam_expression *expression, struct loam_char_set *set,
                                            struct loam_error *error);

#endif
