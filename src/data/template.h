// Prompt templates: text with {field} placeholders; {eos} is the model's own end of sequence, {{ and }} are
// braces. A field's name is made of letters, digits, '_', '-', '.' and any characters beyond ASCII.
#ifndef LOAM_DATA_TEMPLATE_H
#define LOAM_DATA_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "text/special.h"

// The most bytes of one text, be it an example or a prompt. What is longer is a file that was not split, and
// would take minutes and gigabytes to find that out.
enum { LOAM_TEXT_LIMIT = 16 << 20 };

struct loam_template;

// `text` need not outlive the call. `name` is how messages call it ("squad", a file name). A template without
// any field is refused.
enum loam_status loam_template_parse(struct loam_template **out, const char *text, size_t size,
                                     const char *name, struct loam_error *error);
// The built-in template of that name ("squad"), or the file of that path, whose last line break (editors end
// a file with one) does not count.
enum loam_status loam_template_open(struct loam_template **out, const char *name_or_path,
                                    struct loam_error *error);
bool loam_template_is_built_in(const char *name);
void loam_template_destroy(struct loam_template *prompt_template);

// The distinct fields in the order in which the template first names them; {eos} is none of them.
size_t loam_template_field_count(const struct loam_template *prompt_template); // at least 1
const char *loam_template_field_name(const struct loam_template *prompt_template, size_t index);
// How many of them, from the first on, stand before the completion: what a prompt needs.
size_t loam_template_prompt_field_count(const struct loam_template *prompt_template);

struct loam_field {
    const char *name;
    const char *value;
    size_t size; // bytes of value
};

// Byte spans in the rendered text, for the label mask and for cutting what is too long.
struct loam_rendered {
    struct loam_bytes text;
    size_t completion_start; // first byte of the last field's value
    size_t context_start;    // span of the longest field before it, else of the only field (what may be cut)
    size_t context_end;
    struct loam_mark *marks; // [mark_count] where {eos} stands
    size_t mark_count;
    size_t mark_capacity;
};
void loam_rendered_deinit(struct loam_rendered *rendered);

// Renders into `rendered` (contents replaced). {eos} becomes the text of EOS and a mark that gives its id; a
// template that has it is refused where `special` has no EOS. NULL: {eos} stands for nothing. A field that
// the template names and `fields` lacks is an error naming it and the fields there are. With `prompt_only`
// rendering stops where the last field (the completion) begins, so that field need not be there.
enum loam_status loam_template_render(const struct loam_template *prompt_template,
                                      const struct loam_field *fields, size_t field_count,
                                      const struct loam_special_tokens *special, bool prompt_only,
                                      struct loam_rendered *rendered, struct loam_error *error);

#endif
