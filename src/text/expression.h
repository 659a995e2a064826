// Regular expressions that do not depend on Oniguruma's own tables of Unicode: its classes are written as
// ranges.
#ifndef LOAM_TEXT_EXPRESSION_H
#define LOAM_TEXT_EXPRESSION_H

#include "base/bytes.h"

// Appends an expression in Oniguruma's syntax that matches what `text` matches with the tables of
// text/unicode_data.h. \w, \d, \s, \p{}, word boundaries and bracketed classes are written as ranges, and
// where case is ignored so are characters that have other cases. What depends on Unicode in any other way is
// refused. `name` is the key path for messages.
enum loam_status loam_expression_rewrite(const char *text, size_t size, const char *name,
                                         struct loam_bytes *out, struct loam_error *error);

#endif
