// Unicode tables that scripts/unicode_tables.py makes from the package `tokenizers`, so that ids do not
// depend on the version of Unicode of a library. The package contains several versions of Unicode; the
// comment of each table names its version.
#ifndef LOAM_TEXT_UNICODE_DATA_H
#define LOAM_TEXT_UNICODE_DATA_H

#include <stddef.h>
#include <stdint.h>

enum { LOAM_CODE_POINTS = 0x110000 };

// All code points, split into runs of one value. An item has the first code point of a run in its upper bits
// and the run's value in the lower ones. A run ends where the next one begins; the first begins at 0.
enum { LOAM_RUN_VALUE_BITS = 11, LOAM_RUN_VALUES = 1 << LOAM_RUN_VALUE_BITS };
struct loam_runs {
    const uint32_t *items; // [count], ascending
    size_t count;
};
uint32_t loam_runs_value(const struct loam_runs *runs, int32_t code_point);

extern const struct loam_runs loam_unicode_categories; // the general category, a bit of loam_unicode_property
extern const struct loam_runs loam_unicode_scripts;
extern const struct loam_runs loam_unicode_blocks;
extern const struct loam_runs loam_unicode_cased;          // 1: has the property Cased
extern const struct loam_runs loam_unicode_case_ignorable; // 1: has the property Case_Ignorable

// The characters of \p{NAME} or [[:NAME:]]: the code points of the categories and those with the value in
// the runs.
struct loam_unicode_property {
    // Lower case, without blanks, "-" and "_". The name of a POSIX bracket has a ":" before it.
    const char *name;
    uint32_t categories;          // bits: 1 << general category
    const struct loam_runs *runs; // NULL: only the categories
    uint32_t value;
};
extern const struct loam_unicode_property loam_unicode_properties[]; // [count], ascending by name
extern const size_t loam_unicode_property_count;

struct loam_code_point_pair {
    int32_t first;
    int32_t second;
};
// Characters that match each other when an expression ignores case: every pair once, ascending.
extern const struct loam_code_point_pair loam_unicode_case_pairs[];
extern const size_t loam_unicode_case_pair_count;
// 2: the character matches a sequence of several characters when case is ignored, as U+00DF matches "ss". 1:
// it is ASCII or part of such a sequence.
extern const struct loam_runs loam_unicode_sequences;

// Classes of the pre-tokenizers that are not regular expressions, as bits.
enum { LOAM_CLASS_WORD = 1, LOAM_CLASS_WHITE_SPACE = 2, LOAM_CLASS_NUMERIC = 4, LOAM_CLASS_PUNCTUATION = 8 };
extern const struct loam_runs loam_unicode_classes;
// Lower case by character, ascending by the first. Without U+0130, whose lower case is two characters.
extern const struct loam_code_point_pair loam_unicode_lower_pairs[];
extern const size_t loam_unicode_lower_pair_count;

// Full decompositions, without Hangul.
struct loam_decomposition {
    int32_t code_point;
    uint16_t place; // index in loam_unicode_parts
    uint16_t count;
};
struct loam_decompositions {
    const struct loam_decomposition *items; // [count], ascending by code point
    size_t count;
};
extern const struct loam_decompositions loam_unicode_canonical;
extern const struct loam_decompositions loam_unicode_compatible; // those that differ from the canonical ones
extern const uint32_t loam_unicode_parts[];
extern const struct loam_runs loam_unicode_combining; // rank of the combining class; 0: a starter
// Pairs of characters that compose to one, ascending by the first and then the second.
struct loam_composition {
    int32_t first;
    int32_t second;
    int32_t composite;
};
extern const struct loam_composition loam_unicode_compositions[];
extern const size_t loam_unicode_composition_count;

#endif
