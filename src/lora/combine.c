#include "lora/combine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "lora/adapter_stored.h"
#include "lora/low_rank.h"
#include "lora/made_adapter.h"

// An adapter that is combined.
struct source {
    const struct loam_adapter_choice *choice;
    struct loam_adapter_config config;
    struct loam_stored_adapter stored;
    int64_t most; // the largest rank that its config gives
};

// The update of one adapter in a module.
struct part {
    const struct loam_stored_module *module; // NULL: the adapter does not have the module
    int64_t rank;
    double scale; // with the adapter's factor
};

struct combine {
    const struct loam_combine_settings *settings;
    enum loam_combination combination;
    int64_t rank;           // of every module; 0 for LOAM_COMBINE_LINEAR: that of its parts
    struct source *sources; // [source_count]
    size_t source_count;
    struct loam_made_module *modules; // [module_count] in the order of the first file that has them
    struct part *parts;               // [module_count, sources]
    size_t module_count;
    struct loam_adapter_config config; // of the new adapter
};

// ---- opening ----

static enum loam_status check_out(const struct loam_combine_settings *settings, struct loam_error *error)
{
    for (size_t i = 0; i < settings->adapters.count; i++)
        if (loam_directory_same(settings->out, settings->adapters.items[i].directory))
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "--out %s is the directory of an adapter that is combined; choose another",
                             settings->out);
    return LOAM_OK;
}

static int64_t find_most(const struct loam_adapter_config *config)
{
    double most = config->rank;
    for (size_t i = 0; i < config->ranks.count; i++)
        most = fmax(most, config->ranks.items[i].value);
    return (int64_t)most;
}

static const struct loam_log *log_of(const struct combine *combine)
{
    return combine->settings->callbacks == NULL ? NULL : &combine->settings->callbacks->log;
}

// What the adapter has that a sum of updates cannot express; NULL: nothing.
static const char *name_beyond_updates(const struct loam_adapter_config *config)
{
    if (config->dora) return "DoRA (\"use_dora\")";
    if (config->trained_tokens.count > 0) return "trained tokens (\"trainable_token_indices\")";
    if (config->lora_bias) return "biases of B (\"lora_bias\")";
    if (config->saved.count == 0 && config->bias == LOAM_BIAS_NONE) return NULL;
    return "parameters in place of the model's (\"modules_to_save\", \"bias\")";
}

static enum loam_status check_source(const struct source *source, struct loam_error *error)
{
    const char *beyond = name_beyond_updates(&source->config);
    if (beyond != NULL)
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "%s: %s cannot be part of a sum of updates: merge the adapter into its model instead "
            "(loam merge)",
            source->choice->directory, beyond);
    return loam_adapter_config_check_separate(&source->config, source->choice->directory, error);
}

static enum loam_status open_source(struct combine *combine, const struct loam_adapter_choice *choice,
                                    struct loam_error *error)
{
    struct source *source = &combine->sources[combine->source_count++];
    source->choice = choice;
    LOAM_TRY(loam_adapter_config_load(&source->config, choice->directory, error));
    LOAM_TRY(check_source(source, error));
    LOAM_TRY(loam_stored_adapter_open(&source->stored, choice->directory, error));
    LOAM_TRY(loam_stored_adapter_check(&source->stored, &source->config, error));
    LOAM_TRY(loam_stored_adapter_note(&source->stored, &source->config, error));
    source->most = find_most(&source->config);
    loam_adapter_config_warn(&source->config, log_of(combine));
    return LOAM_OK;
}

static const char *base_of(const struct source *source)
{
    return source->config.base_model != NULL ? source->config.base_model : "(not named)";
}

static void warn_of_bases(const struct combine *combine)
{
    const struct source *first = &combine->sources[0];
    for (size_t i = 1; i < combine->source_count; i++) {
        const struct source *source = &combine->sources[i];
        if (strcmp(base_of(source), base_of(first)) == 0) continue;
        loam_log_write(
            log_of(combine), LOAM_LOG_WARNING,
            "the adapter %s is for the model \"%s\", and %s for \"%s\", which the new adapter names",
            source->choice->directory, base_of(source), first->choice->directory, base_of(first));
    }
}

