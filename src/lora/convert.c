#include "lora/convert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "io/gguf.h"
#include "lora/conversion.h"
#include "lora/target_names.h"
#include "model/gguf_rows.h"

const char *loam_adapter_form_name(enum loam_adapter_form form)
{
    static const char *const names[] = {"PEFT", "mlx-lm", "GGUF"};
    return names[form];
}

// ---- the form of the source ----

static enum loam_status has_file(const char *directory, const char *name, bool *there,
                                 struct loam_error *error)
{
    char *path = loam_path_join(directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    *there = loam_file_exists(path);
    free(path);
    return LOAM_OK;
}

static enum loam_status find_form_of_file(const char *path, enum loam_adapter_form *form,
                                          struct loam_error *error)
{
    struct loam_map map;
    LOAM_TRY(loam_map_open(&map, path, false, error));
    const bool gguf = loam_gguf_is(&map);
    loam_map_close(&map);
    *form = LOAM_FORM_GGUF;
    if (gguf) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s is no GGUF file: expected one, or the directory of an adapter of PEFT or mlx-lm",
                     path);
}

enum loam_status loam_adapter_form_find(const char *path, enum loam_adapter_form *form,
                                        struct loam_error *error)
{
    bool peft = false, pickled = false, mlx = false;
    if (loam_file_exists(path)) return find_form_of_file(path, form, error);
    if (!loam_directory_exists(path))
        return loam_fail(error, LOAM_ERROR_IO, "%s is neither a file nor a directory", path);
    LOAM_TRY(has_file(path, "adapter_model.safetensors", &peft, error));
    LOAM_TRY(has_file(path, "adapter_model.bin", &pickled, error));
    LOAM_TRY(has_file(path, "adapters.safetensors", &mlx, error));
    *form = mlx ? LOAM_FORM_MLX : LOAM_FORM_PEFT;
    if (mlx != (peft || pickled)) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        mlx ? "%s has adapter_model.safetensors of PEFT and adapters.safetensors of mlx-lm; expected one"
            : "%s has neither adapter_model.safetensors of PEFT nor adapters.safetensors of mlx-lm",
        path);
}

// ---- reading ----

// Marks a tensor of the container.
static void mark(const struct loam_conversion *conversion, const struct loam_stored_tensor *tensor,
                 bool *used)
{
    if (tensor != NULL) used[tensor - loam_container_at(conversion->file, 0)] = true;
}

enum loam_status loam_conversion_find_pair(const struct loam_conversion *conversion, const char *name,
                                           const char *const ends[2], bool *used,
                                           struct loam_converted_part *part, struct loam_error *error)
{
    const struct loam_stored_tensor *found[2] = {NULL, NULL};
    for (size_t i = 0; i < 2; i++) {
        char *full = loam_format(error, "%s%s", name, ends[i]);
        if (full == NULL) return LOAM_ERROR_MEMORY;
        found[i] = loam_container_find(conversion->file, full);
        free(full);
        mark(conversion, found[i], used);
    }
    part->a = found[0];
    part->b = found[1];
    if ((found[0] == NULL) == (found[1] == NULL)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: %s%s is missing", conversion->settings->path, name,
                     ends[found[0] == NULL ? 0 : 1]);
}

enum loam_status loam_conversion_check_used(const struct loam_conversion *conversion, const bool *used,
                                            struct loam_error *error)
{
    const char *base = conversion->model->config.family->model_type;
    for (size_t i = 0; i < loam_container_count(conversion->file); i++)
        if (!used[i])
            return loam_fail(
                error, LOAM_ERROR_UNSUPPORTED,
                "%s: tensor \"%s\" is no LoRA matrix of a linear module of this %s model (--model)",
                conversion->settings->path, loam_container_at(conversion->file, i)->name, base);
    return LOAM_OK;
}

// Checks a matrix [rows, columns], stored in the other order where `transposed`.
static enum loam_status check_matrix(const struct loam_conversion *conversion,
                                     const struct loam_stored_tensor *stored, bool transposed, int64_t rows,
                                     int64_t columns, struct loam_error *error)
{
    const int64_t wanted[2] = {transposed ? columns : rows, transposed ? rows : columns};
    if (!loam_format_decodes(stored->format))
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "%s: tensor \"%s\" is stored in a format that loam does not read; expected f32, f16 or bf16",
            conversion->settings->path, stored->name);
    if (stored->rank == 2 && stored->shape[0] == wanted[0] && stored->shape[1] == wanted[1]) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        "%s: tensor \"%s\" has another shape than [%lld, %lld], which the model (--model) asks for",
        conversion->settings->path, stored->name, (long long)wanted[0], (long long)wanted[1]);
}

