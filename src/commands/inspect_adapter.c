// Shows an adapter directory: rank, targets, and the norms of each module.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "commands/inspect.h"
#include "commands/output.h"
#include "lora/adapter_stored.h"

// The norms of one module.
struct measures {
    double a_norm; // Frobenius norms
    double b_norm;
    double update_norm; // of B A times its scale
};

struct adapter_view {
    struct loam_adapter_config config;
    struct loam_stored_adapter stored;
    char *targets;
    struct measures *measures; // [stored.count]
    double *norms;             // [stored.parameter_count] Frobenius norms
    char *saved;               // modules_to_save as text
    int64_t parameters;
};

// Copies the tensor's elements as f32. Release them with free().
static float *copy_as_f32(const struct loam_stored_tensor *tensor, struct loam_error *error)
{
    const size_t count = loam_format_elements(tensor->format, tensor->bytes);
    float *values = loam_calloc(count, sizeof *values, error);
    if (values != NULL) loam_format_convert(values, LOAM_F32, tensor->data, tensor->format, count);
    return values;
}

static double dot(const float *x, int64_t x_stride, const float *y, int64_t y_stride, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i * x_stride] * (double)y[i * y_stride];
    return sum;
}

// a [r, in], b [out, r]. |B A|^2 = sum over i, j of (A AT)[i, j] (BT B)[i, j], which does not need the
// product B A, as large as the module's weight.
static struct measures compute_norms(const struct loam_stored_module *module, const float *a, const float *b,
                                     double scale)
{
    int64_t r = module->a->shape[0], in = module->a->shape[1], out = module->b->shape[0];
    double a_square = 0, b_square = 0, update_square = 0;
    for (int64_t i = 0; i < r; i++) {
        for (int64_t j = 0; j < r; j++) {
            double rows_of_a = dot(a + i * in, 1, a + j * in, 1, in);
            double columns_of_b = dot(b + i, r, b + j, r, out);
            update_square += rows_of_a * columns_of_b;
            if (i != j) continue;
            a_square += rows_of_a;
            b_square += columns_of_b;
        }
    }
    return (struct measures){sqrt(a_square), sqrt(b_square), scale * sqrt(fmax(update_square, 0))};
}

