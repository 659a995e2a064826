// loam bench generate: the time of a prompt, compared with the matrix library, and of the tokens after it,
// compared with the bandwidth of memory.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/rng.h"
#include "bench/ceiling.h"
#include "bench/runner.h"
#include "generate/generator.h"
#include "run/metrics.h"
#include "session/fit.h"

struct generate_bench {
    const struct loam_bench_settings *settings;
    struct loam_session session;
    struct loam_generator *generator;
    struct loam_bench_ceiling_state ceiling;
    struct loam_bench_sequence sequence; // of the prompt's products
    struct loam_trace prefill;
    struct loam_trace decode;
    struct loam_arena memory;  // read to measure the bandwidth
    struct loam_stream copies; // of a device's memory, for the same
    int32_t *ids;              // [prompt_tokens]
    double *prefill_seconds;   // [rounds]
    double *ratios;            // [rounds]
    int64_t decoded;           // tokens of all rounds
    double read_seconds;
    double read_bytes;
    uint64_t read_sum;  // used, so that the compiler keeps the reads
    double first_token; // time of the round's first token; 0: none yet
    double resumed;     // time at which work on the next token began
    double decode_seconds;
};

static void close_bench(struct generate_bench *bench)
{
    free(bench->ids);
    free(bench->prefill_seconds);
    free(bench->ratios);
    loam_stream_deinit(&bench->copies);
    if (bench->memory.base != NULL) loam_device_arena_deinit(bench->session.device, &bench->memory);
    loam_bench_ceiling_deinit(&bench->ceiling);
    loam_bench_sequence_deinit(&bench->sequence);
    loam_generator_destroy(bench->generator);
    loam_session_close(&bench->session);
}

// ---- Opening ----

static enum loam_status open_generator(const struct generate_bench *bench, const struct loam_session *session,
                                       struct loam_generator **out, struct loam_error *error)
{
    const struct loam_bench_settings *settings = bench->settings;
    const int64_t context = (int64_t)settings->prompt_tokens + settings->new_tokens;
    const int64_t limit = loam_config_position_limit(&session->model->config);
    if (context > limit)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "%d tokens after a prompt of %d: the model was made for %lld positions",
                         settings->new_tokens, settings->prompt_tokens, (long long)limit);
    const struct loam_generator_limits limits = {
        .tokens = settings->prompt_tokens < LOAM_PROMPT_CHUNK ? settings->prompt_tokens : LOAM_PROMPT_CHUNK,
        .sequences = 1,
        .context = (int32_t)context};
    return loam_generator_create(out, session->model, session->device, &limits, error);
}

// As loam_session_prepare.
static enum loam_status rehearse(void *user, const struct loam_session *planned, struct loam_error *error)
{
    struct loam_generator *generator = NULL;
    const enum loam_status status = open_generator(user, planned, &generator, error);
    loam_generator_destroy(generator);
    return status;
}

static enum loam_status make_prompt(struct generate_bench *bench, struct loam_error *error)
{
    const struct loam_bench_settings *settings = bench->settings;
    const uint64_t stream = loam_rng_stream(LOAM_RNG_BENCH, 0);
    const double vocabulary = (double)bench->session.model->config.vocabulary;
    const size_t rounds = (size_t)settings->steps;
    bench->ids = loam_calloc((size_t)settings->prompt_tokens, sizeof *bench->ids, error);
    bench->prefill_seconds = loam_calloc(rounds, sizeof *bench->prefill_seconds, error);
    bench->ratios = loam_calloc(rounds, sizeof *bench->ratios, error);
    if (bench->ids == NULL || bench->prefill_seconds == NULL || bench->ratios == NULL)
        return LOAM_ERROR_MEMORY;
    for (int i = 0; i < settings->prompt_tokens; i++)
        bench->ids[i] =
            (int32_t)((double)loam_rng_uniform(settings->train.seed, stream, (uint64_t)i) * vocabulary);
    return LOAM_OK;
}

