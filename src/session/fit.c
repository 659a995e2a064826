#include "session/fit.h"

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "base/machine.h"

struct fitting {
    const struct loam_session_options *options;
    struct loam_device *device;
    loam_session_prepare *prepare;
    void *user;
    size_t limit; // bytes of the device
    const char *limited_by;
    size_t on_host; // bytes of the offloaded layers that were measured last
};

static void set_limit(struct fitting *fitting)
{
    const int64_t wanted = fitting->options->device_memory_limit;
    const struct loam_free_memory memory = loam_device_free_memory(fitting->device);
    const bool given = wanted > 0;
    fitting->limited_by = given ? "--device-memory-limit" : memory.by;
    if (given)
        fitting->limit = wanted < INT64_MAX ? (size_t)wanted : SIZE_MAX;
    else
        fitting->limit = loam_device_usable(memory.bytes);
}

// The most bytes of the device that are taken at a time with so many layers in the host's memory, and the bytes of these.
static enum loam_status measure(struct fitting *fitting, int64_t offloaded, size_t *bytes,
                                struct loam_error *error)
{
    struct loam_session planned;
    struct loam_session_options options = *fitting->options;
    options.planning = options.without_text = true;
    options.opened = fitting->device;
    options.callbacks = NULL;
    options.offload = offloaded;
    LOAM_TRY(loam_session_open(&planned, &options, error));
    enum loam_status status = loam_session_load(&planned, false, error);
    if (status == LOAM_OK) status = fitting->prepare(fitting->user, &planned, error);
    *bytes = loam_device_planned_peak(planned.device);
    fitting->on_host = planned.model->offload != NULL ? planned.model->offload->host.capacity : 0;
    loam_session_close(&planned);
    return status;
}

static enum loam_status fail(const struct fitting *fitting, int64_t offloaded, size_t bytes,
                             struct loam_error *error)
{
    char layers[64] = "", needed[LOAM_MEMORY_SIZE], limit[LOAM_MEMORY_SIZE];
    const bool all = fitting->options->offload == LOAM_OFFLOAD_AUTO;
    if (offloaded > 0)
        (void)snprintf(layers, sizeof layers, " with %s%lld layers offloaded", all ? "all " : "",
                       (long long)offloaded);
    loam_memory_format_both(bytes, fitting->limit, needed, limit);
    return loam_fail(error, LOAM_ERROR_MEMORY, "this needs %s of memory of the device%s, and %s allows %s%s",
                     needed, layers, fitting->limited_by, limit,
                     all ? "; shorter sequences or smaller batches need less"
                         : "; --offload auto offloads as many as needed");
}

// Finds the fewest layers with which it fits; `most` do.
static enum loam_status find_fewest(struct fitting *fitting, int64_t most, int64_t *fewest,
                                    struct loam_error *error)
{
    int64_t low = 0;
    *fewest = most;
    while (*fewest - low > 1) {
        const int64_t middle = low + (*fewest - low) / 2;
        size_t bytes;
        LOAM_TRY(measure(fitting, middle, &bytes, error));
        if (bytes <= fitting->limit)
            *fewest = middle;
        else
            low = middle;
    }
    return LOAM_OK;
}

static enum loam_status check_host(const struct fitting *fitting, struct loam_error *error)
{
    char needed[LOAM_MEMORY_SIZE], limit[LOAM_MEMORY_SIZE];
    const struct loam_machine_memory memory = loam_machine_measure_memory("");
    if (fitting->on_host <= memory.available) return LOAM_OK;
    loam_memory_format_both(fitting->on_host, memory.available, needed, limit);
    return loam_fail(
        error, LOAM_ERROR_MEMORY,
        "the layers that the device has no room for need %s of the host's memory, and %s allows %s", needed,
        memory.by, limit);
}

void loam_session_tell_host_memory(const struct loam_session *session, const char *asked, int64_t offload,
                                   int64_t limit)
{
    const bool told = asked != NULL && strcmp(asked, "cpu") == 0;
    if (told || !session->device->host_memory || (offload <= 0 && limit <= 0)) return;
    loam_log_write(session->log, LOAM_LOG_WARNING,
                   "--offload and --device-memory-limit have no effect on device %s, which computes in the "
                   "host's memory",
                   session->device->name);
}

enum loam_status loam_session_fit(struct loam_session *session, const struct loam_session_options *options,
                                  loam_session_prepare *prepare, void *user, struct loam_error *error)
{
    struct fitting fitting = {
        .options = options, .device = session->device, .prepare = prepare, .user = user};
    const bool chosen = options->offload != LOAM_OFFLOAD_AUTO;
    const int64_t layers = session->model->config.layers;
    size_t *fitted = &session->fitted;
    loam_session_tell_host_memory(session, options->device, options->offload, options->device_memory_limit);
    if (session->device->host_memory) return LOAM_OK;
    set_limit(&fitting);
    session->offloaded = chosen ? options->offload : 0;
    LOAM_TRY(measure(&fitting, session->offloaded, fitted, error));
    if (*fitted <= fitting.limit) return check_host(&fitting, error);
    if (chosen) return fail(&fitting, session->offloaded, *fitted, error);
    LOAM_TRY(measure(&fitting, layers, fitted, error));
    if (*fitted > fitting.limit) return fail(&fitting, layers, *fitted, error);
    LOAM_TRY(find_fewest(&fitting, layers, &session->offloaded, error));
    LOAM_TRY(measure(&fitting, session->offloaded, fitted, error));
    return check_host(&fitting, error);
}
