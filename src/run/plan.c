#include "run/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/file.h"
#include "base/log.h"
#include "base/machine.h"
#include "session/fit.h"

// Bytes that a process takes after its examples are open, beyond its arenas, as measured in
// docs/measurements/memory.md: code and tables of libraries that the first step touches, the primitives and
// packed blocks of the matrix library, and stacks of threads.
enum { PROCESS_GROWTH = 12 << 20, THREAD_GROWTH = 4 << 20 };

// Bytes of an entry of a tokenizer's vocabulary, with its merge.
enum { TOKENIZER_ENTRY = 120 };

// Opens the tokenizer. If there is none, sets `*estimate` to the bytes of a tokenizer of that vocabulary.
static enum loam_status open_tokenizer(const struct loam_session *session, struct loam_tokenizer **tokenizer,
                                       size_t *estimate, struct loam_error *error)
{
    char *path = loam_path_join(session->directory, "tokenizer.json", error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    if (loam_file_exists(path))
        status = loam_tokenizer_load(tokenizer, path, error);
    else
        *estimate = TOKENIZER_ENTRY * (size_t)session->model->config.vocabulary;
    free(path);
    return status;
}

// Returns the resident memory of the process plus what reading an example takes temporarily.
static size_t count_process_bytes(const struct loam_train_job *job)
{
    return loam_machine_measure_memory("").resident + loam_train_job_reading_bytes(job);
}

enum loam_status loam_plan_process(const struct loam_train_settings *settings, size_t *process,
                                   size_t *examples, struct loam_error *error)
{
    struct loam_train_job job = {0};
    struct loam_tokenizer *tokenizer = NULL;
    size_t estimate = 0;
    enum loam_status status = loam_train_job_open(&job, settings, NULL, error);
    if (status == LOAM_OK && settings->data.count == 0)
        status = open_tokenizer(&job.session, &tokenizer, &estimate, error);
    *process = count_process_bytes(&job) + estimate;
    *examples = job.order.count;
    loam_tokenizer_destroy(tokenizer);
    loam_train_job_close(&job);
    return status;
}

// Adds up the parts of each place.
static void sum_places(struct loam_plan *plan)
{
    const size_t computing = plan->weights_mapped + plan->weights_converted + plan->trained +
                             plan->gradients + plan->optimiser + plan->activations + plan->scratch;
    plan->peak = plan->process + plan->weights_offloaded + (plan->has_device ? 0 : computing);
    plan->device_peak = plan->has_device ? computing : 0;
}

static void measure_plan(struct loam_plan *plan, const struct loam_train_job *job)
{
    const struct loam_model *model = job->session.model;
    const struct loam_trainables *set = &job->trainables;
    struct loam_decoder_bytes decoder = loam_decoder_bytes(job->trainer.decoder), answerer = {0};
    if (job->answerer != NULL) answerer = loam_answerer_bytes(job->answerer);
    plan->weights_mapped = model->mapped_bytes;
    plan->weights_converted = model->arena.capacity;
    plan->gradients = loam_tensor_bytes(&set->gradients);
    plan->optimiser = 2 * plan->gradients;
    plan->trained =
        set->arena.capacity - plan->gradients - plan->optimiser + loam_adapter_held_bytes(job->adapter);
    plan->activations = decoder.step + answerer.step + answerer.cache;
    plan->scratch = decoder.scratch + answerer.scratch + job->trainer.optimiser.arena.capacity +
                    job->trainer.optimiser.stream.scratch.capacity;
    plan->dtype = job->session.dtype;
    plan->max_length = job->session.max_length;
    plan->token_budget = job->session.token_budget;
    plan->free = loam_device_free_memory(job->session.device);
    int threads = job->session.device->threads;
    plan->process += PROCESS_GROWTH + (size_t)threads * THREAD_GROWTH;
    plan->has_device = !job->session.device->host_memory;
    plan->layers = model->config.layers;
    if (model->offload != NULL) {
        plan->offloaded = model->offload->count;
        plan->weights_offloaded = model->offload->host.capacity;
        plan->ring = loam_offload_ring_bytes(model->offload);
    }
    sum_places(plan);
}

static enum loam_status open_and_load(struct loam_train_job *job, const struct loam_train_settings *settings,
                                      size_t examples, struct loam_error *error)
{
    size_t batch = (size_t)settings->batch_size * (size_t)settings->accumulation;
    LOAM_TRY(loam_train_job_open(job, settings, NULL, error));
    job->order.count = examples > 0 ? examples : batch;
    return loam_train_job_load(job, error);
}

static enum loam_status plan_offloaded(struct loam_plan *plan, const struct loam_train_settings *settings,
                                       size_t process, size_t examples, int64_t offloaded,
                                       struct loam_error *error)
{
    struct loam_train_settings without_text = *settings;
    without_text.data.count = 0;
    without_text.offload = offloaded;
    struct loam_train_job job = {.planning = true};
    *plan = (struct loam_plan){
        .process = process, .checkpointing = settings->checkpointing, .full = settings->full};
    enum loam_status status = open_and_load(&job, &without_text, examples, error);
    if (status == LOAM_OK) measure_plan(plan, &job);
    loam_train_job_close(&job);
    return status;
}

static bool fits_device(const struct loam_train_settings *settings, const struct loam_plan *plan)
{
    return plan->device_peak <= loam_plan_limit(settings, plan).device_bytes;
}

// Replaces a plan that does not fit the device by the one with the fewest offloaded layers that does, or by that with all
// of them. The plan shrinks with each layer beyond those that the ring has room for.
static enum loam_status offload_fewest(struct loam_plan *plan, const struct loam_train_settings *settings,
                                       size_t process, size_t examples, struct loam_error *error)
{
    int64_t low = 0, high = plan->layers;
    LOAM_TRY(plan_offloaded(plan, settings, process, examples, high, error));
    if (!fits_device(settings, plan)) return LOAM_OK;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        struct loam_plan tried;
        LOAM_TRY(plan_offloaded(&tried, settings, process, examples, middle, error));
        if (fits_device(settings, &tried)) {
            high = middle;
            *plan = tried;
        } else {
            low = middle;
        }
    }
    return LOAM_OK;
}

