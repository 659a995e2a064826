// Writes a command's output through the text callback.
#ifndef LOAM_COMMANDS_OUTPUT_H
#define LOAM_COMMANDS_OUTPUT_H

#include "base/bytes.h"
#include "base/json.h"

// LOAM_ERROR_STOPPED: the callback refused the text.
enum loam_status loam_output_bytes(const struct loam_callbacks *callbacks, const char *text, size_t size,
                                   struct loam_error *error);
// Writes a JSON document and a line break. `flags` are those of jansson (JSON_INDENT(2)). Takes over `root`;
// NULL is LOAM_ERROR_MEMORY, the only reason for which building a document fails.
enum loam_status loam_output_json(const struct loam_callbacks *callbacks, json_t *root, size_t flags,
                                  struct loam_error *error);
// A number; null if it is not finite.
json_t *loam_json_number(double value);
// Writes a number with separators, "1,722,408,960", and returns `text`.
enum { LOAM_GROUPED_SIZE = 32 };
const char *loam_grouped(int64_t number, char text[LOAM_GROUPED_SIZE]);

#endif
