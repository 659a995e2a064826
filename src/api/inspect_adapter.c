// What an adapter directory holds: rank, targets, and how far each module has moved.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/inspect.h"
#include "api/output.h"
#include "base/file.h"
#include "base/heap.h"
#include "io/safetensors.h"
#include "lora/adapter_config.h"

static const char suffix_a[] = ".lora_A.weight", suffix_b[] = ".lora_B.weight",
                  prefix[] = "base_model.model.";

struct module {
    const char *name; // "transformer.h.0.self_attention.query_key_value", not NUL-terminated
    int name_size;
    int64_t rank;
    int64_t in;
    int64_t out;
    double a_norm; // Frobenius norms
    double b_norm;
    double update_norm; // of B A times its scale
};

struct adapter_view {
    struct loam_adapter_config config;
    struct loam_safetensors *file;
    char *targets;
    struct module *modules;
    size_t count;
    int64_t parameters;
};

// The tensor's elements as f32, released with free().
static float *to_f32(const struct loam_stored_tensor *tensor, struct loam_error *error)
{
    size_t count = (size_t)(tensor->shape[0] * tensor->shape[1]);
    float *values = loam_calloc(count, sizeof *values, error);
    if (values != NULL) loam_convert(values, LOAM_F32, tensor->data, tensor->dtype, count);
    return values;
}

static double dot(const float *x, int64_t x_stride, const float *y, int64_t y_stride, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i * x_stride] * (double)y[i * y_stride];
    return sum;
}

// a [r, in], b [out, r]: |B A|^2 = sum over i, j of (A AT)[i, j] (BT B)[i, j], so the product itself, as
// large as the model's own weight, is never made.
static void measure(struct module *module, const float *a, const float *b, double scale)
{
    int64_t r = module->rank;
    double a_square = 0, b_square = 0, update_square = 0;
    for (int64_t i = 0; i < r; i++) {
        for (int64_t j = 0; j < r; j++) {
            double rows_of_a = dot(a + i * module->in, 1, a + j * module->in, 1, module->in);
            double columns_of_b = dot(b + i, r, b + j, r, module->out);
            update_square += rows_of_a * columns_of_b;
            if (i != j) continue;
            a_square += rows_of_a;
            b_square += columns_of_b;
        }
    }
    module->a_norm = sqrt(a_square);
    module->b_norm = sqrt(b_square);
    module->update_norm = scale * sqrt(fmax(update_square, 0));
}

static bool is_real(const struct loam_stored_tensor *tensor)
{
    return tensor->dtype == LOAM_F32 || tensor->dtype == LOAM_F16 || tensor->dtype == LOAM_BF16;
}

// What a module's B A is multiplied with.
static enum loam_status find_scale(const struct adapter_view *view, const struct module *module,
                                   double *scale, struct loam_error *error)
{
    int rank;
    char *name = loam_strndup(module->name, (size_t)module->name_size, error);
    if (name == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_adapter_config_module(&view->config, name, &rank, scale, error);
    free(name);
    return status;
}

static enum loam_status add_module(struct adapter_view *view, const struct loam_stored_tensor *a,
                                   const struct loam_stored_tensor *b, struct loam_error *error)
{
    if (a->rank != 2 || b->rank != 2 || a->shape[0] != b->shape[1])
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: %s and its lora_B do not fit together: expected [r,in] and [out,r]", a->file,
                         a->name);
    if (!is_real(a) || !is_real(b))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: %s: expected F32, F16 or BF16", a->file,
                         a->name);
    struct module *module = &view->modules[view->count];
    size_t size = strlen(a->name) - (sizeof suffix_a - 1);
    size_t skipped =
        size >= sizeof prefix - 1 && strncmp(a->name, prefix, sizeof prefix - 1) == 0 ? sizeof prefix - 1 : 0;
    *module = (struct module){.name = a->name + skipped,
                              .name_size = (int)(size - skipped),
                              .rank = a->shape[0],
                              .in = a->shape[1],
                              .out = b->shape[0]};
    double scale;
    LOAM_TRY(find_scale(view, module, &scale, error));
    float *a_values = to_f32(a, error);
    float *b_values = a_values == NULL ? NULL : to_f32(b, error);
    if (b_values != NULL) {
        measure(module, a_values, b_values, scale);
        view->count++;
        view->parameters += module->rank * (module->in + module->out);
    }
    free(a_values);
    free(b_values);
    return b_values == NULL ? error->status : LOAM_OK;
}

