#include "session/prompt.h"

void loam_session_prompt_deinit(struct loam_session_prompt *prompt)
{
    loam_rendered_deinit(&prompt->rendered);
    loam_example_deinit(&prompt->example);
    loam_example_work_deinit(&prompt->work);
    loam_healing_deinit(&prompt->healing);
    loam_chat_work_deinit(&prompt->chat);
}

static enum loam_status check_vocabulary(const struct loam_example *example, int64_t vocabulary,
                                         struct loam_error *error)
{
    for (int32_t i = 0; i < example->count; i++)
        if (example->ids[i] >= vocabulary)
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "token %d of the prompt is id %d, but the model's vocabulary has %lld", i,
                             example->ids[i], (long long)vocabulary);
    return LOAM_OK;
}

enum loam_status loam_session_prompt_encode(const struct loam_session *session,
                                            struct loam_session_prompt *prompt, int32_t max_length,
                                            struct loam_error *error)
{
    const struct loam_bytes *text = &prompt->rendered.text;
    LOAM_TRY(loam_bytes_reserve(&prompt->rendered.text, 1, error)); // text->data must not be NULL
    LOAM_TRY(loam_example_build_prompt(&prompt->example, &prompt->rendered, session->tokenizer,
                                       &session->special, max_length, &prompt->work, error));
    const size_t cut = prompt->work.prompt.cut;
    LOAM_TRY(
        loam_healing_begin(&prompt->healing, session->tokenizer, text->data + cut, text->size - cut, error));
    return check_vocabulary(&prompt->example, session->model->config.vocabulary, error);
}

enum loam_status loam_session_chat_encode(const struct loam_session *session,
                                          struct loam_session_prompt *prompt,
                                          const struct loam_conversation *conversation, int32_t max_length,
                                          struct loam_error *error)
{
    struct loam_chat_options options;
    LOAM_TRY(loam_session_chat(session, &options, error));
    options.too_long = LOAM_TOO_LONG_CUT;
    options.max_length = max_length;
    LOAM_TRY(loam_chat_prompt_build(&prompt->example, conversation, &options, &prompt->chat, error));
    const struct loam_bytes *text = &prompt->chat.rendering.text;
    const size_t cut = prompt->chat.prompt.cut;
    return loam_healing_begin(&prompt->healing, session->tokenizer, text->data + cut, text->size - cut,
                              error);
}