static enum loam_status check_magnitude(const struct loam_conversion *conversion,
                                        const struct loam_stored_tensor *stored, int64_t out,
                                        struct loam_error *error)
{
    if (loam_format_decodes(stored->format) && stored->rank == 1 && stored->shape[0] == out) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor \"%s\" is not f32, f16 or bf16 [%lld]",
                     conversion->settings->path, stored->name, (long long)out);
}

enum loam_status loam_conversion_add(struct loam_conversion *conversion,
                                     const struct loam_converted_part *part, double scale,
                                     struct loam_error *error)
{
    const struct loam_linear *linear = part->linear;
    const bool transposed = conversion->from == LOAM_FORM_MLX;
    if (part->rank < 1 || part->rank > LOAM_LARGEST_RANK)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: %s has the rank %lld; expected 1 to %d",
                         conversion->settings->path, linear->path, (long long)part->rank, LOAM_LARGEST_RANK);
    if (!(scale > 0) || !isfinite(scale))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: the scale of the updates is %g; expected a number above 0",
                         conversion->settings->path, scale);
    LOAM_TRY(check_matrix(conversion, part->a, transposed, part->rank, linear->in, error));
    LOAM_TRY(check_matrix(conversion, part->b, transposed, linear->out, part->rank, error));
    if (part->magnitude != NULL) LOAM_TRY(check_magnitude(conversion, part->magnitude, linear->out, error));
    conversion->parts[conversion->count] = *part;
    conversion->parts[conversion->count].factor = 1;
    conversion->modules[conversion->count++] = (struct loam_made_module){
        .path = linear->path, .rank = part->rank, .in = linear->in, .out = linear->out, .scale = scale};
    return LOAM_OK;
}

static enum loam_status read_peft(struct loam_conversion *conversion, struct loam_error *error)
{
    const struct loam_convert_settings *settings = conversion->settings;
    const struct loam_adapter_base base = {.directory = settings->model};
    LOAM_TRY(loam_adapter_open_stored(&conversion->adapter, conversion->model, settings->path, &base, error));
    const struct loam_adapter *adapter = conversion->adapter;
    const char *beyond = loam_adapter_name_beyond(adapter, true);
    if (beyond != NULL)
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "%s: an adapter of mlx-lm has no place for %s: merge the adapter into its model instead "
            "(loam merge)",
            settings->path, beyond);
    loam_adapter_warn(adapter, settings->callbacks == NULL ? NULL : &settings->callbacks->log);
    conversion->config.dropout = adapter->config.dropout;
    conversion->config.dora = adapter->config.dora;
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        const struct loam_converted_part part = {.linear = item->linear,
                                                 .a = item->parts[LOAM_PART_A].stored,
                                                 .b = item->parts[LOAM_PART_B].stored,
                                                 .magnitude = item->parts[LOAM_PART_MAGNITUDE].stored,
                                                 .rank = item->slot->rank};
        LOAM_TRY(loam_conversion_add(conversion, &part, (double)item->slot->scale, error));
    }
    return LOAM_OK;
}