static enum loam_status open_sources(struct combine *combine, struct loam_error *error)
{
    const struct loam_adapter_choices *choices = &combine->settings->adapters;
    combine->sources = loam_calloc(choices->count, sizeof *combine->sources, error);
    if (combine->sources == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < choices->count; i++)
        LOAM_TRY(open_source(combine, &choices->items[i], error));
    return LOAM_OK;
}

// ---- the modules ----

static size_t find_module(const struct combine *combine, const char *path)
{
    size_t i = 0;
    while (i < combine->module_count && strcmp(combine->modules[i].path, path) != 0)
        i++;
    return i;
}

static enum loam_status fail_shape(const struct combine *combine, size_t source, size_t module,
                                   const struct loam_stored_module *stored, struct loam_error *error)
{
    const struct loam_made_module *other = &combine->modules[module];
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "%s: %s is [%lld, %lld], and [%lld, %lld] in an adapter before it: the adapters are for "
                     "different models",
                     combine->sources[source].choice->directory, stored->path, (long long)stored->b->shape[0],
                     (long long)stored->a->shape[1], (long long)other->out, (long long)other->in);
}

static enum loam_status add_part(struct combine *combine, size_t source,
                                 const struct loam_stored_module *stored, struct loam_error *error)
{
    const struct source *from = &combine->sources[source];
    const size_t index = find_module(combine, stored->path);
    struct loam_made_module *module = &combine->modules[index];
    struct part *part = &combine->parts[index * combine->source_count + source];
    int rank;
    double scale;
    if (stored->is_embedding)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: an adapter of an embedding (%s) is not combined: merge the adapter into its "
                         "model instead (loam merge)",
                         from->choice->directory, stored->path);
    LOAM_TRY(loam_adapter_config_module(&from->config, stored->path, &rank, &scale, error));
    if (index == combine->module_count) {
        *module = (struct loam_made_module){.path = stored->path,
                                            .rank = combine->rank > 0 ? combine->rank : rank,
                                            .in = stored->a->shape[1],
                                            .out = stored->b->shape[0],
                                            .scale = 1};
        combine->module_count++;
    }
    *part = (struct part){stored, rank, from->choice->factor * scale};
    if (module->in != stored->a->shape[1] || module->out != stored->b->shape[0])
        return fail_shape(combine, source, index, stored, error);
    if (combine->rank > 0 || module->rank == rank) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_ARGUMENT,
        "%s: %s has the rank %d, and %lld in an adapter before it; --combination-type linear adds "
        "matrices of equal ranks, svd and cat take any",
        from->choice->directory, stored->path, rank, (long long)module->rank);
}

static enum loam_status collect_modules(struct combine *combine, struct loam_error *error)
{
    size_t most = 0;
    for (size_t i = 0; i < combine->source_count; i++)
        most += combine->sources[i].stored.count;
    combine->modules = loam_calloc(most, sizeof *combine->modules, error);
    combine->parts = loam_calloc(most, combine->source_count * sizeof *combine->parts, error);
    if (combine->modules == NULL || combine->parts == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < combine->source_count; i++)
        for (size_t j = 0; j < combine->sources[i].stored.count; j++) {
            const struct loam_stored_module *module = &combine->sources[i].stored.modules[j];
            if (loam_stored_module_is_adapted(module)) LOAM_TRY(add_part(combine, i, module, error));
        }
    return LOAM_OK;
}

// Chooses the rank of every module, as PEFT does.
static enum loam_status choose_rank(struct combine *combine, struct loam_error *error)
{
    const struct loam_combine_settings *settings = combine->settings;
    int64_t sum = 0, most = 0;
    for (size_t i = 0; i < combine->source_count; i++) {
        const struct source *source = &combine->sources[i];
        sum += source->most;
        if (combine->combination == LOAM_COMBINE_LINEAR && i > 0 && source->most != most)
            return loam_fail(
                error, LOAM_ERROR_ARGUMENT,
                "%s has the rank %lld, and the adapters before it %lld; --combination-type linear adds "
                "matrices of equal ranks, svd and cat take any",
                source->choice->directory, (long long)source->most, (long long)most);
        if (source->most > most) most = source->most;
    }
    if (combine->combination == LOAM_COMBINE_CAT) combine->rank = sum;
    if (combine->combination == LOAM_COMBINE_SVD) combine->rank = settings->rank > 0 ? settings->rank : most;
    if (combine->rank <= LOAM_LARGEST_RANK) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "the ranks of the adapters add up to %lld; a rank can be %d at most: choose "
                     "--combination-type svd",
                     (long long)combine->rank, LOAM_LARGEST_RANK);
}

