#include "lora/made_adapter.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/file.h"
#include "base/heap.h"
#include "io/safetensors.h"
#include "io/staging.h"
#include "lora/adapter.h"

enum { PART_COUNT = LOAM_PART_MAGNITUDE + 1 }; // A, B and the magnitude

// ---- the config ----

static double alpha_of(const struct loam_made_module *module, bool rslora)
{
    return module->scale * (rslora ? sqrt((double)module->rank) : (double)module->rank);
}

// Appends "KEY=N", where KEY is the path as a regular expression.
static enum loam_status append_value(struct loam_bytes *text, const char *path, double value,
                                     struct loam_error *error)
{
    char number[LOAM_DECIMAL_SIZE];
    if (text->size > 0) LOAM_TRY(loam_bytes_append_text(text, ",", error));
    for (const char *at = path; *at != '\0'; at++)
        LOAM_TRY(loam_bytes_format(text, error, *at == '.' ? "\\%c" : "%c", *at));
    loam_decimal_format(value, number);
    return loam_bytes_format(text, error, "=%s", number);
}

static enum loam_status list_values(const struct loam_made_adapter *made,
                                    const struct loam_adapter_config *config, struct loam_bytes *ranks,
                                    struct loam_bytes *alphas, struct loam_error *error)
{
    for (size_t i = 0; i < made->count; i++) {
        const struct loam_made_module *module = &made->modules[i];
        const double alpha = alpha_of(module, config->rslora);
        if (module->rank != config->rank)
            LOAM_TRY(append_value(ranks, module->path, (double)module->rank, error));
        if ((float)alpha != (float)config->alpha) LOAM_TRY(append_value(alphas, module->path, alpha, error));
    }
    return LOAM_OK;
}

enum loam_status loam_made_adapter_describe(const struct loam_made_adapter *made,
                                            struct loam_adapter_config *config, struct loam_error *error)
{
    struct loam_bytes ranks = {0}, alphas = {0};
    config->rank = (int)made->modules[0].rank;
    config->alpha = alpha_of(&made->modules[0], config->rslora);
    config->dora = made->dora;
    loam_module_values_deinit(&config->ranks);
    loam_module_values_deinit(&config->alphas);
    enum loam_status status = list_values(made, config, &ranks, &alphas, error);
    if (status == LOAM_OK && ranks.size > 0)
        status = loam_module_values_parse(&config->ranks, ranks.data, "rank_pattern", LOAM_LARGEST_RANK, true,
                                          error);
    if (status == LOAM_OK && alphas.size > 0)
        status =
            loam_module_values_parse(&config->alphas, alphas.data, "alpha_pattern", DBL_MAX, false, error);
    loam_bytes_deinit(&ranks);
    loam_bytes_deinit(&alphas);
    return status;
}

enum loam_status loam_made_adapter_target_paths(const struct loam_made_adapter *made,
                                                struct loam_adapter_config *config, struct loam_error *error)
{
    const char **paths = loam_calloc(made->count, sizeof *paths, error);
    if (paths == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < made->count; i++)
        paths[i] = made->modules[i].path;
    loam_targets_deinit(&config->targets);
    loam_targets_deinit(&config->excluded);
    loam_layer_choice_deinit(&config->layers);
    enum loam_status status = loam_targets_init_list(&config->targets, paths, made->count, error);
    free(paths);
    return status;
}

int64_t loam_made_adapter_parameters(const struct loam_made_adapter *made)
{
    int64_t total = 0;
    for (size_t i = 0; i < made->count; i++) {
        const struct loam_made_module *module = &made->modules[i];
        total += module->rank * (module->in + module->out) + (made->dora ? module->out : 0);
    }
    return total;
}

// ---- the tensors ----

