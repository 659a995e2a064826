#include "session/preflight.h"

static struct loam_preflight_input make_input(const struct loam_session *session,
                                              const struct loam_session_sets *sets)
{
    return (struct loam_preflight_input){
        .model_directory = session->directory,
        .tokenizer = session->tokenizer,
        .special = &session->special,
        .vocabulary = (int32_t)session->model->config.vocabulary,
        .max_length = session->max_length,
        .chat = loam_dataset_has_chats(sets->dataset) ? &session->chat : NULL,
        .dataset = sets->dataset,
        .eval_dataset = sets->eval_dataset,
    };
}

enum loam_status loam_session_preflight(const struct loam_session *session,
                                        const struct loam_session_sets *sets,
                                        struct loam_preflight *preflight, struct loam_error *error)
{
    const struct loam_preflight_input input = make_input(session, sets);
    return loam_preflight_run(preflight, &input, error);
}

enum loam_status loam_session_preflight_loaded(const struct loam_session *session,
                                               const struct loam_session_sets *sets,
                                               struct loam_preflight *preflight, struct loam_error *error)
{
    const struct loam_preflight_input input = make_input(session, sets);
    return loam_preflight_run_loaded(preflight, &input, session->model, error);
}

void loam_session_log_findings(const struct loam_session *session, const struct loam_preflight *preflight,
                               size_t first)
{
    for (size_t i = first; i < preflight->count; i++)
        loam_log_write(session->log, LOAM_LOG_WARNING, "%s [%s]", preflight->findings[i].message,
                       preflight->findings[i].check);
}
