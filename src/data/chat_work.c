#include "data/chat_work.h"

#include <stdlib.h>

void loam_chat_work_deinit(struct loam_chat_work *work)
{
    loam_chat_rendering_deinit(&work->rendering);
    loam_encoding_deinit(&work->encoding);
    loam_prompt_deinit(&work->prompt);
    loam_chat_turns_deinit(&work->turns);
    loam_bytes_deinit(&work->header);
    free(work->weights);
    free(work->roles);
    free(work->plain);
    free(work->reserved);
    *work = (struct loam_chat_work){0};
}

size_t loam_chat_work_bytes(const struct loam_chat_work *work)
{
    const size_t whole = work->encoding.work_bytes, prompt = work->prompt.encoding.work_bytes;
    return whole > prompt ? whole : prompt;
}
