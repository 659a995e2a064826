// Prompt templates: text with placeholders {field}. {eos} is the model's end of sequence; {{ and }} are
// braces. The name of a field has letters, digits, '_', '-', '.' and characters beyond ASCII.
#ifndef LOAM_DATA_TEMPLATE_H
#define LOAM_DATA_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "text/special.h"

// Most bytes of an example or a prompt. A longer text is usually a file that was not split into examples;
// encoding it would take minutes and gigabytes.
enum { LOAM_TEXT_LIMIT = 16 << 20 };

struct loam_template;

// Copies `text`. `name` is its name in messages: "squad", or a path. A template without a field is refused.
enum loam_status loam_template_parse(struct loam_template **out, const char *text, size_t size,
                                     const char *name, struct loam_error *error);
// Opens the built-in template of that name ("squad") or the file at that path. The line break at the end of
// a file, which editors add, is left out.
enum loam_status loam_template_open(struct loam_template **out, const char *name_or_path,
                                    struct loam_error *error);
bool loam_template_is_built_in(const char *name);
void loam_template_destroy(struct loam_template *prompt_template);

// The distinct fields, in the order in which the template first names them. {eos} is not a field.
size_t loam_template_field_count(const struct loam_template *prompt_template); // at least 1
const char *loam_template_field_name(const struct loam_template *prompt_template, size_t index);
// Number of fields, from the first on, that stand before the completion: the fields of a prompt.
size_t loam_template_prompt_field_count(const struct loam_template *prompt_template);

// Chooses the field that a long text loses its tokens from, instead of the longest one before the completion. A name that
// is no such field is an error that lists them.
enum loam_status loam_template_choose_cut(struct loam_template *prompt_template, const char *field,
                                          struct loam_error *error);

struct loam_field {
    const char *name;
    const char *value;
    size_t size; // bytes of value
};

// NAME=VALUE pairs, such as the values of an option; names are distinct.
struct loam_field_list {
    struct loam_field *items; // [count]
    size_t count;
    size_t capacity;
};

// A rendered text, with byte spans for the weights of tokens and for cutting a long example.
struct loam_rendered {
    struct loam_bytes text;
    size_t completion_start; // first byte of the last field's value
    // Span that may be cut: the chosen field, else the longest one before the completion, else the only one.
    size_t context_start;
    size_t context_end;
    struct loam_mark *marks; // [mark_count] spans of {eos}
    size_t mark_count;
    size_t mark_capacity;
};
void loam_rendered_deinit(struct loam_rendered *rendered);

// Renders the template and replaces the contents of `rendered`. {eos} becomes the text of EOS and a mark
// with its id. It is an error if `special` has no EOS; with `special` NULL {eos} becomes nothing. A field of
// the template that is not in `fields` is an error that names it and the existing fields. With `prompt_only`
// rendering stops before the last field (the completion), which need not exist then.
enum loam_status loam_template_render(const struct loam_template *prompt_template,
                                      const struct loam_field *fields, size_t field_count,
                                      const struct loam_special_tokens *special, bool prompt_only,
                                      struct loam_rendered *rendered, struct loam_error *error);

#endif