// ---- the matrices ----

static struct part *parts_of(const struct combine *combine, size_t module)
{
    return &combine->parts[module * combine->source_count];
}

// target [count] = the elements of a stored matrix
static void read_matrix(float *target, const struct loam_stored_tensor *stored, int64_t count)
{
    loam_format_convert(target, LOAM_F32, stored->data, stored->format, (size_t)count);
}

// PEFT gives A the sign of a negative factor, so that it does not cancel.
static enum loam_status add_linear(const struct combine *combine, size_t index,
                                   const struct loam_made_values *values, struct loam_error *error)
{
    const struct loam_made_module *module = &combine->modules[index];
    const int64_t a_count = module->rank * module->in, b_count = module->out * module->rank;
    float *matrix = loam_calloc((size_t)(a_count > b_count ? a_count : b_count), sizeof *matrix, error);
    if (matrix == NULL) return LOAM_ERROR_MEMORY;
    for (size_t s = 0; s < combine->source_count; s++) {
        const struct part *part = &parts_of(combine, index)[s];
        if (part->module == NULL) continue;
        const float root = (float)sqrt(fabs(part->scale));
        read_matrix(matrix, part->module->a, a_count);
        for (int64_t i = 0; i < a_count; i++)
            values->a[i] += (part->scale < 0 ? -root : root) * matrix[i];
        read_matrix(matrix, part->module->b, b_count);
        for (int64_t i = 0; i < b_count; i++)
            values->b[i] += root * matrix[i];
    }
    free(matrix);
    return LOAM_OK;
}

// a [rank, in] and b [out, rank] of all parts side by side, each A times its scale. `rank` may be larger than the sum
// of the ranks: what is left stays as it is.
static void place_side_by_side(const struct combine *combine, size_t index, int64_t rank, float *a, float *b)
{
    const struct loam_made_module *module = &combine->modules[index];
    int64_t first = 0;
    for (size_t s = 0; s < combine->source_count; s++) {
        const struct part *part = &parts_of(combine, index)[s];
        if (part->module == NULL) continue;
        const struct loam_stored_tensor *stored = part->module->b;
        read_matrix(a + first * module->in, part->module->a, part->rank * module->in);
        for (int64_t i = first * module->in; i < (first + part->rank) * module->in; i++)
            a[i] *= (float)part->scale;
        for (int64_t i = 0; i < module->out; i++)
            loam_format_convert(b + i * rank + first, LOAM_F32,
                                loam_format_at(stored->format, stored->data, (size_t)(i * part->rank)),
                                stored->format, (size_t)part->rank);
        first += part->rank;
    }
}

static double *widen(const float *x, int64_t count, struct loam_error *error)
{
    double *wide = loam_calloc((size_t)count, sizeof *wide, error);
    for (int64_t i = 0; wide != NULL && i < count; i++)
        wide[i] = (double)x[i];
    return wide;
}

static enum loam_status decompose(const struct combine *combine, size_t index,
                                  const struct loam_made_values *values, struct loam_error *error)
{
    const struct loam_made_module *module = &combine->modules[index];
    struct loam_low_rank_product product = {.name = module->path, .out = module->out, .in = module->in};
    for (size_t s = 0; s < combine->source_count; s++)
        product.inner += parts_of(combine, index)[s].rank;
    const int64_t a_count = product.inner * product.in, b_count = product.out * product.inner;
    float *both = loam_calloc((size_t)(a_count + b_count), sizeof *both, error);
    enum loam_status status = both == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
    if (status == LOAM_OK) {
        place_side_by_side(combine, index, product.inner, both, both + a_count);
        product.a = widen(both, a_count, error);
        product.b = product.a == NULL ? NULL : widen(both + a_count, b_count, error);
        status = product.b == NULL
                     ? LOAM_ERROR_MEMORY
                     : loam_low_rank_compute(&product, module->rank, values->b, values->a, error);
    }
    free(product.a);
    free(product.b);
    free(both);
    return status;
}

