// Prompt templates: text with {field} placeholders; {eos} is the model's own end of sequence, {{ and }} are braces.
#ifndef LOAM_TEXT_TEMPLATE_H
#define LOAM_TEXT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct loam_template;

// `text` need not outlive the call. `name` is how messages call it ("squad", a file name). A template without any field is refused.
enum loam_status loam_template_parse(struct loam_template **out, const char *text, size_t size, const char *name,
                                     struct loam_error *error);
// The built-in template of that name ("squad"), or the file of that path.
enum loam_status loam_template_open(struct loam_template **out, const char *name_or_path, struct loam_error *error);
void loam_template_destroy(struct loam_template *prompt_template);

struct loam_field {
    const char *name;
    const char *value;
    size_t size; // bytes of value
};

// Byte spans in the rendered text, for the label mask and for cutting what is too long.
struct loam_rendered {
    struct loam_bytes text;
    size_t completion_start; // first byte of the last field's value
    size_t context_start;    // span of the first field's value (what may be cut from its left)
    size_t context_end;
};
void loam_rendered_deinit(struct loam_rendered *rendered);

// Renders into `rendered` (contents replaced). `eos_text` is the model's EOS token as text ("</s>"), or "" if none.
// A field that the template names and `fields` lacks is an error naming it. With `prompt_only` rendering stops where the last field (the completion) begins.
enum loam_status loam_template_render(const struct loam_template *prompt_template, const struct loam_field *fields,
                                      size_t field_count, const char *eos_text, bool prompt_only,
                                      struct loam_rendered *rendered, struct loam_error *error);

#endif
