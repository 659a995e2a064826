// loam plan: reports the planned memory of a training run.
#include "run/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "bench/lengths.h"
#include "commands/commands.h"
#include "commands/output.h"

struct planned {
    struct loam_plan plan;
    struct loam_plan_limit limit;
    bool fits;
    struct loam_plan_advice advice; // set if it does not fit
    struct loam_trace cost;         // of a micro-batch; only for JSON
};

static const char *const level_names[] = {
    [LOAM_CHECKPOINT_NONE] = "none", [LOAM_CHECKPOINT_MLP] = "mlp", [LOAM_CHECKPOINT_BLOCK] = "block"};

static enum loam_status make_plan(const struct loam_train_settings *settings, size_t given, bool counted,
                                  struct planned *planned, struct loam_error *error)
{
    size_t process, examples;
    LOAM_TRY(loam_plan_process(settings, &process, &examples, error));
    if (given > 0) examples = given;
    if (counted) LOAM_TRY(loam_plan_count(&planned->cost, settings, examples, error));
    LOAM_TRY(loam_plan_make(&planned->plan, settings, process, examples, error));
    planned->limit = loam_plan_limit(settings, &planned->plan);
    planned->fits = loam_plan_fits(&planned->plan, &planned->limit);
    if (planned->fits) return LOAM_OK;
    return loam_plan_advise(&planned->advice, settings, process, examples, &planned->limit, error);
}

// Makes the plan. With --lengths, made-up examples as in `loam bench` give the settings that depend on
// examples.
static enum loam_status make_plan_for(const struct loam_settings *settings, struct planned *planned,
                                      struct loam_error *error)
{
    enum { DEFAULT_BATCH = 8 }; // the default of loam train
    struct loam_train_settings train = settings->train;
    struct loam_bench_lengths lengths = {0};
    const char *text = settings->bench.lengths;
    enum loam_status status = text != NULL ? loam_bench_lengths_open(&lengths, text, &train, error) : LOAM_OK;
    if (train.batch_size == 0) train.batch_size = DEFAULT_BATCH;
    if (status == LOAM_OK)
        status = loam_device_create(&train.opened_device, train.device, train.threads, error);
    if (status == LOAM_OK) status = make_plan(&train, lengths.count, settings->json, planned, error);
    loam_device_destroy(train.opened_device);
    loam_bench_lengths_deinit(&lengths);
    return status;
}

// One part of a peak, for both outputs.
struct part {
    const char *key;
    const char *text;
    size_t bytes;
    bool of_host; // in the host's memory, even if the device has its own
};
enum { PARTS = 9 };

static void list_parts(const struct loam_plan *plan, struct part parts[PARTS])
{
    const struct part all[PARTS] = {
        {"weights_mapped_bytes", "weights, used in their file", plan->weights_mapped, false},
        {"weights_converted_bytes", plan->has_device ? "weights" : "weights, converted",
         plan->weights_converted, false},
        {"trained_bytes", plan->full ? "f32 masters of the weights" : "LoRA matrices", plan->trained, false},
        {"gradients_bytes", "gradients", plan->gradients, false},
        {"optimiser_bytes", "optimiser", plan->optimiser, false},
        {"activations_bytes", "activations", plan->activations, false},
        {"scratch_bytes", "scratch of the operations", plan->scratch, false},
        {"process_bytes", "program, tokenizer, examples", plan->process, true},
        {"weights_offloaded_bytes", "offloaded layers", plan->weights_offloaded, true},
    };
    for (int i = 0; i < PARTS; i++)
        parts[i] = all[i];
}

// A device that computes in the host's memory has no offloaded layers, and others map no weights.
static bool is_possible(const struct loam_plan *plan, const struct part *part)
{
    const bool offloaded = strcmp(part->key, "weights_offloaded_bytes") == 0;
    const bool mapped = strcmp(part->key, "weights_mapped_bytes") == 0;
    return plan->has_device ? !mapped : !offloaded;
}

// ---- JSON ----

static json_t *json_limit(size_t bytes)
{
    return bytes == SIZE_MAX ? json_null() : json_integer((json_int_t)bytes);
}

