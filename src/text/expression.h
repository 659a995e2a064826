// Rewrites regular expressions so that they do not depend on Oniguruma's tables of Unicode: classes of
// characters become ranges.
#ifndef LOAM_TEXT_EXPRESSION_H
#define LOAM_TEXT_EXPRESSION_H

#include "base/bytes.h"

// Appends to `out` an expression in Oniguruma's syntax that has the meaning of `text` by the tables of
// text/unicode_data.h. \w, \d, \s, \p{}, word boundaries and bracketed classes become ranges, and so do
// characters with other cases where case is ignored. Other constructs that depend on Unicode are refused.
// `name` is the key path for messages.
enum loam_status loam_expression_rewrite(const char *text, size_t size, const char *name,
                                         struct loam_bytes *out, struct loam_error *error);

#endif