static enum loam_status compute(void *user, size_t module, const struct loam_made_values *values,
                                struct loam_error *error)
{
    const struct combine *combine = user;
    switch (combine->combination) {
    case LOAM_COMBINE_LINEAR:
        return add_linear(combine, module, values, error);
    case LOAM_COMBINE_CAT:
        place_side_by_side(combine, module, combine->modules[module].rank, values->a, values->b);
        return LOAM_OK;
    case LOAM_COMBINE_SVD:
        break;
    }
    return decompose(combine, module, values, error);
}

// ---- the config ----

static bool names_all(const struct loam_adapter_config *config)
{
    const bool excludes = config->excluded.kind == LOAM_TARGET_PATTERN || config->excluded.count > 0;
    return config->targets.kind == LOAM_TARGET_LIST && !excludes && config->layers.count == 0;
}

// The targets are the names of all adapters, as in PEFT, if each adapts all that its names match. Otherwise they are
// the paths of the modules: PEFT keeps only the layers and the exclusions of the first adapter.
static enum loam_status set_targets(struct combine *combine, const struct loam_made_adapter *made,
                                    struct loam_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < combine->source_count; i++) {
        if (!names_all(&combine->sources[i].config))
            return loam_made_adapter_target_paths(made, &combine->config, error);
        count += combine->sources[i].config.targets.count;
    }
    const char **names = loam_calloc(count, sizeof *names, error);
    if (names == NULL) return LOAM_ERROR_MEMORY;
    count = 0;
    for (size_t i = 0; i < combine->source_count; i++) {
        const struct loam_targets *targets = &combine->sources[i].config.targets;
        for (size_t j = 0; j < targets->count; j++)
            names[count++] = targets->entries[j];
    }
    enum loam_status status = loam_targets_init_list(&combine->config.targets, names, count, error);
    free(names);
    return status;
}

static enum loam_status make_config(struct combine *combine, const struct loam_made_adapter *made,
                                    struct loam_error *error)
{
    const struct loam_adapter_config *first = &combine->sources[0].config;
    combine->config =
        (struct loam_adapter_config){.dropout = first->dropout,
                                     .init = first->init,
                                     .fan_in_fan_out = combine->sources[0].stored.modules[0].transposed};
    LOAM_TRY(set_targets(combine, made, error));
    return loam_made_adapter_describe(made, &combine->config, error);
}

// ---- all ----

static enum loam_status run_combine(struct combine *combine, struct loam_combine_result *result,
                                    struct loam_error *error)
{
    const struct loam_combine_settings *settings = combine->settings;
    LOAM_TRY(check_out(settings, error));
    LOAM_TRY(open_sources(combine, error));
    LOAM_TRY(choose_rank(combine, error));
    LOAM_TRY(collect_modules(combine, error));
    warn_of_bases(combine);
    const struct loam_made_adapter made = {
        .modules = combine->modules, .count = combine->module_count, .compute = compute, .user = combine};
    LOAM_TRY(make_config(combine, &made, error));
    const struct loam_adapter_config *first = &combine->sources[0].config;
    const struct loam_made_output output = {.directory = settings->out,
                                            .overwrite = settings->overwrite,
                                            .base_model = first->base_model,
                                            .revision = first->revision,
                                            .callbacks = settings->callbacks};
    *result = (struct loam_combine_result){.modules = combine->module_count,
                                           .rank = combine->config.rank,
                                           .parameters = loam_made_adapter_parameters(&made),
                                           .combination = combine->combination};
    return loam_made_adapter_write(&made, &combine->config, &output, error);
}

enum loam_status loam_combine(const struct loam_combine_settings *settings,
                              struct loam_combine_result *result, struct loam_error *error)
{
    struct combine combine = {.settings = settings, .combination = settings->combination};
    if (settings->adapters.count == 1 && settings->rank == 0) combine.combination = LOAM_COMBINE_LINEAR;
    enum loam_status status = run_combine(&combine, result, error);
    for (size_t i = 0; i < combine.source_count; i++) {
        loam_stored_adapter_close(&combine.sources[i].stored);
        loam_adapter_config_deinit(&combine.sources[i].config);
    }
    free(combine.sources);
    free(combine.modules);
    free(combine.parts);
    loam_adapter_config_deinit(&combine.config);
    return status;
}
