// The state and functions that the readers of expressions, classes and escapes share.
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
    bool extended; // white space and comments are passed over
    struct loam_bytes *out;
    struct loam_bytes options; // of the groups around this place, a byte each
};

// The byte `ahead` of this place, '\0' at the end. A NUL in the text gives '\0' too; callers compare with
// other characters only.
char loam_expression_peek(const struct loam_expression *expression, size_t ahead);

// Errors that name the place where the part at `start` begins.
enum loam_status loam_expression_malformed(const struct loam_expression *expression, size_t start,
                                           const char *reason, struct loam_error *error);
enum loam_status loam_expression_unsupported(const struct loam_expression *expression, size_t start,
                                             const char *what, struct loam_error *error);

// What an escape denotes.
enum loam_escape_kind {
    LOAM_ESCAPE_OTHER, // an operator, or what is no escape of a character
    LOAM_ESCAPE_CHARACTER,
    LOAM_ESCAPE_SET,
};
struct loam_escape {
    enum loam_escape_kind kind;
    uint32_t code_point;
    struct loam_char_set set; // owned by the caller
};
// Reads the escape at the backslash and goes behind it. For LOAM_ESCAPE_OTHER it stays at the backslash.
// `in_class`: the escape is within brackets, where \b is a backspace and digits are octal.
enum loam_status loam_expression_read_escape(struct loam_expression *expression, bool in_class,
                                             struct loam_escape *escape, struct loam_error *error);

// Adds the characters that Oniguruma takes for word characters outside of classes. They include superscript
// digits and fractions of Latin-1: it uses another table there below 256.
enum loam_status loam_expression_add_word(struct loam_char_set *set, struct loam_error *error);

// Reads the bracketed class that begins here, with all classes in it, into a tidy set.
enum loam_status loam_expression_read_class(struct loam_expression *expression, struct loam_char_set *set,
                                            struct loam_error *error);

#endif
