// loam bench: reports measurements of training steps, matrix products and generation.
#include <math.h>

#include "commands/commands.h"
#include "commands/output.h"

#define MEBIBYTE (1024.0 * 1024.0)

// The ops that ran, slowest first.
struct op_list {
    int ids[LOAM_OP_COUNT];
    int count;
};

static struct op_list sort_ops(const struct loam_op_total totals[LOAM_OP_COUNT])
{
    struct op_list list = {0};
    for (int op = 0; op < LOAM_OP_COUNT; op++) {
        if (totals[op].calls == 0) continue;
        int at = list.count++;
        for (; at > 0 && totals[list.ids[at - 1]].seconds < totals[op].seconds; at--)
            list.ids[at] = list.ids[at - 1];
        list.ids[at] = op;
    }
    return list;
}

static double giga_per_second(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds / 1e9 : 0;
}

static const char *name_kind(enum loam_product_kind kind)
{
    static const char *const names[] = {[LOAM_PRODUCT_FORWARD] = "forward",
                                        [LOAM_PRODUCT_INPUT] = "input gradient",
                                        [LOAM_PRODUCT_WEIGHT] = "weight gradient"};
    return names[kind];
}

// ---- JSON ----

static void set_number(json_t **object, const char *name, double value)
{
    loam_json_put(object, name, loam_json_number(value));
}

static json_t *op_json(enum loam_op_id op, const struct loam_op_total *total, double rounds, double seconds)
{
    json_t *object = json_object();
    loam_json_put(&object, "op", json_string(loam_op_name(op)));
    set_number(&object, "calls", (double)total->calls / rounds);
    set_number(&object, "seconds", total->seconds / rounds);
    set_number(&object, "part", total->seconds / seconds);
    set_number(&object, "bytes", total->bytes / rounds);
    set_number(&object, "flops", total->flops / rounds);
    set_number(&object, "gflops", giga_per_second(total->flops, total->seconds));
    set_number(&object, "gbytes_per_second", giga_per_second(total->bytes, total->seconds));
    return object;
}

// Values are means per round; `seconds` is the time of all rounds.
static json_t *ops_json(const struct loam_op_total totals[LOAM_OP_COUNT], int64_t rounds, double seconds)
{
    const struct op_list list = sort_ops(totals);
    json_t *array = json_array();
    for (int i = 0; i < list.count; i++)
        loam_json_push(&array,
                       op_json((enum loam_op_id)list.ids[i], &totals[list.ids[i]], (double)rounds, seconds));
    return array;
}

static void add_machine(json_t **root, const struct loam_bench_machine *machine)
{
    loam_json_put(root, "device", json_string(machine->device));
    loam_json_put(root, "isa", machine->isa[0] != '\0' ? json_string(machine->isa) : json_null());
    loam_json_put(root, "threads", json_integer(machine->threads));
    loam_json_put(root, "dtype", json_string(loam_dtype_name(machine->dtype)));
    loam_json_put(root, "matrix_dtype", json_string(loam_dtype_name(machine->matrix_dtype)));
    loam_json_put(root, "weight_bytes", json_integer(machine->weight_bytes));
    set_number(root, "peak_gflops", machine->peak_gflops > 0 ? machine->peak_gflops : NAN);
}

static void add_ceiling(json_t **root, const struct loam_bench_ceiling *ceiling)
{
    set_number(root, "ceiling_gflops", ceiling->measured ? ceiling->gflops : NAN);
    if (!ceiling->measured) return;
    loam_json_put(root, "ceiling_dtype", json_string(loam_dtype_name(ceiling->dtype)));
    loam_json_put(root, "ceiling_weights", json_string(ceiling->own_weights ? "model" : "copies"));
    loam_json_put(root, "ceiling_weight_bytes", json_integer(ceiling->weight_bytes));
    loam_json_put(root, "ceiling_products", json_integer(ceiling->products));
}

static json_t *step_json(const struct loam_bench_step *result)
{
    json_t *root = json_object();
    loam_json_put(&root, "what", json_string("step"));
    set_number(&root, "gflops", result->gflops);
    add_ceiling(&root, &result->ceiling);
    set_number(&root, "of_ceiling", result->of_ceiling);
    set_number(&root, "tokens_per_second", result->tokens_per_second);
    set_number(&root, "seconds_per_step_median", result->seconds_median);
    set_number(&root, "seconds_per_step_min", result->seconds_min);
    set_number(&root, "seconds_to_first_step", result->seconds_to_first_step);
    loam_json_put(&root, "peak_rss_bytes", json_integer(result->peak_rss_bytes));
    loam_json_put(&root, "steps", json_integer(result->steps));
    set_number(&root, "tokens_per_step", result->tokens_per_step);
    set_number(&root, "labels_per_step", result->labels_per_step);
    set_number(&root, "flops_per_step", result->flops_per_step);
    set_number(&root, "loss", result->loss);
    add_machine(&root, &result->machine);
    set_number(&root, "other_seconds", result->other_seconds / (double)result->steps);
    loam_json_put(&root, "ops", ops_json(result->ops, result->steps, result->ops_seconds));
    return root;
}

