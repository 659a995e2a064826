// Python's format mini-language.
#ifndef LOAM_CHAT_FORMAT_H
#define LOAM_CHAT_FORMAT_H

#include "chat/run.h"

// [[fill]align][sign][#][0][width][grouping][.precision][type]
struct chat_specification {
    uint32_t fill; // character; 0: a blank
    char align;    // '<', '>', '^', '=' or 0
    char sign;     // '+', '-', ' ' or 0
    bool alternative;
    char grouping;            // ',', '_' or 0
    int64_t width, precision; // -1: none
    char type;                // 0: by the value
};
// Appends a number or a string in that form.
enum loam_status chat_format_integer(struct chat_run *run, struct chat_text *text, int64_t value,
                                     uint32_t origin, const struct chat_specification *form);
enum loam_status chat_format_float(struct chat_run *run, struct chat_text *text, double value,
                                   uint32_t origin, const struct chat_specification *form);
enum loam_status chat_format_string(struct chat_run *run, struct chat_text *text,
                                    const struct chat_string *string, const struct chat_specification *form);

enum { CHAT_LARGEST_WIDTH = 100000 }; // characters

#endif