// What a micro-batch costs at least.
static void put_cost(json_t **root, const struct loam_trace *cost)
{
    json_t *ops = json_array();
    double flops = 0, bytes = 0;
    for (int op = 0; op < LOAM_OP_COUNT && ops != NULL; op++) {
        const struct loam_op_total *total = &cost->ops[op];
        flops += total->flops;
        bytes += total->bytes;
        if (total->calls == 0) continue;
        json_t *entry = json_pack("{s:s, s:I, s:f, s:f}", "op", loam_op_name((enum loam_op_id)op), "calls",
                                  (json_int_t)total->calls, "flops", total->flops, "bytes", total->bytes);
        if (json_array_append_new(ops, entry) != 0) {
            json_decref(ops);
            ops = NULL;
        }
    }
    loam_json_put(root, "flops", json_real(flops));
    loam_json_put(root, "bytes", json_real(bytes));
    loam_json_put(root, "ops", ops);
}

static void put_device(json_t **root, const struct planned *planned)
{
    const struct loam_plan *plan = &planned->plan;
    if (!plan->has_device) return;
    loam_json_put(root, "device_peak_bytes", json_integer((json_int_t)plan->device_peak));
    loam_json_put(root, "device_limited_by", json_string(planned->limit.device_by));
    loam_json_put(root, "device_limit_bytes", json_limit(planned->limit.device_bytes));
    loam_json_put(root, "layers", json_integer(plan->layers));
    loam_json_put(root, "offloaded_layers", json_integer(plan->offloaded));
    loam_json_put(root, "weights_ring_bytes", json_integer((json_int_t)plan->ring));
    loam_json_put(root, "advice_device_peak_bytes",
                  planned->advice.found ? json_integer((json_int_t)planned->advice.plan.device_peak)
                                        : json_null());
}

static enum loam_status report_json(const struct planned *planned, const struct loam_callbacks *callbacks,
                                    struct loam_error *error)
{
    const struct loam_plan *plan = &planned->plan;
    const struct loam_plan_advice *advice = &planned->advice;
    struct part parts[PARTS];
    list_parts(plan, parts);
    json_t *root = json_pack("{s:I, s:b, s:s}", "peak_bytes", (json_int_t)plan->peak, "fits", planned->fits,
                             "limited_by", planned->limit.by);
    if (root == NULL) return loam_output_json(callbacks, root, JSON_INDENT(2), error);
    loam_json_put(&root, "limit_bytes", json_limit(planned->limit.bytes));
    for (int i = 0; i < PARTS; i++)
        if (plan->has_device || is_possible(plan, &parts[i]))
            loam_json_put(&root, parts[i].key, json_integer((json_int_t)parts[i].bytes));
    loam_json_put(&root, "max_length", json_integer(plan->max_length));
    loam_json_put(&root, "token_budget", json_integer(plan->token_budget));
    loam_json_put(&root, "dtype", json_string(loam_dtype_name(plan->dtype)));
    loam_json_put(&root, "gradient_checkpointing", json_string(level_names[plan->checkpointing]));
    loam_json_put(&root, "advice", advice->found ? json_string(advice->options) : json_null());
    loam_json_put(&root, "advice_peak_bytes",
                  advice->found ? json_integer((json_int_t)advice->plan.peak) : json_null());
    put_cost(&root, &planned->cost);
    put_device(&root, planned);
    return loam_output_json(callbacks, root, JSON_INDENT(2), error);
}

// ---- Text ----

// In mebibytes. An amount below one has the unit that shows it.
enum { AMOUNT_SIZE = LOAM_GROUPED_SIZE + sizeof " MiB" };
static const char *format_amount(size_t bytes, char text[AMOUNT_SIZE])
{
    char number[LOAM_GROUPED_SIZE];
    if (bytes < 1 << 20) return loam_memory_format(bytes, text);
    (void)snprintf(text, AMOUNT_SIZE, "%s MiB", loam_grouped((int64_t)((bytes + (1 << 19)) >> 20), number));
    return text;
}

// A place of memory, its peak and its limit, and the smallest peak that the advice found.
struct place {
    const char *name; // "", " in the device's memory"
    size_t peak, limit, advised;
    const char *by;
};

