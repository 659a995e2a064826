#include "lora/export.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/log.h"
#include "io/atomic.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "lora/adapter.h"
#include "model/gguf_rows.h"

// The state of a conversion. The tensors are A and B of each item in turn.
struct export
{
    const struct loam_export_settings *settings;
    struct loam_model *model; // names and shapes
    struct loam_adapter *adapter;
    struct loam_write_tensor *tensors; // [2 items]
    char **names;                      // [2 items]
    float *row;                        // [the largest r]
    int64_t done;                      // bytes written
    int64_t total;                     // bytes to write
};

// ---- the tensors ----

// Returns "blk.3.attn_q.weight.lora_a", released with free().
static char *format_tensor_name(const struct loam_parameter *weight, char matrix, struct loam_error *error)
{
    char *name = loam_gguf_tensor_name(weight, error);
    if (name == NULL) return NULL;
    char *full = loam_format(error, "%s.lora_%c", name, matrix);
    free(name);
    return full;
}

static enum loam_status describe_tensor(struct export *export, size_t i, char matrix,
                                        const struct loam_tensor *shape, struct loam_error *error)
{
    const struct loam_linear *linear = export->adapter->items[i / 2].linear;
    export->names[i] = format_tensor_name(linear->weight, matrix, error);
    if (export->names[i] == NULL) return LOAM_ERROR_MEMORY;
    export->tensors[i] = (struct loam_write_tensor){.name = export->names[i],
                                                    .dtype = export->settings->dtype,
                                                    .rank = 2,
                                                    .shape = {shape->shape[0], shape->shape[1]}};
    return LOAM_OK;
}