// The tensors of a module follow each other, and the file keeps them together: its order is by name.
struct writer {
    const struct loam_made_adapter *made;
    const struct loam_made_form *form;
    const struct loam_callbacks *callbacks;
    struct loam_write_tensor *tensors; // [PART_COUNT modules]
    char **names;                      // [PART_COUNT modules]
    size_t tensor_count;
    float *values[PART_COUNT]; // of the current module, with room for the largest
    size_t sizes[PART_COUNT];  // elements of that room
    float *spare;              // for transposing, with room for the largest A or B
    size_t current;            // module; made->count: none
    int64_t done;              // bytes written
};

static enum loam_status describe_tensor(struct writer *writer, const struct loam_made_module *module,
                                        int part, struct loam_error *error)
{
    const int64_t shapes[PART_COUNT][2] = {[LOAM_PART_A] = {module->rank, module->in},
                                           [LOAM_PART_B] = {module->out, module->rank},
                                           [LOAM_PART_MAGNITUDE] = {module->out, 1}};
    const int64_t *shape = shapes[part];
    const size_t i = writer->tensor_count, size = (size_t)shape[0] * (size_t)shape[1];
    const bool vector = part == LOAM_PART_MAGNITUDE, turned = writer->form->transposed && !vector;
    writer->names[i] = writer->form->name(writer->form->user, module->path, part, error);
    if (writer->names[i] == NULL) return LOAM_ERROR_MEMORY;
    writer->tensors[i] = (struct loam_write_tensor){.name = writer->names[i],
                                                    .dtype = LOAM_F32,
                                                    .rank = vector ? 1 : 2,
                                                    .shape = {shape[turned ? 1 : 0], shape[turned ? 0 : 1]}};
    writer->tensor_count++;
    if (size > writer->sizes[part]) writer->sizes[part] = size;
    return LOAM_OK;
}

static int parts_of(const struct loam_made_adapter *made)
{
    return made->dora ? LOAM_PART_MAGNITUDE + 1 : LOAM_PART_MAGNITUDE;
}

