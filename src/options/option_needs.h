// The table of which options have an effect only beside others.
#ifndef LOAM_OPTIONS_OPTION_NEEDS_H
#define LOAM_OPTIONS_OPTION_NEEDS_H

#include <stdbool.h>
#include <stddef.h>

// A statement about one option of the same command. `value` is compared by the option's type: 0 and 0.0 are
// the same number.
struct loam_option_term {
    enum loam_option_term_kind {
        LOAM_TERM_NONE,
        LOAM_TERM_GIVEN,  // it has a value; a switch is on
        LOAM_TERM_ABSENT, // it has none; a switch is off
        LOAM_TERM_IS,
        LOAM_TERM_IS_NOT,
    } kind;
    const char *name;
    const char *value;
};

enum { LOAM_NEED_OPTIONS = 8, LOAM_NEED_TERMS = 4 };

struct loam_option_need {
    unsigned commands;                            // bit 1 << enum loam_command
    const char *options[LOAM_NEED_OPTIONS];       // each has an effect only where
    struct loam_option_term any[LOAM_NEED_TERMS]; // one of these is true; no terms: never
    const char *idle; // a value that asks for nothing and is never reported; NULL: none
    bool refused;     // an error on the command line, not a warning
    const char *why;  // the predicate of the message: "has no effect ..."
};
extern const struct loam_option_need loam_option_needs[];
extern const size_t loam_option_need_count;

// Options of which a user may expect two values to count, in every command that has them. NULL ends the list.
extern const char *const loam_option_plurals[];

// Options that exclude each other.
struct loam_option_rivals {
    unsigned commands;
    const char *options[LOAM_NEED_OPTIONS];
    bool required; // one of them has to be
};
extern const struct loam_option_rivals loam_option_rivals[];
extern const size_t loam_option_rivals_count;

#endif
