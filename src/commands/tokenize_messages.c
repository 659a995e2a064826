#include "commands/tokenize_messages.h"

#include <string.h>
#include <time.h>

#include "base/json_read.h"

enum loam_status loam_chat_tokens_open(struct loam_chat_tokens *tokens, const char *model_directory,
                                       const char *name, const struct loam_tokenizer *tokenizer,
                                       const struct loam_special_tokens *special, struct loam_error *error)
{
    const time_t now = time(NULL);
    tokens->options = (struct loam_chat_options){
        .source = &tokens->source,
        .tokenizer = tokenizer,
        .special = special,
        .max_length = INT32_MAX,
        .vocabulary = INT32_MAX,
    };
    if (localtime_r(&now, &tokens->options.now) == NULL)
        return loam_fail(error, LOAM_ERROR_IO, "the clock has no date for a chat template");
    return loam_chat_source_find(&tokens->source, model_directory, name, false, error);
}

void loam_chat_tokens_deinit(struct loam_chat_tokens *tokens)
{
    loam_chat_source_deinit(&tokens->source);
    loam_chat_work_deinit(&tokens->work);
    loam_example_deinit(&tokens->example);
}

static enum loam_status encode_root(struct loam_chat_tokens *tokens, const json_t *root, const char *name,
                                    bool is_prompt, struct loam_error *error)
{
    const json_t *messages = json_is_array(root) ? root : json_object_get(root, "messages");
    const json_t *tools = json_object_get(root, "tools");
    if (json_array_size(messages) == 0)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: expected a JSON array of at least one message, or an object with it as \"messages\"", name);
    if (tools != NULL && !json_is_null(tools) && !json_is_array(tools))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"tools\" must be an array", name);
    const struct loam_conversation conversation = {.messages = messages,
                                                   .tools = json_is_array(tools) ? tools : NULL};
    enum loam_example_fate fate;
    tokens->options.name = name;
    if (is_prompt)
        return loam_chat_prompt_build(&tokens->example, &conversation, &tokens->options, &tokens->work,
                                      error);
    return loam_chat_example_build(&tokens->example, &conversation, &tokens->options, &tokens->work, &fate,
                                   error);
}

enum loam_status loam_chat_tokens_encode(struct loam_chat_tokens *tokens, const char *text, size_t size,
                                         const char *name, bool is_prompt, struct loam_error *error)
{
    const size_t mark = loam_byte_order_mark(text, size);
    json_t *root = loam_json_read(text + mark, size - mark, name, error);
    if (root == NULL) return loam_failure(error);
    enum loam_status status = encode_root(tokens, root, name, is_prompt, error);
    json_decref(root);
    return status;
}