static enum loam_status read_source(struct loam_conversion *conversion, struct loam_error *error)
{
    const size_t linears = conversion->model->linear_count;
    conversion->parts = loam_calloc(linears, sizeof *conversion->parts, error);
    conversion->modules = loam_calloc(linears, sizeof *conversion->modules, error);
    if (conversion->parts == NULL || conversion->modules == NULL) return LOAM_ERROR_MEMORY;
    if (conversion->from == LOAM_FORM_PEFT) return read_peft(conversion, error);
    LOAM_TRY(conversion->from == LOAM_FORM_MLX ? loam_conversion_read_mlx(conversion, error)
                                               : loam_conversion_read_gguf(conversion, error));
    if (conversion->count > 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: no tensors", conversion->settings->path);
}

// ---- the matrices ----

static void read_elements(float *target, const struct loam_stored_tensor *stored, size_t first, size_t count)
{
    loam_format_convert(target, LOAM_F32, loam_format_at(stored->format, stored->data, first), stored->format,
                        count);
}

// target [columns, stride] = the transpose of a stored matrix [rows, columns], rows <= stride.
static void read_transposed(float *target, size_t stride, const struct loam_stored_tensor *stored)
{
    const size_t rows = (size_t)stored->shape[0], columns = (size_t)stored->shape[1];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            read_elements(&target[j * stride + i], stored, i * columns + j, 1);
}

// b [out, stride] of [out, rank], whose rows are in GGUF's order where the source is one.
static void read_rows(const struct loam_conversion *conversion, const struct loam_converted_part *part,
                      float *b, size_t stride)
{
    const bool gguf = conversion->from == LOAM_FORM_GGUF;
    const enum loam_gguf_rows order = part->linear->weight->row->gguf_rows;
    for (int64_t i = 0; i < part->linear->out; i++) {
        const int64_t row = gguf ? loam_gguf_source_row(&conversion->model->config, order, i) : i;
        read_elements(b + (size_t)row * stride, part->b, (size_t)(i * part->rank), (size_t)part->rank);
    }
}

static enum loam_status compute(void *user, size_t module, const struct loam_made_values *values,
                                struct loam_error *error)
{
    const struct loam_conversion *conversion = user;
    const struct loam_converted_part *part = &conversion->parts[module];
    const struct loam_made_module *made = &conversion->modules[module];
    const size_t stride = (size_t)made->rank;
    (void)error;
    if (conversion->from == LOAM_FORM_MLX) {
        read_transposed(values->a, (size_t)made->in, part->a);
        read_transposed(values->b, stride, part->b);
    } else {
        read_elements(values->a, part->a, 0, (size_t)(part->rank * made->in));
        read_rows(conversion, part, values->b, stride);
    }
    for (size_t i = 0; i < (size_t)made->out * stride && part->factor != 1; i++)
        values->b[i] *= (float)part->factor;
    if (part->magnitude != NULL) read_elements(values->magnitude, part->magnitude, 0, (size_t)made->out);
    return LOAM_OK;
}

// ---- writing ----

static enum loam_status write_peft(struct loam_conversion *conversion, const struct loam_made_adapter *made,
                                   struct loam_error *error)
{
    const struct loam_convert_settings *settings = conversion->settings;
    struct loam_adapter_config *config = &conversion->config;
    const struct loam_linear **linears = loam_calloc(made->count, sizeof *linears, error);
    if (linears == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < made->count; i++) {
        linears[i] = conversion->parts[i].linear;
        if ((linears[i]->weight->row->flags & LOAM_WEIGHT_TRANSPOSED) != 0) config->fan_in_fan_out = true;
    }
    config->init = (struct loam_lora_init_choice){.kind = LOAM_LORA_KAIMING};
    enum loam_status status =
        loam_targets_name(&config->targets, conversion->model, linears, made->count, error);
    free(linears);
    LOAM_TRY(status);
    LOAM_TRY(loam_made_adapter_describe(made, config, error));
    const struct loam_made_output output = {.directory = settings->out,
                                            .overwrite = settings->overwrite,
                                            .base_model = settings->base_model,
                                            .revision = settings->revision,
                                            .callbacks = settings->callbacks};
    return loam_made_adapter_write(made, config, &output, error);
}

// ---- all ----

static enum loam_status check_settings(const struct loam_conversion *conversion, struct loam_error *error)
{
    const struct loam_convert_settings *settings = conversion->settings;
    if (conversion->from == settings->to)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "%s is an adapter of %s already: --to names another form", settings->path,
                         loam_adapter_form_name(settings->to));
    if (!loam_directory_same(settings->out, settings->path)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "--out %s is the directory of the adapter that is converted; choose another",
                     settings->out);
}

static enum loam_status run_convert(struct loam_conversion *conversion, struct loam_convert_result *result,
                                    struct loam_error *error)
{
    const struct loam_convert_settings *settings = conversion->settings;
    const struct loam_log *log = settings->callbacks == NULL ? NULL : &settings->callbacks->log;
    struct loam_config config;
    LOAM_TRY(loam_adapter_form_find(settings->path, &conversion->from, error));
    LOAM_TRY(check_settings(conversion, error));
    LOAM_TRY(loam_config_load(&config, settings->model, error));
    LOAM_TRY(loam_model_create(&conversion->model, &config, error));
    LOAM_TRY(read_source(conversion, error));
    if (conversion->adapter != NULL) loam_adapter_warn(conversion->adapter, log);
    *result = (struct loam_convert_result){.from = conversion->from, .modules = conversion->count};
    for (size_t i = 0; i < conversion->count; i++)
        if (conversion->modules[i].rank > result->rank) result->rank = conversion->modules[i].rank;
    const struct loam_made_adapter made = {.modules = conversion->modules,
                                           .count = conversion->count,
                                           .dora = conversion->config.dora,
                                           .compute = compute,
                                           .user = conversion};
    LOAM_TRY(settings->to == LOAM_FORM_PEFT ? write_peft(conversion, &made, error)
                                            : loam_conversion_write_mlx(conversion, &made, error));
    result->parameters = loam_made_adapter_parameters(&made);
    return LOAM_OK;
}

enum loam_status loam_adapter_convert(const struct loam_convert_settings *settings,
                                      struct loam_convert_result *result, struct loam_error *error)
{
    struct loam_conversion conversion = {.settings = settings};
    enum loam_status status = run_convert(&conversion, result, error);
    free(conversion.parts);
    free(conversion.modules);
    loam_adapter_config_deinit(&conversion.config);
    loam_adapter_destroy(conversion.adapter);
    loam_container_destroy(conversion.file);
    loam_model_destroy(conversion.model);
    return status;
}