enum loam_status loam_plan_make(struct loam_plan *plan, const struct loam_train_settings *settings,
                                size_t process, size_t examples, struct loam_error *error)
{
    const bool chosen = settings->offload != LOAM_OFFLOAD_AUTO;
    LOAM_TRY(plan_offloaded(plan, settings, process, examples, chosen ? settings->offload : 0, error));
    if (chosen || settings->full || fits_device(settings, plan)) return LOAM_OK;
    return offload_fewest(plan, settings, process, examples, error);
}

enum loam_status loam_plan_count(struct loam_trace *trace, const struct loam_train_settings *settings,
                                 size_t examples, struct loam_error *error)
{
    struct loam_train_settings without_text = *settings;
    without_text.data.count = 0;
    struct loam_train_job job = {.planning = true};
    enum loam_status status = open_and_load(&job, &without_text, examples, error);
    if (status == LOAM_OK)
        status = loam_decoder_count(job.trainer.decoder, job.session.max_length, trace, error);
    loam_train_job_close(&job);
    return status;
}

// ---- limits ----

struct loam_plan_limit loam_plan_limit(const struct loam_train_settings *settings,
                                       const struct loam_plan *plan)
{
    const struct loam_machine_memory machine = loam_machine_measure_memory("");
    const struct loam_free_memory host =
        plan->has_device ? (struct loam_free_memory){machine.available, machine.by} : plan->free;
    struct loam_plan_limit limit = {
        .bytes = SIZE_MAX, .by = host.by, .resident = machine.resident, .device_bytes = SIZE_MAX};
    if (settings->memory_limit > 0) {
        limit.by = "--memory-limit";
        if (settings->memory_limit < INT64_MAX) limit.bytes = (size_t)settings->memory_limit;
    } else if (host.bytes < SIZE_MAX - limit.resident) {
        limit.bytes = host.bytes + limit.resident;
    }
    if (!plan->has_device) return limit;
    limit.device_by = plan->free.by;
    if (settings->device_memory_limit > 0) {
        limit.device_by = "--device-memory-limit";
        if (settings->device_memory_limit < INT64_MAX)
            limit.device_bytes = (size_t)settings->device_memory_limit;
    } else {
        limit.device_bytes = loam_device_usable(plan->free.bytes);
    }
    return limit;
}

bool loam_plan_fits(const struct loam_plan *plan, const struct loam_plan_limit *limit)
{
    return plan->peak <= limit->bytes && (!plan->has_device || plan->device_peak <= limit->device_bytes);
}

// ---- advice ----

enum { PROCESS_VARIATION = 4 << 20 }; // bytes by which equal runs differ; advice keeps this margin

static const char *const level_names[] = {
    [LOAM_CHECKPOINT_NONE] = "none", [LOAM_CHECKPOINT_MLP] = "mlp", [LOAM_CHECKPOINT_BLOCK] = "block"};

