// Where a model's chat template is.
#ifndef LOAM_CHAT_SOURCE_H
#define LOAM_CHAT_SOURCE_H

#include <jansson.h>

#include "chat/template.h"

// A template that loam has for models without one.
struct loam_chat_builtin {
    const char *name;
    const char *text;
    const char *end; // the token that ends the assistant's turn; NULL: the model's EOS
};
// The built-in template of that name, and each by index; NULL: there is none.
const struct loam_chat_builtin *loam_chat_builtin_find(const char *name);
const struct loam_chat_builtin *loam_chat_builtin_at(size_t index);

struct loam_chat_source {
    struct loam_chat_template *chat_template;
    char *origin; // the file, with the name of the template if it has several; or the name of a built-in one
    // the token that ends the assistant's turn, of a built-in template; NULL: not known from here
    const char *end;
    struct loam_bytes text; // the template as it was read
    json_t *variables;      // bos_token and the like from tokenizer_config.json, for loam_chat_input
    bool is_for_tools;      // the template is the one named tool_use
    // the one named tool_use, for conversations with tools; NULL: there is no other
    struct loam_chat_source *for_tools;
    // why the one named tool_use cannot be used; NULL: it can, or there is none
    struct loam_error *tools_refusal;
};

// Finds the template of a model directory. `name` NULL: chat_template.jinja, or the chat_template of
// tokenizer_config.json; of several, with `has_tools` the one named tool_use, else the one named default, and `for_tools` has
// the other one. Otherwise `name` is, in this order, one of the model's templates, a built-in one, or a file: Jinja, or
// GGUF with a template in its metadata (chat/source_gguf.h). A model without any template is LOAM_ERROR_UNSUPPORTED, and
// the message names what there is.
enum loam_status loam_chat_source_find(struct loam_chat_source *source, const char *model_directory,
                                       const char *name, bool has_tools, struct loam_error *error);
void loam_chat_source_deinit(struct loam_chat_source *source);
// The file of a directory that has the template, "chat_template.jinja".
extern const char loam_chat_source_file[];
// Sets `*path`, released with free(), to the chat_template.jinja of an adapter's directory if it is another than that of
// the model's directory: the adapter was trained with it. NULL: there is none, or it is the same.
enum loam_status loam_chat_source_of_adapter(const char *model_directory, const char *adapter_directory,
                                             char **path, struct loam_error *error);

// The template of a conversation with these tools, as transformers' get_chat_template chooses it; NULL: it has none.
enum loam_status loam_chat_source_choose(const struct loam_chat_source *source, const json_t *tools,
                                         const struct loam_chat_source **chosen, struct loam_error *error);

#endif
