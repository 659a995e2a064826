// A command's output, through the text callback, and what helps to form it.
#ifndef LOAM_COMMANDS_OUTPUT_H
#define LOAM_COMMANDS_OUTPUT_H

#include "base/bytes.h"
#include "base/json.h"

// LOAM_ERROR_STOPPED when the callback wants no more.
enum loam_status loam_output_bytes(const struct loam_callbacks *callbacks, const char *text, size_t size,
                                   struct loam_error *error);
// One document and a line break; `flags` are jansson's (JSON_INDENT(2)). Takes `root` over; NULL means that
// it could not be built for want of memory.
enum loam_status loam_output_json(const struct loam_callbacks *callbacks, json_t *root, size_t flags,
                                  struct loam_error *error);
// A number, or null when it is not finite.
json_t *loam_json_number(double value);
// "1,722,408,960"
enum { LOAM_GROUPED_SIZE = 32 };
const char *loam_grouped(int64_t number, char text[LOAM_GROUPED_SIZE]);

#endif