static enum loam_status open_bench(struct generate_bench *bench, const struct loam_callbacks *callbacks,
                                   struct loam_error *error)
{
    const struct loam_train_settings *train = &bench->settings->train;
    const struct loam_session_options options = {.model = train->model,
                                                 .device = train->device,
                                                 .threads = train->threads,
                                                 .dtype = train->dtype,
                                                 .batch_size = 1,
                                                 .without_text = true,
                                                 .callbacks = callbacks,
                                                 .offload = train->offload,
                                                 .device_memory_limit = train->device_memory_limit};
    LOAM_TRY(loam_session_open(&bench->session, &options, error));
    LOAM_TRY(loam_session_fit(&bench->session, &options, rehearse, bench, error));
    if (bench->settings->ceiling)
        LOAM_TRY(loam_bench_ceiling_check(&bench->session, train->device_memory_limit, error));
    LOAM_TRY(loam_session_load(&bench->session, false, error));
    if (bench->settings->ceiling)
        LOAM_TRY(loam_bench_ceiling_init(&bench->ceiling, bench->session.device,
                                         bench->session.model->matrix_dtype, error));
    bench->prefill.watch = loam_bench_sequence_watch;
    bench->prefill.user = &bench->sequence;
    LOAM_TRY(open_generator(bench, &bench->session, &bench->generator, error));
    return make_prompt(bench, error);
}

// ---- Bandwidth ----

// Eight times the last-level cache, from 256 MiB to 2 GiB.
static size_t choose_memory_bytes(void)
{
    enum { CACHES = 8 };
    const size_t least = (size_t)256 << 20, most = (size_t)2 << 30;
    const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    const size_t bytes = cache > 0 ? CACHES * (size_t)cache : least;
    return bytes < least ? least : bytes > most ? most : bytes;
}

// The bytes that a measurement of the device's memory copies: 1 GiB, many times the caches of a GPU, or a quarter of the
// memory that is left. Rounded down to 4 MiB, so that runs with nearly the same memory copy as many bytes. 0: too
// little is left.
static size_t choose_device_bytes(const struct generate_bench *bench)
{
    const size_t most = (size_t)1 << 30, alike = (size_t)4 << 20, page = 4096;
    const int64_t limit = bench->settings->train.device_memory_limit;
    const size_t planned = bench->session.fitted;
    size_t left = loam_device_free_memory(bench->session.device).bytes;
    if (limit > 0 && limit < INT64_MAX) {
        const size_t allowed = (size_t)limit > planned ? (size_t)limit - planned : 0;
        if (allowed < left) left = allowed;
    }
    const size_t bytes = left / 4 < most ? left / 4 : most;
    return bytes - bytes % (bytes < alike ? page : alike);
}

static enum loam_status allocate_memory(struct generate_bench *bench, struct loam_error *error)
{
    const struct loam_device *device = bench->session.device;
    if (!device->host_memory) {
        const size_t bytes = choose_device_bytes(bench);
        if (bytes == 0) return LOAM_OK;
        LOAM_TRY(loam_device_arena_init(device, &bench->memory, bytes, true, error));
        return loam_stream_init(&bench->copies, device, 0, error);
    }
    if (device->ops.limits == NULL) return LOAM_OK;
    LOAM_TRY(loam_device_arena_init(device, &bench->memory, choose_memory_bytes(), true, error));
    memset(bench->memory.base, 1, bench->memory.capacity); // otherwise all pages may be one page of zeros
    return LOAM_OK;
}

// A device copies one half of the memory to the other. Bytes that are read and bytes that are written count.
static void measure_copying(struct generate_bench *bench)
{
    const struct loam_memory_table *memory = bench->session.device->memory;
    const size_t half = bench->memory.capacity / 2;
    memory->synchronise(&bench->copies);
    const double start = loam_clock_seconds();
    memory->copy(&bench->copies, bench->memory.base, bench->memory.base + half, half);
    memory->synchronise(&bench->copies);
    bench->read_seconds += loam_clock_seconds() - start;
    bench->read_bytes += 2 * (double)half;
    bench->read_sum = 1;
}

// Measures after each token, because the bandwidth of a shared machine can halve within a second.
static void measure_reading(struct generate_bench *bench)
{
    const struct loam_limits *limits = bench->session.device->ops.limits;
    if (bench->memory.base == NULL) return;
    if (!bench->session.device->host_memory) {
        measure_copying(bench);
        return;
    }
    const double start = loam_clock_seconds();
    bench->read_sum +=
        limits->read(bench->session.device->threads, bench->memory.base, bench->memory.capacity);
    bench->read_seconds += loam_clock_seconds() - start;
    bench->read_bytes += (double)bench->memory.capacity;
}