// Writes the options in which `changed` differs from the requested run.
static void describe_changes(const struct loam_plan *asked, const struct loam_train_settings *settings,
                             const struct loam_train_settings *changed, char *text, size_t size)
{
    char length[32], budget[32];
    snprintf(length, sizeof length, "%lld", (long long)changed->max_length);
    snprintf(budget, sizeof budget, "%lld", (long long)changed->token_budget);
    const struct {
        bool differs;
        const char *option;
        const char *value;
    } options[] = {
        {changed->offload != settings->offload, "--offload", "auto"},
        {changed->full != settings->full, "--method", "lora"},
        {changed->max_length != asked->max_length, "--max-length", length},
        {changed->token_budget != asked->token_budget, "--token-budget", budget},
        {changed->dtype != asked->dtype, "--dtype", "bf16"},
        {changed->checkpointing != settings->checkpointing, "--gradient-checkpointing",
         level_names[changed->checkpointing]},
    };
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (!options[i].differs) continue;
        int wrote = snprintf(text + used, size - used, "%s%s %s", used > 0 ? " " : "", options[i].option,
                             options[i].value);
        used += (size_t)wrote;
    }
}

struct search {
    const struct loam_train_settings *settings;
    const struct loam_plan *asked;
    size_t process, examples;
    const struct loam_plan_limit *limit;
    bool of_device; // the device is what the asked plan does not fit
    struct loam_plan_advice *advice;
};

// What the search makes smaller.
static size_t peak_of(const struct search *search, const struct loam_plan *plan)
{
    return search->of_device ? plan->device_peak : plan->peak;
}

// Plans one change. It becomes the advice if it is the smallest plan so far, and ends the search if it fits.
static enum loam_status try_change(struct search *search, const struct loam_train_settings *changed,
                                   struct loam_error *error)
{
    struct loam_plan_advice *advice = search->advice;
    struct loam_plan plan;
    LOAM_TRY(loam_plan_make(&plan, changed, search->process, search->examples, error));
    if (peak_of(search, &plan) >= peak_of(search, &advice->plan)) return LOAM_OK;
    advice->plan = plan;
    plan.peak += PROCESS_VARIATION;
    advice->found = loam_plan_fits(&plan, search->limit);
    describe_changes(search->asked, search->settings, changed, advice->options, sizeof advice->options);
    return LOAM_OK;
}

// Tries each level of checkpointing from the run's own on, with its token budget and with that of one
// example.
static enum loam_status try_levels(struct search *search, struct loam_train_settings changed,
                                   struct loam_error *error)
{
    const int32_t budgets[] = {search->asked->token_budget, (int32_t)changed.max_length};
    for (unsigned level = search->settings->checkpointing; level <= LOAM_CHECKPOINT_BLOCK; level++) {
        changed.checkpointing = (enum loam_checkpointing)level;
        for (size_t i = 0; i < 2 && !search->advice->found; i++) {
            changed.token_budget = budgets[i];
            LOAM_TRY(try_change(search, &changed, error));
        }
    }
    return LOAM_OK;
}

static enum loam_status try_dtypes(struct search *search, struct loam_train_settings changed,
                                   struct loam_error *error)
{
    if (!search->advice->found) LOAM_TRY(try_levels(search, changed, error));
    if (search->advice->found || changed.dtype != LOAM_F32) return LOAM_OK;
    changed.dtype = LOAM_BF16;
    return try_levels(search, changed, error);
}

enum loam_status loam_plan_advise(struct loam_plan_advice *advice, const struct loam_train_settings *settings,
                                  size_t process, size_t examples, const struct loam_plan_limit *limit,
                                  struct loam_error *error)
{
    enum { SHORTEST = 128 };
    struct loam_plan asked;
    *advice = (struct loam_plan_advice){0};
    LOAM_TRY(loam_plan_make(&asked, settings, process, examples, error));
    advice->plan = asked;
    struct search search = {settings, &asked, process, examples, limit, .advice = advice};
    search.of_device = asked.has_device && asked.device_peak > limit->device_bytes;
    struct loam_train_settings changed = *settings;
    changed.dtype = asked.dtype;
    if (search.of_device && !settings->full) changed.offload = LOAM_OFFLOAD_AUTO;
    for (changed.max_length = asked.max_length;; changed.max_length /= 2) {
        LOAM_TRY(try_dtypes(&search, changed, error));
        if (advice->found || changed.max_length / 2 < SHORTEST) break;
    }
    if (advice->found || !settings->full) return LOAM_OK;
    changed.full = false;
    changed.max_length = asked.max_length;
    if (search.of_device) changed.offload = LOAM_OFFLOAD_AUTO;
    return try_dtypes(&search, changed, error);
}

