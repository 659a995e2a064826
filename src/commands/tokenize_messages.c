#include "commands/tokenize_messages.h"

#include <string.h>
#include <time.h>

#include "commands/messages.h"

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

enum loam_status loam_chat_tokens_encode(struct loam_chat_tokens *tokens, const char *text, size_t size,
                                         const char *name, bool is_prompt, struct loam_error *error)
{
    struct loam_messages messages = {0};
    enum loam_example_fate fate;
    enum loam_status status = loam_messages_parse(&messages, text, size, name, NULL, error);
    const struct loam_conversation conversation = {.messages = messages.items, .tools = messages.tools};
    tokens->options.name = name;
    if (status == LOAM_OK)
        status = is_prompt ? loam_chat_prompt_build(&tokens->example, &conversation, &tokens->options,
                                                    &tokens->work, error)
                           : loam_chat_example_build(&tokens->example, &conversation, &tokens->options,
                                                     &tokens->work, &fate, error);
    loam_messages_deinit(&messages);
    return status;
}