// ---- Rounds ----

static void take_token(struct generate_bench *bench)
{
    const double now = loam_clock_seconds();
    if (bench->first_token == 0) {
        bench->first_token = now;
        loam_generator_trace(bench->generator, &bench->decode);
    } else {
        bench->decode_seconds += now - bench->resumed;
        measure_reading(bench);
    }
    bench->resumed = loam_clock_seconds();
}

static enum loam_status run_sequence(struct generate_bench *bench, struct loam_error *error)
{
    struct loam_generated next = {.finish = LOAM_FINISH_NONE};
    while (next.finish == LOAM_FINISH_NONE) {
        size_t count;
        LOAM_TRY(loam_generator_advance(bench->generator, &next, &count, error));
        if (next.id >= 0) take_token(bench);
    }
    return LOAM_OK;
}

static double sum_flops(const struct loam_trace *trace)
{
    double flops = 0;
    for (int op = 0; op < LOAM_OP_COUNT; op++)
        flops += trace->ops[op].flops;
    return flops;
}

// Generates as `loam generate` does and measures the seconds of both parts.
static enum loam_status generate(struct generate_bench *bench, double *prefill, double *decode,
                                 struct loam_error *error)
{
    const struct loam_bench_settings *settings = bench->settings;
    const struct loam_special_tokens none = {.bos = -1, .eos = -1};
    const struct loam_generation generation = {.max_new_tokens = settings->new_tokens,
                                               .vocabulary = INT32_MAX,
                                               .sampling = {.top_p = 1, .repetition_penalty = 1},
                                               .special = &none};
    const struct loam_segments base = {0};
    int32_t sequence;
    bench->first_token = bench->decode_seconds = 0;
    loam_bench_sequence_clear(&bench->sequence);
    loam_generator_trace(bench->generator, &bench->prefill);
    const double start = loam_clock_seconds();
    LOAM_TRY(loam_generator_begin(bench->generator, bench->ids, settings->prompt_tokens, &generation, &base,
                                  &sequence, error));
    enum loam_status status = run_sequence(bench, error);
    loam_generator_end(bench->generator, sequence);
    if (status != LOAM_OK) return status;
    *prefill = bench->first_token - start;
    *decode = bench->decode_seconds;
    bench->decoded += settings->new_tokens - 1;
    return LOAM_OK;
}

static enum loam_status run_ceiling(struct generate_bench *bench, double *flops, double *seconds,
                                    struct loam_error *error)
{
    LOAM_TRY(loam_bench_ceiling_prepare(&bench->ceiling, &bench->sequence, error));
    const double start = loam_clock_seconds();
    LOAM_TRY(loam_bench_ceiling_run(&bench->ceiling, &bench->sequence, flops, error));
    *seconds = loam_clock_seconds() - start;
    return LOAM_OK;
}

static enum loam_status run_round(struct generate_bench *bench, int64_t round,
                                  struct loam_bench_generate *result, double *ceiling_flops,
                                  double *ceiling_seconds, struct loam_error *error)
{
    const double before = sum_flops(&bench->prefill);
    double decode, flops, seconds;
    LOAM_TRY(generate(bench, &bench->prefill_seconds[round], &decode, error));
    result->prefill_total += bench->prefill_seconds[round];
    result->decode_total += decode;
    if (!bench->settings->ceiling) return LOAM_OK;
    LOAM_TRY(run_ceiling(bench, &flops, &seconds, error));
    *ceiling_flops += flops;
    *ceiling_seconds += seconds;
    bench->ratios[round] =
        (sum_flops(&bench->prefill) - before) / bench->prefill_seconds[round] / (flops / seconds);
    return LOAM_OK;
}

static void clear_traces(struct generate_bench *bench)
{
    memset(bench->prefill.ops, 0, sizeof bench->prefill.ops);
    memset(bench->decode.ops, 0, sizeof bench->decode.ops);
    bench->decoded = 0;
    bench->read_bytes = bench->read_seconds = 0;
}

// ---- The result ----