static enum loam_status read_modules(struct adapter_view *view, struct loam_error *error)
{
    size_t count = loam_safetensors_count(view->file);
    view->modules = loam_calloc(count, sizeof *view->modules, error);
    if (view->modules == NULL) return error->status;
    for (size_t i = 0; i < count; i++) {
        const struct loam_stored_tensor *a = loam_safetensors_at(view->file, i);
        if (!loam_ends_with(a->name, suffix_a)) continue;
        char *name_b =
            loam_format(error, "%.*s%s", (int)(strlen(a->name) - (sizeof suffix_a - 1)), a->name, suffix_b);
        if (name_b == NULL) return error->status;
        const struct loam_stored_tensor *b = loam_safetensors_find(view->file, name_b);
        enum loam_status status =
            b != NULL ? add_module(view, a, b, error)
                      : loam_fail(error, LOAM_ERROR_FORMAT, "%s: %s is missing", a->file, name_b);
        free(name_b);
        if (status != LOAM_OK) return status;
    }
    return LOAM_OK;
}

static enum loam_status open_view(struct adapter_view *view, const char *directory, struct loam_error *error)
{
    LOAM_TRY(loam_adapter_config_load(&view->config, directory, error));
    char *path = loam_path_join(directory, "adapter_model.safetensors", error);
    if (path == NULL) return error->status;
    enum loam_status status = loam_safetensors_open_file(&view->file, path, error);
    free(path);
    if (status != LOAM_OK) return status;
    struct loam_bytes targets = {0};
    status = loam_targets_describe(&view->config.targets, &targets, error);
    view->targets = targets.data;
    return status == LOAM_OK ? read_modules(view, error) : status;
}

static void close_view(struct adapter_view *view)
{
    free(view->modules);
    free(view->targets);
    loam_safetensors_destroy(view->file);
    loam_adapter_config_deinit(&view->config);
}

static enum loam_status format_text(struct loam_bytes *text, const struct adapter_view *view,
                                    struct loam_error *error)
{
    const struct loam_adapter_config *config = &view->config;
    char number[LOAM_GROUPED_SIZE];
    LOAM_TRY(loam_bytes_format(
        text, error,
        "LoRA adapter of %s%s%s\nrank:       %d%s\nalpha:      %g%s (scale %g%s)\ndropout:    %g\n"
        "targets:    %s\nparameters: %s\n\n%10s %10s %10s  module\n",
        config->base_model == NULL ? "an unnamed model" : config->base_model,
        config->revision == NULL ? "" : "@", config->revision == NULL ? "" : config->revision, config->rank,
        config->ranks.count > 0 ? ", others by rank_pattern" : "", config->alpha,
        config->alphas.count > 0 ? ", others by alpha_pattern" : "",
        config->alpha / (config->rslora ? sqrt(config->rank) : config->rank),
        config->rslora ? ", rank-stabilised" : "", config->dropout, view->targets,
        loam_grouped(view->parameters, number), "|A|", "|B|", "|update|"));
    for (size_t i = 0; i < view->count; i++) {
        const struct module *module = &view->modules[i];
        LOAM_TRY(loam_bytes_format(text, error, "%10.4f %10.4f %10.4f  %.*s [%lld, %lld]\n", module->a_norm,
                                   module->b_norm, module->update_norm, module->name_size, module->name,
                                   (long long)module->out, (long long)module->in));
    }
    return LOAM_OK;
}

static json_t *view_json(const struct adapter_view *view)
{
    const struct loam_adapter_config *config = &view->config;
    json_t *modules = json_array();
    for (size_t i = 0; i < view->count; i++) {
        const struct module *module = &view->modules[i];
        loam_json_push(&modules,
                       json_pack("{s:s%, s:I, s:I, s:I, s:o, s:o, s:o}", "module", module->name,
                                 (size_t)module->name_size, "r", (json_int_t)module->rank, "in",
                                 (json_int_t)module->in, "out", (json_int_t)module->out, "a_norm",
                                 loam_json_number(module->a_norm), "b_norm", loam_json_number(module->b_norm),
                                 "update_norm", loam_json_number(module->update_norm)));
    }
    return json_pack("{s:s, s:s?, s:s?, s:i, s:o, s:f, s:o, s:b, s:f, s:s, s:I, s:o}", "kind", "adapter",
                     "base_model_name_or_path", config->base_model, "revision", config->revision, "r",
                     config->rank, "rank_pattern", loam_module_values_json(&config->ranks), "lora_alpha",
                     config->alpha, "alpha_pattern", loam_module_values_json(&config->alphas), "use_rslora",
                     config->rslora, "lora_dropout", config->dropout, "target_modules", view->targets,
                     "parameters", (json_int_t)view->parameters, "modules", modules);
}

enum loam_status loam_inspect_adapter(const struct loam_settings *settings,
                                      const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct adapter_view view = {0};
    struct loam_bytes text = {0};
    enum loam_status status = open_view(&view, settings->path, error);
    if (status == LOAM_OK && settings->json)
        status = loam_output_json(callbacks, view_json(&view), JSON_INDENT(2), error);
    if (status == LOAM_OK && !settings->json) status = format_text(&text, &view, error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    close_view(&view);
    return status;
}
