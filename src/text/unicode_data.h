// Unicode as the package `tokenizers` knows it, in tables that scripts/unicode_tables.py makes from that
// package, so that ids do not depend on the version of Unicode of any library. The package has several
// versions of Unicode inside; the comment of each table names its own.
#ifndef LOAM_TEXT_UNICODE_DATA_H
#define LOAM_TEXT_UNICODE_DATA_H

#include <stddef.h>
#include <stdint.h>

enum { LOAM_CODE_POINTS = 0x110000 };

// All code points, cut into runs of one value. Each item is the first code point of a run, from 0 on, in the
// upper bits and the run's value in the lower ones; it ends where the next begins.
enum { LOAM_RUN_VALUE_BITS = 11, LOAM_RUN_VALUES = 1 << LOAM_RUN_VALUE_BITS };
struct loam_runs {
    const uint32_t *items; // [count], ascending
    size_t count;
};
uint32_t loam_runs_value(const struct loam_runs *runs, int32_t code_point);

extern const struct loam_runs
    loam_unicode_categories; // the general category, a bit of struct loam_unicode_property
extern const struct loam_runs loam_unicode_scripts;
extern const struct loam_runs loam_unicode_blocks;
extern const struct loam_runs loam_unicode_cased; // 1: the property Cased; so are the next
extern const struct loam_runs loam_unicode_case_ignorable;

// What \p{NAME} or [[:NAME:]] stands for: the code points of these categories and those to which the table
// gives the value.
struct loam_unicode_property {
    const char *name; // lower case, without blanks, "-" and "_"; that of a POSIX bracket has a ":" before it
    uint32_t categories;          // bits: 1 << general category
    const struct loam_runs *runs; // NULL: categories alone
    uint32_t value;
};
extern const struct loam_unicode_property loam_unicode_properties[]; // [count], ascending by name
extern const size_t loam_unicode_property_count;

struct loam_code_point_pair {
    int32_t first;
    int32_t second;
};
// Characters that match each other where an expression ignores case: every pair once, ascending.
extern const struct loam_code_point_pair loam_unicode_case_pairs[];
extern const size_t loam_unicode_case_pair_count;
// 2: where case is ignored the character matches a sequence of several ones, as U+00DF matches "ss"; 1: it is
// ASCII or is in such a sequence.
extern const struct loam_runs loam_unicode_sequences;

// Classes of the parts that are no expressions, as bits.
enum { LOAM_CLASS_WORD = 1, LOAM_CLASS_WHITE_SPACE = 2, LOAM_CLASS_NUMERIC = 4, LOAM_CLASS_PUNCTUATION = 8 };
extern const struct loam_runs loam_unicode_classes;
// Lower case of one character, ascending by the first; U+0130 alone has two and is not here.
extern const struct loam_code_point_pair loam_unicode_lower_pairs[];
extern const size_t loam_unicode_lower_pair_count;

// Full decompositions, without Hangul.
struct loam_decomposition {
    int32_t code_point;
    uint16_t place; // in loam_unicode_parts
    uint16_t count;
};
struct loam_decompositions {
    const struct loam_decomposition *items; // [count], ascending by code point
    size_t count;
};
extern const struct loam_decompositions loam_unicode_canonical;
extern const struct loam_decompositions loam_unicode_compatible; // where it is another than the canonical one
extern const uint32_t loam_unicode_parts[];
extern const struct loam_runs loam_unicode_combining; // the rank of the combining class, 0: a starter
// Two characters that compose to one, ascending by the first and then the second.
struct loam_composition {
    int32_t first;
    int32_t second;
    int32_t composite;
};
extern const struct loam_composition loam_unicode_compositions[];
extern const size_t loam_unicode_composition_count;

#endif