// Rounds whose ops are waited for one by one, on a device that otherwise queues them. Their totals replace the others.
static enum loam_status profile(struct generate_bench *bench, struct loam_bench_generate *result,
                                struct loam_error *error)
{
    double prefill, decode;
    result->prefill_ops_seconds = result->prefill_total;
    result->decode_ops_seconds = result->decode_total;
    if (!bench->prefill.queued) return LOAM_OK;
    clear_traces(bench);
    bench->prefill.queued = bench->decode.queued = false;
    result->prefill_ops_seconds = result->decode_ops_seconds = 0;
    for (int64_t round = 0; round < bench->settings->steps; round++) {
        LOAM_TRY(generate(bench, &prefill, &decode, error));
        result->prefill_ops_seconds += prefill;
        result->decode_ops_seconds += decode;
    }
    return LOAM_OK;
}

static int64_t count_decode_bytes(const struct loam_session *session, int64_t all)
{
    const struct loam_model *model = session->model;
    const bool tied = model->head.weight == model->embedding;
    return tied ? all : all - (int64_t)loam_tensor_bytes(&model->embedding->value);
}

static void summarise(struct generate_bench *bench, double ceiling_flops, double ceiling_seconds,
                      struct loam_bench_generate *result)
{
    const struct loam_bench_settings *settings = bench->settings;
    const double rounds = (double)settings->steps;
    result->rounds = settings->steps;
    result->prompt_tokens = settings->prompt_tokens;
    result->new_tokens = settings->new_tokens;
    result->prefill_seconds = loam_bench_median(bench->prefill_seconds, (size_t)settings->steps);
    result->prefill_tokens_per_second = rounds * settings->prompt_tokens / result->prefill_total;
    result->prefill_gflops = sum_flops(&bench->prefill) / result->prefill_total / 1e9;
    result->decode_tokens_per_second = (double)bench->decoded / result->decode_total;
    result->decode_weight_bytes = count_decode_bytes(&bench->session, result->machine.weight_bytes);
    result->of_bandwidth = NAN;
    if (bench->read_bytes > 0 && bench->read_sum > 0) {
        result->read_bandwidth = bench->read_bytes / bench->read_seconds;
        result->of_bandwidth =
            (double)result->decode_weight_bytes * result->decode_tokens_per_second / result->read_bandwidth;
    }
    result->prefill_of_ceiling = NAN;
    if (!settings->ceiling) return;
    result->prefill_of_ceiling = loam_bench_median(bench->ratios, (size_t)settings->steps);
    result->ceiling =
        loam_bench_ceiling_summary(&bench->ceiling, &bench->sequence, ceiling_flops, ceiling_seconds);
}

static enum loam_status measure(struct generate_bench *bench, const struct loam_callbacks *callbacks,
                                struct loam_bench_generate *result, struct loam_error *error)
{
    double ceiling_flops = 0, ceiling_seconds = 0, ignored;
    LOAM_TRY(open_bench(bench, callbacks, error));
    loam_bench_machine_describe(&result->machine, &bench->session);
    for (int64_t i = 0; i < bench->settings->warm_up; i++)
        LOAM_TRY(generate(bench, &ignored, &ignored, error));
    result->peak_rss_bytes = loam_peak_memory_bytes();
    LOAM_TRY(allocate_memory(bench, error));
    clear_traces(bench);
    bench->prefill.queued = bench->decode.queued = !bench->session.device->host_memory;
    for (int64_t round = 0; round < bench->settings->steps; round++)
        LOAM_TRY(run_round(bench, round, result, &ceiling_flops, &ceiling_seconds, error));
    result->machine.peak_gflops = loam_bench_library_peak(&bench->session);
    summarise(bench, ceiling_flops, ceiling_seconds, result);
    LOAM_TRY(profile(bench, result, error));
    memcpy(result->prefill_ops, bench->prefill.ops, sizeof result->prefill_ops);
    memcpy(result->decode_ops, bench->decode.ops, sizeof result->decode_ops);
    return LOAM_OK;
}

enum loam_status loam_bench_generate_run(const struct loam_bench_settings *settings,
                                         const struct loam_callbacks *callbacks,
                                         struct loam_bench_generate *result, struct loam_error *error)
{
    struct generate_bench bench = {.settings = settings};
    *result = (struct loam_bench_generate){0};
    enum loam_status status = measure(&bench, callbacks, result, error);
    close_bench(&bench);
    return status;
}