static json_t *matmul_json(const struct loam_bench_matmul *result)
{
    json_t *root = json_object(), *shapes = json_array();
    loam_json_put(&root, "what", json_string("matmul"));
    set_number(&root, "plain_gflops", result->plain_gflops);
    set_number(&root, "packed_gflops", result->packed_gflops);
    loam_json_put(&root, "product_dtype", json_string(loam_dtype_name(result->dtype)));
    loam_json_put(&root, "rounds", json_integer(result->rounds));
    set_number(&root, "flops_per_step", result->flops_per_step);
    add_machine(&root, &result->machine);
    for (size_t i = 0; i < result->shape_count; i++) {
        const struct loam_bench_matmul_shape *shape = &result->shapes[i];
        const struct loam_product *product = &shape->product;
        json_t *object = json_object();
        loam_json_put(&object, "product", json_string(name_kind(product->kind)));
        loam_json_put(&object, "calls", json_integer(shape->calls));
        loam_json_put(&object, "m", json_integer(product->m));
        loam_json_put(&object, "n", json_integer(product->n));
        loam_json_put(&object, "k", json_integer(product->k));
        set_number(&object, "plain_gflops", shape->plain_gflops);
        set_number(&object, "packed_gflops", shape->packed_gflops);
        loam_json_push(&shapes, object);
    }
    loam_json_put(&root, "shapes", shapes);
    return root;
}

static json_t *generate_json(const struct loam_bench_generate *result)
{
    json_t *root = json_object();
    loam_json_put(&root, "what", json_string("generate"));
    loam_json_put(&root, "prompt_tokens", json_integer(result->prompt_tokens));
    loam_json_put(&root, "new_tokens", json_integer(result->new_tokens));
    loam_json_put(&root, "rounds", json_integer(result->rounds));
    set_number(&root, "prefill_seconds", result->prefill_seconds);
    set_number(&root, "prefill_tokens_per_second", result->prefill_tokens_per_second);
    set_number(&root, "prefill_gflops", result->prefill_gflops);
    add_ceiling(&root, &result->ceiling);
    set_number(&root, "prefill_of_ceiling", result->prefill_of_ceiling);
    set_number(&root, "tokens_per_second", result->decode_tokens_per_second);
    loam_json_put(&root, "decode_weight_bytes", json_integer(result->decode_weight_bytes));
    set_number(&root, "decode_bytes_per_second",
               (double)result->decode_weight_bytes * result->decode_tokens_per_second);
    set_number(&root, "read_bytes_per_second", result->read_bandwidth > 0 ? result->read_bandwidth : NAN);
    set_number(&root, "of_bandwidth", result->of_bandwidth);
    loam_json_put(&root, "peak_rss_bytes", json_integer(result->peak_rss_bytes));
    add_machine(&root, &result->machine);
    loam_json_put(&root, "prefill_ops",
                  ops_json(result->prefill_ops, result->rounds, result->prefill_ops_seconds));
    loam_json_put(&root, "ops", ops_json(result->decode_ops, result->rounds, result->decode_ops_seconds));
    return root;
}

// ---- Text ----

static enum loam_status format_ops(struct loam_bytes *text, const char *title,
                                   const struct loam_op_total totals[LOAM_OP_COUNT], int64_t rounds,
                                   double seconds, struct loam_error *error)
{
    const struct op_list list = sort_ops(totals);
    double other = seconds;
    LOAM_TRY(loam_bytes_format(text, error, "\n%-26s %7s %10s %7s %9s %8s\n", title, "calls", "ms", "%",
                               "GFLOP/s", "GB/s"));
    for (int i = 0; i < list.count; i++) {
        const struct loam_op_total *total = &totals[list.ids[i]];
        other -= total->seconds;
        LOAM_TRY(loam_bytes_format(
            text, error, "%-26s %7.0f %10.2f %7.2f %9.1f %8.2f\n", loam_op_name((enum loam_op_id)list.ids[i]),
            (double)total->calls / (double)rounds, 1e3 * total->seconds / (double)rounds,
            100 * total->seconds / seconds, giga_per_second(total->flops, total->seconds),
            giga_per_second(total->bytes, total->seconds)));
    }
    return loam_bytes_format(text, error, "%-26s %7s %10.2f %7.2f\n", "(between ops)", "",
                             1e3 * other / (double)rounds, 100 * other / seconds);
}

