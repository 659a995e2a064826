// Tables of how options depend on each other: options without effect, and options that exclude each other.
#ifndef LOAM_OPTIONS_OPTION_NEEDS_H
#define LOAM_OPTIONS_OPTION_NEEDS_H

#include <stdbool.h>
#include <stddef.h>

// A statement about one option of the command. Values are compared by the option's type: 0 and 0.0 are equal.
struct loam_option_term {
    enum loam_option_term_kind {
        LOAM_TERM_NONE,
        LOAM_TERM_GIVEN,  // the option has a value; the switch is on
        LOAM_TERM_ABSENT, // the option has no value; the switch is off
        LOAM_TERM_IS,     // the value equals `value`
        LOAM_TERM_IS_NOT,
    } kind;
    const char *name;
    const char *value;
};

enum { LOAM_NEED_OPTIONS = 24, LOAM_NEED_TERMS = 4 };

// Each of `options` has an effect only if one of the terms `any` is true. Without terms it never has one.
struct loam_option_need {
    unsigned commands; // bit 1 << enum loam_command
    const char *options[LOAM_NEED_OPTIONS];
    struct loam_option_term any[LOAM_NEED_TERMS];
    const char *idle; // a value that is the same as not giving the option, and is not reported; NULL: none
    bool refused;     // an error on the command line; else a warning
    const char *why;  // message after the option's name: "has no effect ..."
};
extern const struct loam_option_need loam_option_needs[];
extern const size_t loam_option_need_count;

// Options that are refused when they are given twice, because a user may expect both values to be used. NULL
// ends the list.
extern const char *const loam_options_refused_twice[];

// Options that exclude each other.
struct loam_option_rivals {
    unsigned commands;
    const char *options[LOAM_NEED_OPTIONS];
    bool required; // one of them has to be given
};
extern const struct loam_option_rivals loam_option_rivals[];
extern const size_t loam_option_rivals_count;

#endif
