// The chat templates in the metadata of a GGUF file.
#ifndef LOAM_CHAT_SOURCE_GGUF_H
#define LOAM_CHAT_SOURCE_GGUF_H

#include "base/bytes.h"

// Appends a template of a GGUF file to `text` and sets `*origin`, released with free(). `value` is FILE or FILE:NAME.
// Without a name: with `has_tools` the template named tool_use, where there is one, else the one without a name. Where
// FILE is no GGUF file, nothing is done, and `*origin` is NULL.
enum loam_status loam_chat_source_gguf(const char *value, bool has_tools, struct loam_bytes *text,
                                       char **origin, struct loam_error *error);

#endif
