// Chat templates: the Jinja that model repositories use, with the results of Python's jinja2 as transformers sets it
// up. Every piece of the output remembers where it comes from.
#ifndef LOAM_CHAT_TEMPLATE_H
#define LOAM_CHAT_TEMPLATE_H

#include "base/bytes.h"
#include "chat/conversation.h"

struct loam_chat_template; // immutable; threads may share it

// Parses a template. `name`, such as a file name, stands in front of messages, which also name the line.
enum loam_status loam_chat_template_parse(struct loam_chat_template **out, const char *text, size_t size,
                                          const char *name, struct loam_error *error);
void loam_chat_template_destroy(struct loam_chat_template *chat_template);

// Whether the template marks the text that an assistant generates by {% generation %}.
bool loam_chat_template_has_generation(const struct loam_chat_template *chat_template);

// Whether a piece of the template's own text contains `text`.
bool loam_chat_template_writes(const struct loam_chat_template *chat_template, const char *text, size_t size);

// A piece of the output. Its bytes begin where those of the span before it end.
struct loam_chat_span {
    size_t end;
    bool is_input;     // from messages, tools or documents; false: the template's own text
    bool is_generated; // inside {% generation %}
    int32_t message;   // index of the message that it comes from; -1: none
    // The key of the message, such as "role" or "content", and the role. Both belong to the input; NULL if there is no
    // message.
    const char *field;
    const char *role;
};

struct loam_chat_rendering {
    struct loam_bytes text;
    struct loam_chat_span *spans; // [span_count]; they cover the text
    size_t span_count, span_capacity;
};

// Replaces the contents of `rendering`. Where the template refuses its input by raise_exception, the message has the
// template's words. A rendering is bounded in steps, nesting, memory and output.
enum loam_status loam_chat_template_render(const struct loam_chat_template *chat_template,
                                           const struct loam_chat_input *input,
                                           struct loam_chat_rendering *rendering, struct loam_error *error);
void loam_chat_rendering_deinit(struct loam_chat_rendering *rendering);

#endif