static enum loam_status format_machine(struct loam_bytes *text, const struct loam_bench_machine *machine,
                                       struct loam_error *error)
{
    const bool is_mixed = machine->matrix_dtype != machine->dtype;
    return loam_bytes_format(text, error, "%s%s%s on %s%s%s, %d threads", loam_dtype_name(machine->dtype),
                             is_mixed ? " with matrices of " : "",
                             is_mixed ? loam_dtype_name(machine->matrix_dtype) : "", machine->device,
                             machine->isa[0] != '\0' ? " " : "", machine->isa, machine->threads);
}

static enum loam_status format_peak(struct loam_bytes *text, const struct loam_bench_machine *machine,
                                    struct loam_error *error)
{
    if (machine->peak_gflops == 0) return LOAM_OK;
    return loam_bytes_format(text, error, "peak    %.1f GFLOP/s: multiply-adds in registers\n",
                             machine->peak_gflops);
}

static enum loam_status format_memory(struct loam_bytes *text, int64_t peak,
                                      const struct loam_bench_machine *machine, struct loam_error *error)
{
    return loam_bytes_format(text, error, "memory  %.0f MiB at the peak, %.0f MiB of it weights\n",
                             (double)peak / MEBIBYTE, (double)machine->weight_bytes / MEBIBYTE);
}

static enum loam_status format_ceiling(struct loam_bytes *text, const struct loam_bench_ceiling *ceiling,
                                       double of_ceiling, struct loam_error *error)
{
    if (!ceiling->measured) return LOAM_OK;
    return loam_bytes_format(
        text, error, "ceiling %.1f GFLOP/s: %lld products in %s over %.0f MiB of %s; of ceiling %.3f\n",
        ceiling->gflops, (long long)ceiling->products, loam_dtype_name(ceiling->dtype),
        (double)ceiling->weight_bytes / MEBIBYTE,
        ceiling->own_weights ? "the model's weights"
                             : "f32 copies, since the library has no bf16 product here",
        of_ceiling);
}

static enum loam_status format_step(struct loam_bytes *text, const struct loam_bench_step *result,
                                    struct loam_error *error)
{
    LOAM_TRY(format_machine(text, &result->machine, error));
    LOAM_TRY(loam_bytes_format(text, error, ": %lld steps of %.1f tokens, %.1f labels, %.2f GFLOP\n",
                               (long long)result->steps, result->tokens_per_step, result->labels_per_step,
                               result->flops_per_step / 1e9));
    LOAM_TRY(loam_bytes_format(
        text, error, "step    %.4f s median, %.4f s least; %.1f tokens/s, %.1f GFLOP/s\n",
        result->seconds_median, result->seconds_min, result->tokens_per_second, result->gflops));
    LOAM_TRY(format_ceiling(text, &result->ceiling, result->of_ceiling, error));
    LOAM_TRY(format_peak(text, &result->machine, error));
    LOAM_TRY(format_memory(text, result->peak_rss_bytes, &result->machine, error));
    LOAM_TRY(loam_bytes_format(text, error, "start   the first step began %.2f s after the process\n",
                               result->seconds_to_first_step));
    return format_ops(text, "op, a step", result->ops, result->steps, result->ops_seconds, error);
}

static enum loam_status format_matmul(struct loam_bytes *text, const struct loam_bench_matmul *result,
                                      struct loam_error *error)
{
    LOAM_TRY(format_machine(text, &result->machine, error));
    LOAM_TRY(loam_bytes_format(text, error, ": products in %s, %lld rounds, GFLOP/s\n",
                               loam_dtype_name(result->dtype), (long long)result->rounds));
    LOAM_TRY(format_peak(text, &result->machine, error));
    LOAM_TRY(loam_bytes_format(text, error, "\n%-16s %7s %7s %7s %7s %7s %9s %9s\n", "product", "calls", "m",
                               "n", "k", "%", "plain", "packed"));
    for (size_t i = 0; i < result->shape_count; i++) {
        const struct loam_bench_matmul_shape *shape = &result->shapes[i];
        const struct loam_product *product = &shape->product;
        const double flops = 2.0 * (double)product->m * (double)product->n * (double)product->k;
        LOAM_TRY(loam_bytes_format(
            text, error, "%-16s %7lld %7lld %7lld %7lld %7.2f %9.1f", name_kind(product->kind),
            (long long)shape->calls, (long long)product->m, (long long)product->n, (long long)product->k,
            100 * (double)shape->calls * flops / result->flops_per_step, shape->plain_gflops));
        LOAM_TRY(isfinite(shape->packed_gflops)
                     ? loam_bytes_format(text, error, " %9.1f\n", shape->packed_gflops)
                     : loam_bytes_format(text, error, " %9s\n", "-"));
    }
    return loam_bytes_format(text, error, "%-16s %47.1f %9.1f\n", "all", result->plain_gflops,
                             result->packed_gflops);
}