static struct place host_place(const struct planned *planned)
{
    return (struct place){planned->plan.has_device ? " in the host's memory" : "", planned->plan.peak,
                          planned->limit.bytes, planned->advice.plan.peak, planned->limit.by};
}

static struct place device_place(const struct planned *planned)
{
    return (struct place){" in the device's memory", planned->plan.device_peak, planned->limit.device_bytes,
                          planned->advice.plan.device_peak, planned->limit.device_by};
}

static enum loam_status format_fit(struct loam_bytes *text, const struct place *place,
                                   struct loam_error *error)
{
    char limit[AMOUNT_SIZE];
    if (place->limit == SIZE_MAX)
        return loam_bytes_format(text, error, "No limit%s is known or set.\n", place->name);
    return loam_bytes_format(text, error, "It %s%s: %s allows %s.\n",
                             place->peak <= place->limit ? "fits" : "does not fit", place->name, place->by,
                             format_amount(place->limit, limit));
}

static enum loam_status format_advice(struct loam_bytes *text, const struct planned *planned,
                                      const struct place *place, struct loam_error *error)
{
    const struct loam_plan_advice *advice = &planned->advice;
    char other[AMOUNT_SIZE];
    format_amount(place->advised, other);
    if (advice->found)
        return loam_bytes_format(text, error, "With %s it takes %s%s and fits.\n", advice->options, other,
                                 place->name);
    if (advice->options[0] == '\0')
        return loam_bytes_append_text(text, "No option makes the plan smaller.\n", error);
    return loam_bytes_format(text, error, "No option makes it fit; %s brings it down to %s%s.\n",
                             advice->options, other, place->name);
}

static enum loam_status format_verdict(struct loam_bytes *text, const struct planned *planned,
                                       struct loam_error *error)
{
    const struct place host = host_place(planned), device = device_place(planned);
    const bool of_device = planned->plan.has_device && device.peak > device.limit;
    if (planned->plan.has_device) LOAM_TRY(format_fit(text, &device, error));
    LOAM_TRY(format_fit(text, &host, error));
    return planned->fits ? LOAM_OK : format_advice(text, planned, of_device ? &device : &host, error);
}

// The parts of one place. A device that computes in the host's memory has a single place.
static enum loam_status format_place(struct loam_bytes *text, const struct planned *planned, bool of_host,
                                     struct loam_error *error)
{
    const struct loam_plan *plan = &planned->plan;
    struct part parts[PARTS];
    char amount[AMOUNT_SIZE];
    list_parts(plan, parts);
    for (int i = 0; i < PARTS; i++)
        if (is_possible(plan, &parts[i]) && (!plan->has_device || parts[i].of_host == of_host))
            LOAM_TRY(loam_bytes_format(text, error, "  %-30s %13s\n", parts[i].text,
                                       format_amount(parts[i].bytes, amount)));
    const char *name = !plan->has_device ? "at the peak" : of_host ? "of the host" : "of the device";
    return loam_bytes_format(text, error, "  %-30s %13s\n\n", name,
                             format_amount(of_host ? plan->peak : plan->device_peak, amount));
}

static enum loam_status format_plan(struct loam_bytes *text, const struct planned *planned,
                                    struct loam_error *error)
{
    const struct loam_plan *plan = &planned->plan;
    char offloaded[64] = "";
    if (plan->offloaded > 0)
        (void)snprintf(offloaded, sizeof offloaded, ", %lld of %lld layers offloaded",
                       (long long)plan->offloaded, (long long)plan->layers);
    LOAM_TRY(loam_bytes_format(
        text, error, "In %s, up to %d tokens at once, gradient checkpointing %s%s:\n\n",
        loam_dtype_name(plan->dtype), plan->token_budget, level_names[plan->checkpointing], offloaded));
    if (plan->has_device) LOAM_TRY(format_place(text, planned, false, error));
    LOAM_TRY(format_place(text, planned, true, error));
    return format_verdict(text, planned, error);
}

static enum loam_status report_text(const struct planned *planned, const struct loam_callbacks *callbacks,
                                    struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = format_plan(&text, planned, error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_run_plan(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    struct planned planned = {0};
    LOAM_TRY(make_plan_for(settings, &planned, error));
    return (settings->json ? report_json : report_text)(&planned, callbacks, error);
}