static enum loam_status describe_all(struct export *export, struct loam_export_result *result,
                                     struct loam_error *error)
{
    const struct loam_adapter *adapter = export->adapter;
    int rank = 0;
    export->tensors = loam_calloc(2 * adapter->count, sizeof *export->tensors, error);
    export->names = loam_calloc(2 * adapter->count, sizeof *export->names, error);
    if (export->tensors == NULL || export->names == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_lora_slot *slot = adapter->items[i].slot;
        LOAM_TRY(describe_tensor(export, 2 * i, 'a', &slot->a, error));
        LOAM_TRY(describe_tensor(export, 2 * i + 1, 'b', &slot->b, error));
        if (slot->rank > rank) rank = slot->rank;
    }
    export->row = loam_calloc((size_t)rank, sizeof *export->row, error);
    *result = (struct loam_export_result){.modules = adapter->count,
                                          .bytes = (size_t)loam_adapter_parameters(adapter) *
                                                   loam_dtype_size(export->settings->dtype)};
    export->total = (int64_t)result->bytes;
    return export->row != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

// ---- the elements ----

// Returns the factor of B with which the reader's alpha / r gives the adapter's scale.
static float compute_correction(const struct loam_adapter *adapter, const struct loam_lora_slot *slot)
{
    return slot->scale / ((float)adapter->config.alpha / (float)slot->rank);
}

// Writes elements [first, first + count) of B [out, r], with its rows in GGUF's order.
static void fill_b(const struct export *export, const struct loam_adapted *item, size_t first, size_t count,
                   char *block)
{
    const struct loam_stored_tensor *stored = item->parts[LOAM_PART_B].stored;
    enum loam_dtype dtype = export->settings->dtype;
    size_t rank = (size_t)item->slot->rank;
    float factor = compute_correction(export->adapter, item->slot);
    for (size_t done = 0; done < count;) {
        size_t column = (first + done) % rank;
        size_t step = count - done < rank - column ? count - done : rank - column;
        int64_t row = loam_gguf_source_row(&export->model->config, item->linear->weight->row->gguf_rows,
                                           (int64_t)((first + done) / rank));
        const uint8_t *elements = loam_format_at(stored->format, stored->data, (size_t)row * rank + column);
        loam_format_convert(export->row, LOAM_F32, elements, stored->format, step);
        for (size_t i = 0; i < step; i++)
            export->row[i] *= factor;
        loam_convert(block + done * loam_dtype_size(dtype), dtype, export->row, LOAM_F32, step);
        done += step;
    }
}

static enum loam_status fill_block(void *user, size_t index, size_t first, size_t count, void *block,
                                   struct loam_error *error)
{
    struct export *export = user;
    const struct loam_adapted *item = &export->adapter->items[index / 2];
    const struct loam_stored_tensor *stored = item->parts[index % 2 == 0 ? LOAM_PART_A : LOAM_PART_B].stored;
    enum loam_dtype dtype = export->settings->dtype;
    if (index % 2 == 0)
        loam_format_convert(block, dtype, loam_format_at(stored->format, stored->data, first), stored->format,
                            count);
    else
        fill_b(export, item, first, count, block);
    export->done += (int64_t)(count * loam_dtype_size(dtype));
    if (loam_all_finite(block, dtype, count))
        return loam_event_progress(export->settings->callbacks, LOAM_ACTIVITY_WRITE, export->done,
                                   export->total, error);
    return loam_fail(error, LOAM_ERROR_NUMERIC, "%s: tensor \"%s\" would have values that are not finite%s",
                     stored->file, stored->name,
                     dtype == LOAM_F16 ? " in f16, which ends at 65504: choose --dtype f32"
                                       : "; the adapter is broken");
}

// ---- the file ----

static enum loam_status check_family(const struct loam_family *family, struct loam_error *error)
{
    if (family->gguf_architecture != NULL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "llama.cpp has no architecture for a %s model: an adapter of it has no GGUF form",
                     family->model_type);
}

static enum loam_status write_file(struct export *export, struct loam_error *error)
{
    const struct loam_gguf_value values[] = {
        {.key = "general.architecture",
         .type = LOAM_GGUF_STRING,
         .text = export->model->config.family->gguf_architecture},
        {.key = "general.type", .type = LOAM_GGUF_STRING, .text = "adapter"},
        {.key = "general.file_type",
         .type = LOAM_GGUF_U32,
         .number = export->settings->dtype == LOAM_F16}, // all f32, or mostly f16
        {.key = "adapter.type", .type = LOAM_GGUF_STRING, .text = "lora"},
        {.key = "adapter.lora.alpha", .type = LOAM_GGUF_F32, .real = (float)export->adapter->config.alpha},
    };
    const struct loam_write_source source = {.fill = fill_block, .user = export};
    loam_atomic_clear(export->settings->path);
    return loam_gguf_write(export->settings->path, values, sizeof values / sizeof values[0], export->tensors,
                           2 * export->adapter->count, &source, error);
}

static enum loam_status check_parts(const struct export *export, struct loam_error *error)
{
    const char *what = loam_adapter_name_beyond(export->adapter, false);
    if (what == NULL) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "%s: a GGUF adapter has no place for %s: merge the adapter into its model instead (loam merge)",
        export->settings->adapter, what);
}

static enum loam_status open_adapter(struct export *export, struct loam_error *error)
{
    const struct loam_export_settings *settings = export->settings;
    const struct loam_adapter_base base = {.directory = settings->model};
    LOAM_TRY(loam_adapter_open_stored(&export->adapter, export->model, settings->adapter, &base, error));
    LOAM_TRY(check_parts(export, error));
    loam_adapter_warn(export->adapter, settings->callbacks == NULL ? NULL : &settings->callbacks->log);
    return LOAM_OK;
}

static enum loam_status run_export(struct export *export, struct loam_export_result *result,
                                   struct loam_error *error)
{
    struct loam_config config;
    LOAM_TRY(loam_output_file_check(export->settings->path, export->settings->overwrite, error));
    LOAM_TRY(loam_config_load(&config, export->settings->model, error));
    LOAM_TRY(check_family(config.family, error));
    LOAM_TRY(loam_model_create(&export->model, &config, error));
    LOAM_TRY(open_adapter(export, error));
    LOAM_TRY(describe_all(export, result, error));
    return write_file(export, error);
}

enum loam_status loam_export_gguf(const struct loam_export_settings *settings,
                                  struct loam_export_result *result, struct loam_error *error)
{
    struct export export = {.settings = settings};
    enum loam_status status = run_export(&export, result, error);
    for (size_t i = 0; export.names != NULL && i < 2 * export.adapter->count; i++)
        free(export.names[i]);
    free(export.names);
    free(export.tensors);
    free(export.row);
    loam_adapter_destroy(export.adapter);
    loam_model_destroy(export.model);
    return status;
}