static enum loam_status describe_tensors(struct writer *writer, struct loam_error *error)
{
    const struct loam_made_adapter *made = writer->made;
    size_t most = 0;
    writer->current = made->count;
    writer->tensors = loam_calloc(made->count, PART_COUNT * sizeof *writer->tensors, error);
    writer->names = loam_calloc(made->count, PART_COUNT * sizeof(char *), error);
    if (writer->tensors == NULL || writer->names == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < made->count; i++)
        for (int part = 0; part < parts_of(made); part++)
            LOAM_TRY(describe_tensor(writer, &made->modules[i], part, error));
    for (int part = 0; part < PART_COUNT; part++) {
        writer->values[part] = loam_calloc(writer->sizes[part], sizeof(float), error);
        if (writer->values[part] == NULL) return LOAM_ERROR_MEMORY;
        if (writer->sizes[part] > most) most = writer->sizes[part];
    }
    writer->spare = loam_calloc(writer->form->transposed ? most : 0, sizeof(float), error);
    return writer->spare != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

// x [columns, rows] = the transpose of x [rows, columns]
static void transpose(float *x, float *spare, size_t rows, size_t columns)
{
    memcpy(spare, x, rows * columns * sizeof *x);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            x[j * rows + i] = spare[i * columns + j];
}

static enum loam_status compute_module(struct writer *writer, size_t index, struct loam_error *error)
{
    const struct loam_made_adapter *made = writer->made;
    const struct loam_made_module *module = &made->modules[index];
    for (int part = 0; part < PART_COUNT; part++)
        memset(writer->values[part], 0, writer->sizes[part] * sizeof(float));
    const struct loam_made_values values = {writer->values[LOAM_PART_A], writer->values[LOAM_PART_B],
                                            made->dora ? writer->values[LOAM_PART_MAGNITUDE] : NULL};
    LOAM_TRY(made->compute(made->user, index, &values, error));
    writer->current = index;
    if (!writer->form->transposed) return LOAM_OK;
    transpose(values.a, writer->spare, (size_t)module->rank, (size_t)module->in);
    transpose(values.b, writer->spare, (size_t)module->out, (size_t)module->rank);
    return LOAM_OK;
}

static enum loam_status fill_block(void *user, size_t index, size_t first, size_t count, void *block,
                                   struct loam_error *error)
{
    struct writer *writer = user;
    const struct loam_made_adapter *made = writer->made;
    const size_t parts = (size_t)parts_of(made), module = index / parts;
    if (writer->current != module) LOAM_TRY(compute_module(writer, module, error));
    memcpy(block, writer->values[index % parts] + first, count * sizeof(float));
    if (!loam_all_finite(block, LOAM_F32, count))
        return loam_fail(error, LOAM_ERROR_NUMERIC, "%s would have values that are not finite in f32",
                         writer->names[index]);
    writer->done += (int64_t)(count * sizeof(float));
    return loam_event_progress(writer->callbacks, LOAM_ACTIVITY_WRITE, writer->done,
                               (int64_t)sizeof(float) * loam_made_adapter_parameters(made), error);
}

// ---- the directory ----

static enum loam_status write_files(struct writer *writer, const char *directory, struct loam_error *error)
{
    const struct loam_made_form *form = writer->form;
    char *path = loam_path_join(directory, form->weights, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    const struct loam_write_source source = {.fill = fill_block, .user = writer};
    enum loam_status status =
        loam_safetensors_write_from(path, writer->tensors, writer->tensor_count, &source, error);
    free(path);
    return status == LOAM_OK ? form->finish(form->user, writer->made, directory, error) : status;
}

static enum loam_status write_directory(struct writer *writer, const char *directory, bool overwrite,
                                        struct loam_error *error)
{
    const struct loam_log *log = writer->callbacks == NULL ? NULL : &writer->callbacks->log;
    struct loam_staging staging;
    LOAM_TRY(describe_tensors(writer, error));
    LOAM_TRY(loam_staging_open(&staging, directory, overwrite, log, error));
    enum loam_status status = write_files(writer, staging.directory, error);
    if (status == LOAM_OK) status = loam_staging_commit(&staging, writer->form->last, error);
    loam_staging_close(&staging);
    return status;
}

enum loam_status loam_made_adapter_write_as(const struct loam_made_adapter *made,
                                            const struct loam_made_form *form, const char *directory,
                                            bool overwrite, const struct loam_callbacks *callbacks,
                                            struct loam_error *error)
{
    struct writer writer = {.made = made, .form = form, .callbacks = callbacks};
    enum loam_status status = write_directory(&writer, directory, overwrite, error);
    for (size_t i = 0; i < writer.tensor_count; i++)
        free(writer.names[i]);
    for (int part = 0; part < PART_COUNT; part++)
        free(writer.values[part]);
    free(writer.spare);
    free(writer.names);
    free(writer.tensors);
    return status;
}

// ---- PEFT's form ----

struct peft {
    const struct loam_adapter_config *config;
    const struct loam_made_output *output;
};

static char *name_tensor(void *user, const char *path, int part, struct loam_error *error)
{
    (void)user;
    return loam_adapter_part_name(path, part, error);
}

static enum loam_status save_config(void *user, const struct loam_made_adapter *made, const char *directory,
                                    struct loam_error *error)
{
    const struct peft *peft = user;
    (void)made;
    return loam_adapter_config_save(peft->config, peft->output->base_model, peft->output->revision, directory,
                                    error);
}

enum loam_status loam_made_adapter_write(const struct loam_made_adapter *made,
                                         const struct loam_adapter_config *config,
                                         const struct loam_made_output *output, struct loam_error *error)
{
    struct peft peft = {config, output};
    const struct loam_made_form form = {.weights = "adapter_model.safetensors",
                                        .last = "adapter_config.json",
                                        .name = name_tensor,
                                        .finish = save_config,
                                        .user = &peft};
    return loam_made_adapter_write_as(made, &form, output->directory, output->overwrite, output->callbacks,
                                      error);
}