// ---- before a run ----

// The place that a plan does not fit, in words.
struct excess {
    const char *memory; // "memory", "memory of the device"
    size_t peak, limit; // bytes
    const char *by;
    const char *remedy;
    bool of_device;
};

static struct excess find_excess(const struct loam_plan *plan, const struct loam_plan_limit *limit)
{
    if (plan->has_device && plan->device_peak > limit->device_bytes)
        return (struct excess){"memory of the device",
                               plan->device_peak,
                               limit->device_bytes,
                               limit->device_by,
                               "--device-memory-limit none starts it all the same",
                               true};
    return (struct excess){
        "memory", plan->peak, limit->bytes, limit->by, "--memory-limit none starts it all the same", false};
}

static enum loam_status fail_beyond_limit(const struct loam_train_job *job,
                                          const struct loam_train_settings *settings,
                                          const struct loam_plan *plan, size_t process,
                                          const struct loam_plan_limit *limit, struct loam_error *error)
{
    struct loam_plan_advice advice;
    LOAM_TRY(loam_plan_advise(&advice, settings, process, job->order.count, limit, error));
    const struct excess excess = find_excess(plan, limit);
    char peak[LOAM_MEMORY_SIZE], allowed[LOAM_MEMORY_SIZE], least[LOAM_MEMORY_SIZE];
    loam_memory_format_both(excess.peak, excess.limit, peak, allowed);
    loam_memory_format(excess.of_device ? advice.plan.device_peak : advice.plan.peak, least);
    if (advice.found)
        return loam_fail(error, LOAM_ERROR_MEMORY,
                         "this run needs %s of %s, and %s allows %s; with %s it needs %s (%s)", peak,
                         excess.memory, excess.by, allowed, advice.options, least, excess.remedy);
    return loam_fail(error, LOAM_ERROR_MEMORY,
                     "this run needs %s of %s, and %s allows %s; no option makes it fit, the least is "
                     "%s%s%s (%s)",
                     peak, excess.memory, excess.by, allowed, least,
                     advice.options[0] != '\0' ? " with " : "", advice.options, excess.remedy);
}

static void log_plan(const struct loam_log *log, const struct loam_plan *plan)
{
    const size_t weights = plan->weights_mapped + plan->weights_converted;
    const size_t rest = plan->scratch + (plan->has_device ? 0 : plan->process);
    char text[5][LOAM_MEMORY_SIZE];
    loam_log_write(log, LOAM_LOG_INFO,
                   "memory%s: %s at most (weights %s, training %s, activations of %d tokens %s, the rest %s)",
                   plan->has_device ? " of the device" : "",
                   loam_memory_format(plan->has_device ? plan->device_peak : plan->peak, text[0]),
                   loam_memory_format(weights, text[1]),
                   loam_memory_format(plan->trained + plan->gradients + plan->optimiser, text[2]),
                   plan->token_budget, loam_memory_format(plan->activations, text[3]),
                   loam_memory_format(rest, text[4]));
    if (plan->has_device)
        loam_log_write(
            log, LOAM_LOG_INFO, "memory of the host: %s at most (offloaded layers %s, the rest %s)",
            loam_memory_format(plan->peak, text[0]), loam_memory_format(plan->weights_offloaded, text[1]),
            loam_memory_format(plan->process, text[2]));
}

enum loam_status loam_plan_check(struct loam_train_job *job, struct loam_error *error)
{
    struct loam_plan plan;
    struct loam_train_settings settings = *job->settings;
    settings.opened_device = job->session.device;
    size_t process = count_process_bytes(job);
    LOAM_TRY(loam_plan_make(&plan, &settings, process, job->order.count, error));
    struct loam_plan_limit limit = loam_plan_limit(&settings, &plan);
    if (!loam_plan_fits(&plan, &limit) && settings.best_metric != LOAM_BEST_EVAL_LOSS) {
        // One answer at a time takes less memory and gives the same answers.
        job->answer_sequences = settings.answer_sequences = 1;
        LOAM_TRY(loam_plan_make(&plan, &settings, process, job->order.count, error));
    }
    job->session.offloaded = plan.offloaded;
    loam_session_tell_host_memory(&job->session, settings.device, settings.offload,
                                  settings.device_memory_limit);
    log_plan(job->log, &plan);
    if (loam_plan_fits(&plan, &limit)) return LOAM_OK;
    return fail_beyond_limit(job, &settings, &plan, process, &limit, error);
}