static enum loam_status format_generate(struct loam_bytes *text, const struct loam_bench_generate *result,
                                        struct loam_error *error)
{
    LOAM_TRY(format_machine(text, &result->machine, error));
    LOAM_TRY(loam_bytes_format(text, error, ": %lld rounds of a prompt of %lld tokens and %lld new ones\n",
                               (long long)result->rounds, (long long)result->prompt_tokens,
                               (long long)result->new_tokens));
    LOAM_TRY(loam_bytes_format(text, error, "prompt  %.3f s median; %.1f tokens/s, %.1f GFLOP/s\n",
                               result->prefill_seconds, result->prefill_tokens_per_second,
                               result->prefill_gflops));
    LOAM_TRY(format_ceiling(text, &result->ceiling, result->prefill_of_ceiling, error));
    LOAM_TRY(format_peak(text, &result->machine, error));
    LOAM_TRY(
        loam_bytes_format(text, error, "new     %.2f tokens/s; a token reads %.0f MiB of weights: %.2f GB/s",
                          result->decode_tokens_per_second, (double)result->decode_weight_bytes / MEBIBYTE,
                          (double)result->decode_weight_bytes * result->decode_tokens_per_second / 1e9));
    LOAM_TRY(isfinite(result->of_bandwidth)
                 ? loam_bytes_format(text, error, ", %.3f of the %.2f GB/s of reading memory\n",
                                     result->of_bandwidth, result->read_bandwidth / 1e9)
                 : loam_bytes_append_text(text, "\n", error));
    LOAM_TRY(format_memory(text, result->peak_rss_bytes, &result->machine, error));
    LOAM_TRY(format_ops(text, "op, a prompt", result->prefill_ops, result->rounds,
                        result->prefill_ops_seconds, error));
    return format_ops(text, "op, all new tokens", result->decode_ops, result->rounds,
                      result->decode_ops_seconds, error);
}

// ---- The command ----

// Writes and releases `text`, which was formatted with the result `status`.
static enum loam_status write_text(const struct loam_callbacks *callbacks, struct loam_bytes *text,
                                   enum loam_status status, struct loam_error *error)
{
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text->data, text->size, error);
    loam_bytes_deinit(text);
    return status;
}

static enum loam_status run_step(const struct loam_bench_settings *bench, bool json,
                                 const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct loam_bench_step result;
    struct loam_bytes text = {0};
    LOAM_TRY(loam_bench_step_run(bench, callbacks, &result, error));
    if (json) return loam_output_json(callbacks, step_json(&result), JSON_INDENT(2), error);
    return write_text(callbacks, &text, format_step(&text, &result, error), error);
}

static enum loam_status run_matmul(const struct loam_bench_settings *bench, bool json,
                                   const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct loam_bench_matmul result;
    struct loam_bytes text = {0};
    enum loam_status status = loam_bench_matmul_run(bench, callbacks, &result, error);
    if (status == LOAM_OK && json)
        status = loam_output_json(callbacks, matmul_json(&result), JSON_INDENT(2), error);
    else if (status == LOAM_OK)
        status = write_text(callbacks, &text, format_matmul(&text, &result, error), error);
    loam_bench_matmul_deinit(&result);
    return status;
}

static enum loam_status run_generate(const struct loam_bench_settings *bench, bool json,
                                     const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct loam_bench_generate result;
    struct loam_bytes text = {0};
    LOAM_TRY(loam_bench_generate_run(bench, callbacks, &result, error));
    if (json) return loam_output_json(callbacks, generate_json(&result), JSON_INDENT(2), error);
    return write_text(callbacks, &text, format_generate(&text, &result, error), error);
}

enum loam_status loam_run_bench(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                                struct loam_error *error)
{
    static enum loam_status (*const kinds[])(const struct loam_bench_settings *, bool,
                                             const struct loam_callbacks *, struct loam_error *) = {
        [LOAM_BENCH_STEP] = run_step, [LOAM_BENCH_MATMUL] = run_matmul, [LOAM_BENCH_GENERATE] = run_generate};
    struct loam_bench_settings bench = settings->bench;
    bench.train = settings->train;
    return kinds[settings->bench_what](&bench, settings->json, callbacks, error);
}