static enum loam_status measure_module(struct adapter_view *view, size_t index, struct loam_error *error)
{
    const struct loam_stored_module *module = &view->stored.modules[index];
    int rank;
    double scale;
    if (module->tokens != NULL) view->parameters += module->tokens->shape[0] * module->tokens->shape[1];
    if (!loam_stored_module_is_adapted(module)) return LOAM_OK;
    LOAM_TRY(loam_adapter_config_module(&view->config, module->path, &rank, &scale, error));
    float *a = copy_as_f32(module->a, error);
    float *b = a == NULL ? NULL : copy_as_f32(module->b, error);
    if (b != NULL) {
        view->measures[index] = compute_norms(module, a, b, scale);
        view->parameters += rank * (module->a->shape[1] + module->b->shape[0]);
        if (module->magnitude != NULL) view->parameters += module->magnitude->shape[0];
        if (module->bias != NULL) view->parameters += module->bias->shape[0];
    }
    free(a);
    free(b);
    return b == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

static enum loam_status measure_all(struct adapter_view *view, struct loam_error *error)
{
    view->measures = loam_calloc(view->stored.count, sizeof *view->measures, error);
    if (view->measures == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < view->stored.count; i++)
        LOAM_TRY(measure_module(view, i, error));
    return LOAM_OK;
}

static enum loam_status measure_parameters(struct adapter_view *view, struct loam_error *error)
{
    const size_t total = view->stored.parameter_count;
    view->norms = loam_calloc(total, sizeof *view->norms, error);
    if (view->norms == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < total; i++) {
        const struct loam_stored_tensor *tensor = view->stored.parameters[i].tensor;
        const int64_t count = (int64_t)loam_format_elements(tensor->format, tensor->bytes);
        float *values = copy_as_f32(tensor, error);
        if (values == NULL) return LOAM_ERROR_MEMORY;
        view->norms[i] = sqrt(dot(values, 1, values, 1, count));
        view->parameters += count;
        free(values);
    }
    return LOAM_OK;
}

static enum loam_status note_unused(struct adapter_view *view, struct loam_error *error)
{
    size_t count = 0;
    struct loam_module_size *sizes = loam_calloc(view->stored.count, sizeof *sizes, error);
    if (sizes == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < view->stored.count; i++) {
        const struct loam_stored_module *module = &view->stored.modules[i];
        if (!loam_stored_module_is_adapted(module)) continue;
        sizes[count++] = (struct loam_module_size){module->path, module->a->shape[0], module->a->shape[1],
                                                   module->b->shape[0]};
    }
    enum loam_status status = loam_adapter_config_note_unused(&view->config, sizes, count, error);
    free(sizes);
    return status;
}

static enum loam_status open_view(struct adapter_view *view, const char *directory, struct loam_error *error)
{
    LOAM_TRY(loam_adapter_config_load(&view->config, directory, error));
    LOAM_TRY(loam_stored_adapter_open(&view->stored, directory, error));
    LOAM_TRY(loam_stored_adapter_note(&view->stored, &view->config, error));
    LOAM_TRY(loam_stored_adapter_check(&view->stored, &view->config, error));
    LOAM_TRY(note_unused(view, error));
    struct loam_bytes targets = {0};
    enum loam_status status = loam_targets_describe(&view->config.targets, &targets, error);
    view->targets = targets.data;
    struct loam_bytes saved = {0};
    if (status == LOAM_OK) status = loam_targets_describe(&view->config.saved, &saved, error);
    view->saved = saved.data;
    if (status == LOAM_OK) status = measure_all(view, error);
    return status == LOAM_OK ? measure_parameters(view, error) : status;
}

static void close_view(struct adapter_view *view)
{
    free(view->measures);
    free(view->norms);
    free(view->saved);
    free(view->targets);
    loam_stored_adapter_close(&view->stored);
    loam_adapter_config_deinit(&view->config);
}

static enum loam_status format_replaced(struct loam_bytes *text, const struct adapter_view *view,
                                        struct loam_error *error)
{
    for (size_t i = 0; i < view->stored.parameter_count; i++) {
        const struct loam_stored_parameter *parameter = &view->stored.parameters[i];
        const struct loam_stored_tensor *tensor = parameter->tensor;
        if (i == 0) LOAM_TRY(loam_bytes_format(text, error, "\n%10s  parameter as a whole\n", "|W|"));
        LOAM_TRY(loam_bytes_format(text, error, "%10.4f  %s [%lld", view->norms[i], parameter->name,
                                   (long long)tensor->shape[0]));
        if (tensor->rank == 2)
            LOAM_TRY(loam_bytes_format(text, error, ", %lld", (long long)tensor->shape[1]));
        LOAM_TRY(loam_bytes_append_text(text, "]\n", error));
    }
    return LOAM_OK;
}

static enum loam_status format_text(struct loam_bytes *text, const struct adapter_view *view,
                                    struct loam_error *error)
{
    const struct loam_adapter_config *config = &view->config;
    char number[LOAM_GROUPED_SIZE];
    LOAM_TRY(loam_bytes_append_line(text, error, "LoRA adapter of %s%s%s",
                                    config->base_model == NULL ? "an unnamed model" : config->base_model,
                                    config->revision == NULL ? "" : "@",
                                    config->revision == NULL ? "" : config->revision));
    LOAM_TRY(loam_bytes_append_line(text, error, "rank:       %d%s", config->rank,
                                    config->ranks.used > 0 ? ", others by rank_pattern" : ""));
    LOAM_TRY(loam_bytes_append_line(text, error, "alpha:      %g%s (scale %g%s)", config->alpha,
                                    config->alphas.used > 0 ? ", others by alpha_pattern" : "",
                                    config->alpha / (config->rslora ? sqrt(config->rank) : config->rank),
                                    config->rslora ? ", rank-stabilised" : ""));
    if (config->dora) LOAM_TRY(loam_bytes_append_line(text, error, "magnitude:  trained (DoRA)"));
    if (config->lora_bias) LOAM_TRY(loam_bytes_append_line(text, error, "bias of B:  trained (lora_bias)"));
    LOAM_TRY(loam_bytes_append_line(text, error, "dropout:    %g", config->dropout));
    LOAM_TRY(loam_bytes_append_line(text, error, "targets:    %s", view->targets));
    if (config->saved.count > 0)
        LOAM_TRY(loam_bytes_append_line(text, error, "saved:      %s%s", view->saved,
                                        config->ensure_weight_tying ? " (with the tied head)" : ""));
    if (config->bias != LOAM_BIAS_NONE)
        LOAM_TRY(loam_bytes_append_line(text, error, "biases:     %s", loam_lora_bias_name(config->bias)));
    LOAM_TRY(loam_bytes_format(text, error, "parameters: %s\n\n%10s %10s %10s  module\n",
                               loam_grouped(view->parameters, number), "|A|", "|B|", "|update|"));
    for (size_t i = 0; i < view->stored.count; i++) {
        const struct loam_stored_module *module = &view->stored.modules[i];
        const struct measures *measures = &view->measures[i];
        if (module->tokens != NULL)
            LOAM_TRY(loam_bytes_append_line(text, error, "%32s  %s: rows of %lld trained tokens", "",
                                            module->path, (long long)module->tokens->shape[0]));
        if (!loam_stored_module_is_adapted(module)) continue;
        LOAM_TRY(loam_bytes_append_line(text, error, "%10.4f %10.4f %10.4f  %s [%lld, %lld]",
                                        measures->a_norm, measures->b_norm, measures->update_norm,
                                        module->path, (long long)module->b->shape[0],
                                        (long long)module->a->shape[1]));
    }
    return format_replaced(text, view, error);
}

static json_t *names_json(const struct loam_targets *list)
{
    json_t *names = json_array();
    for (size_t i = 0; i < list->count; i++)
        loam_json_push(&names, json_string(list->entries[i]));
    return names;
}

static json_t *replaced_json(const struct adapter_view *view)
{
    json_t *all = json_array();
    for (size_t i = 0; i < view->stored.parameter_count; i++) {
        const struct loam_stored_tensor *tensor = view->stored.parameters[i].tensor;
        json_t *shape = json_array();
        for (int d = 0; d < tensor->rank; d++)
            loam_json_push(&shape, json_integer((json_int_t)tensor->shape[d]));
        loam_json_push(&all, json_pack("{s:s, s:o, s:o}", "parameter", view->stored.parameters[i].name,
                                       "shape", shape, "norm", loam_json_number(view->norms[i])));
    }
    return all;
}

static json_t *view_json(const struct adapter_view *view)
{
    const struct loam_adapter_config *config = &view->config;
    json_t *modules = json_array();
    for (size_t i = 0; i < view->stored.count; i++) {
        const struct loam_stored_module *module = &view->stored.modules[i];
        const struct measures *measures = &view->measures[i];
        if (!loam_stored_module_is_adapted(module)) continue;
        loam_json_push(
            &modules, json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "module", module->path, "r",
                                (json_int_t)module->a->shape[0], "in", (json_int_t)module->a->shape[1], "out",
                                (json_int_t)module->b->shape[0], "a_norm", loam_json_number(measures->a_norm),
                                "b_norm", loam_json_number(measures->b_norm), "update_norm",
                                loam_json_number(measures->update_norm)));
    }
    return json_pack(
        "{s:s, s:s?, s:s?, s:i, s:o, s:f, s:o, s:b, s:b, s:b, s:o, s:f, s:s, s:o, s:s, s:b, s:I, s:o, s:o}",
        "kind", "adapter", "base_model_name_or_path", config->base_model, "revision", config->revision, "r",
        config->rank, "rank_pattern", loam_module_values_json(&config->ranks), "lora_alpha", config->alpha,
        "alpha_pattern", loam_module_values_json(&config->alphas), "use_rslora", config->rslora, "use_dora",
        config->dora, "lora_bias", config->lora_bias, "trainable_token_indices",
        loam_token_choice_json(&config->trained_tokens), "lora_dropout", config->dropout, "target_modules",
        view->targets, "modules_to_save", names_json(&config->saved), "bias",
        loam_lora_bias_name(config->bias), "ensure_weight_tying", config->ensure_weight_tying, "parameters",
        (json_int_t)view->parameters, "modules", modules, "replaced", replaced_json(view));
}

enum loam_status loam_inspect_adapter(const struct loam_settings *settings,
                                      const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct adapter_view view = {0};
    struct loam_bytes text = {0};
    enum loam_status status = open_view(&view, settings->path, error);
    if (status == LOAM_OK) loam_adapter_config_warn(&view.config, &callbacks->log);
    if (status == LOAM_OK && settings->json)
        status = loam_output_json(callbacks, view_json(&view), JSON_INDENT(2), error);
    if (status == LOAM_OK && !settings->json) status = format_text(&text, &view, error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    close_view(&view);
    return status;
}
