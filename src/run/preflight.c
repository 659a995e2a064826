#include "run/preflight.h"

#include <string.h>

static struct loam_session_sets list_sets(const struct loam_train_job *job)
{
    return (struct loam_session_sets){.dataset = job->dataset, .eval_dataset = job->eval_dataset};
}

static enum loam_status judge(const struct loam_train_job *job, const struct loam_preflight *preflight,
                              size_t first, struct loam_error *error)
{
    loam_session_log_findings(&job->session, preflight, first);
    return job->settings->preflight == LOAM_PREFLIGHT_STRICT ? loam_preflight_require(preflight, error)
                                                             : LOAM_OK;
}

enum loam_status loam_train_preflight(const struct loam_train_job *job, struct loam_preflight *preflight,
                                      struct loam_error *error)
{
    const struct loam_session_sets sets = list_sets(job);
    if (job->settings->preflight == LOAM_PREFLIGHT_OFF) return LOAM_OK;
    LOAM_TRY(loam_session_preflight(&job->session, &sets, preflight, error));
    loam_log_write(job->log, LOAM_LOG_INFO, "preflight: %zu checks, %zu of %zu %s looked at, %zu %s",
                   preflight->checked, preflight->looked, loam_dataset_count(job->dataset),
                   loam_dataset_counts(job->dataset).split > 0 ? "examples" : "records", preflight->count,
                   preflight->count == 1 ? "finding" : "findings");
    return judge(job, preflight, 0, error);
}

// Whether the run trains the embedding or rows of it, as a whole or by an adapter.
static bool trains_embedding(const struct loam_train_job *job)
{
    const char *path = job->session.model->embedder.path;
    if (job->settings->full) return true;
    for (size_t i = 0; i < job->trainables.count; i++) {
        const char *found = strstr(job->trainables.items[i].name, path);
        if (found != NULL && found[strlen(path)] == '.') return true;
    }
    return false;
}

enum loam_status loam_train_preflight_loaded(const struct loam_train_job *job,
                                             struct loam_preflight *preflight, struct loam_error *error)
{
    const struct loam_session_sets sets = list_sets(job);
    const size_t first = preflight->count;
    if (job->settings->preflight == LOAM_PREFLIGHT_OFF || trains_embedding(job)) return LOAM_OK;
    LOAM_TRY(loam_session_preflight_loaded(&job->session, &sets, preflight, error));
    return judge(job, preflight, first, error);
}
