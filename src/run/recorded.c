#include "run/recorded.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/decimal.h"
#include "base/file.h"
#include "base/log.h"
#include "base/utf8.h"
#include "io/container.h"
#include "io/digest.h"
#include "train/schedule.h"

static enum loam_status set_value(json_t *options, const char *name, json_t *value, struct loam_error *error)
{
    if (json_object_set_new(options, name, value) == 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: the options of the run");
}

static enum loam_status set_number(json_t *options, const char *name, double value, struct loam_error *error)
{
    char text[LOAM_DECIMAL_SIZE];
    loam_decimal_format(value, text);
    return set_value(options, name, json_string(text), error);
}

// ---- files ----

static json_t *format_named_sum(const char *path, const char *sum)
{
    bool is_utf8 = loam_utf8_check(path, strlen(path)) == strlen(path);
    return json_pack("{s:s, s:s}", "path", is_utf8 ? path : "(a name that is not UTF-8)", "sha256", sum);
}

static enum loam_status sum_file(const char *path, char sum[LOAM_DIGEST_SIZE], struct loam_error *error)
{
    struct stat about;
    if (stat(path, &about) != 0) return loam_fail(error, LOAM_ERROR_IO, "cannot read %s", path);
    return loam_digest_file(path, LOAM_DIGEST_SHA256, about.st_size, sum, error);
}

static enum loam_status set_file(json_t *options, const char *name, const char *path,
                                 struct loam_error *error)
{
    char sum[LOAM_DIGEST_SIZE];
    LOAM_TRY(sum_file(path, sum, error));
    return set_value(options, name, format_named_sum(path, sum), error);
}

// Joins values of an option as they stand on a command line.
static enum loam_status join_texts(const struct loam_text_list *texts, struct loam_bytes *joined,
                                   struct loam_error *error)
{
    LOAM_TRY(loam_bytes_reserve(joined, 0, error)); // joined->data must not be NULL
    for (size_t i = 0; i < texts->count; i++)
        LOAM_TRY(loam_bytes_format(joined, error, "%s%s", i > 0 ? " " : "", texts->items[i]));
    return LOAM_OK;
}

// Adds the contents of all files, and what an epoch takes of each source.
static enum loam_status add_data(struct loam_digest *digest, const struct loam_dataset *dataset,
                                 struct loam_error *error)
{
    char sum[LOAM_DIGEST_SIZE];
    for (size_t i = 0; i < loam_dataset_file_count(dataset); i++) {
        LOAM_TRY(sum_file(loam_dataset_file_path(dataset, i), sum, error));
        LOAM_TRY(loam_digest_update(digest, sum, sizeof sum, error));
    }
    size_t count;
    const struct loam_mixture_part *parts = loam_dataset_parts(dataset, &count);
    for (size_t i = 0; i < count; i++) {
        const uint64_t part[] = {parts[i].first, parts[i].count, parts[i].taken};
        LOAM_TRY(loam_digest_update(digest, part, sizeof part, error));
    }
    return LOAM_OK;
}

static enum loam_status sum_data(const struct loam_dataset *dataset, char sum[LOAM_DIGEST_SIZE],
                                 struct loam_error *error)
{
    struct loam_digest digest = {0};
    enum loam_status status = loam_digest_begin(&digest, LOAM_DIGEST_SHA256, 0, error);
    if (status == LOAM_OK) status = add_data(&digest, dataset, error);
    if (status == LOAM_OK) status = loam_digest_finish(&digest, sum, error);
    loam_digest_deinit(&digest);
    return status;
}

// Sets the data of an option: a single file by its sum alone, as older checkpoints have it; else all files with
// what an epoch takes of them.
static enum loam_status set_sources(json_t *options, const char *name, const struct loam_text_list *texts,
                                    const struct loam_dataset *dataset, struct loam_error *error)
{
    size_t count;
    const struct loam_mixture_part *parts = loam_dataset_parts(dataset, &count);
    const bool is_single = loam_dataset_file_count(dataset) == 1 && parts[0].taken == parts[0].count;
    char sum[LOAM_DIGEST_SIZE];
    struct loam_bytes joined = {0};
    enum loam_status status = join_texts(texts, &joined, error);
    if (status == LOAM_OK)
        status = is_single ? sum_file(loam_dataset_file_path(dataset, 0), sum, error)
                           : sum_data(dataset, sum, error);
    const char *names = joined.data != NULL ? joined.data : "";
    if (status == LOAM_OK) status = set_value(options, name, format_named_sum(names, sum), error);
    loam_bytes_deinit(&joined);
    return status;
}

// Sets the renamed fields; "" where none is, as in older checkpoints.
static enum loam_status set_map(json_t *options, const struct loam_field_list *map, struct loam_error *error)
{
    struct loam_bytes joined = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < map->count && status == LOAM_OK; i++)
        status = loam_bytes_format(&joined, error, "%s%s=%s", i > 0 ? " " : "", map->items[i].name,
                                   map->items[i].value);
    if (status == LOAM_OK)
        status = set_value(options, "map", json_string(joined.data != NULL ? joined.data : ""), error);
    loam_bytes_deinit(&joined);
    return status;
}

static enum loam_status add_files(struct loam_digest *digest, const char *directory,
                                  const char *const names[2], struct loam_error *error)
{
    char sum[LOAM_DIGEST_SIZE];
    for (size_t i = 0; i < 2; i++) {
        char *path = loam_path_join(directory, names[i], error);
        if (path == NULL) return LOAM_ERROR_MEMORY;
        enum loam_status status = sum_file(path, sum, error);
        free(path);
        if (status == LOAM_OK) status = loam_digest_update(digest, sum, sizeof sum, error);
        if (status != LOAM_OK) return status;
    }
    return LOAM_OK;
}

// Adds names, shapes and the first bytes of every tensor. Training changes every tensor, so a sample of each
// detects another model; reading all of the weights would take as long as loading them.
static enum loam_status add_weights(struct loam_digest *digest, const struct loam_container *file,
                                    struct loam_error *error)
{
    enum { SAMPLE = 256 };
    for (size_t i = 0; i < loam_container_count(file); i++) {
        const struct loam_stored_tensor *tensor = loam_container_at(file, i);
        LOAM_TRY(loam_digest_update(digest, tensor->name, strlen(tensor->name) + 1, error));
        LOAM_TRY(
            loam_digest_update(digest, tensor->shape, (size_t)tensor->rank * sizeof *tensor->shape, error));
        LOAM_TRY(
            loam_digest_update(digest, tensor->data, tensor->bytes < SAMPLE ? tensor->bytes : SAMPLE, error));
    }
    return LOAM_OK;
}

static enum loam_status sum_model(const char *directory, char sum[LOAM_DIGEST_SIZE], struct loam_error *error)
{
    static const char *const names[2] = {"config.json", "tokenizer.json"};
    struct loam_digest digest = {0};
    struct loam_container *file = NULL;
    LOAM_TRY(loam_container_open_directory(&file, directory, error));
    enum loam_status status = loam_digest_begin(&digest, LOAM_DIGEST_SHA256, 0, error);
    if (status == LOAM_OK) status = add_files(&digest, directory, names, error);
    if (status == LOAM_OK) status = add_weights(&digest, file, error);
    if (status == LOAM_OK) status = loam_digest_finish(&digest, sum, error);
    loam_digest_deinit(&digest);
    loam_container_destroy(file);
    return status;
}

// Computes the digest of the adapter that training starts from. An adapter is small, so all of it is read.
static enum loam_status sum_adapter(const char *directory, char sum[LOAM_DIGEST_SIZE],
                                    struct loam_error *error)
{
    static const char *const names[2] = {"adapter_config.json", "adapter_model.safetensors"};
    struct loam_digest digest = {0};
    enum loam_status status = loam_digest_begin(&digest, LOAM_DIGEST_SHA256, 0, error);
    if (status == LOAM_OK) status = add_files(&digest, directory, names, error);
    if (status == LOAM_OK) status = loam_digest_finish(&digest, sum, error);
    loam_digest_deinit(&digest);
    return status;
}

// ---- all of them ----

static enum loam_status set_model(json_t *options, const struct loam_train_settings *settings,
                                  struct loam_error *error)
{
    char sum[LOAM_DIGEST_SIZE];
    const char *name = loam_train_model_name(settings);
    LOAM_TRY(sum_model(settings->model, sum, error));
    return set_value(options, "model", format_named_sum(name, sum), error);
}

// Returns one name for each initialisation.
static const char *name_init(const char *init)
{
    if (init == NULL) return "gaussian";
    return strcmp(init, "true") == 0 ? "kaiming" : init;
}

// Sets options that older checkpoints do not record. A text is empty where they have no effect, as a text that is
// not recorded.
static enum loam_status set_choices(json_t *options, const struct loam_train_settings *settings,
                                    struct loam_error *error)
{
    const struct loam_lora_settings *lora = &settings->lora;
    const struct {
        const char *name, *value;
    } texts[] = {
        {"use-rslora", lora->rslora ? "true" : NULL},
        {"lora-bias", lora->lora_bias ? "true" : NULL},
        {"trainable-token-indices", lora->trained_tokens},
        {"rank-pattern", lora->rank_pattern},
        {"alpha-pattern", lora->alpha_pattern},
        {"exclude-modules", lora->exclude_modules},
        {"layers-to-transform", lora->layers_to_transform},
        {"layers-pattern", lora->layers_pattern},
        {"modules-to-save", lora->modules_to_save},
        {"bias", lora->bias == LOAM_BIAS_NONE ? NULL : loam_lora_bias_name(lora->bias)},
        {"ensure-weight-tying", lora->ensure_weight_tying ? "true" : NULL},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        LOAM_TRY(set_value(options, texts[i].name, json_string(texts[i].value != NULL ? texts[i].value : ""),
                           error));
    if (settings->loraplus_lr_ratio == 0 || settings->loraplus_lr_ratio == 1)
        return set_value(options, "loraplus-lr-ratio", json_string(""), error);
    return set_number(options, "loraplus-lr-ratio", settings->loraplus_lr_ratio, error);
}

static enum loam_status set_lora(json_t *options, const struct loam_train_job *job, struct loam_error *error)
{
    if (job->adapter == NULL) return LOAM_OK;
    struct loam_lora_settings lora = loam_adapter_settings(job->adapter);
    char *targets = loam_adapter_targets(job->adapter, error);
    if (targets == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = set_value(options, "target-modules", json_string(targets), error);
    free(targets);
    if (status != LOAM_OK) return status;
    LOAM_TRY(set_number(options, "lora-r", lora.rank, error));
    LOAM_TRY(set_number(options, "lora-alpha", lora.alpha, error));
    LOAM_TRY(set_number(options, "lora-dropout", lora.dropout, error));
    LOAM_TRY(set_value(options, "use-dora", json_string(lora.dora ? "true" : "false"), error));
    const char *from = job->settings->adapter;
    LOAM_TRY(set_value(options, "init-lora-weights",
                       json_string(from != NULL ? "none" : name_init(job->settings->lora.init)), error));
    LOAM_TRY(set_choices(options, job->settings, error));
    if (from == NULL) return LOAM_OK;
    char sum[LOAM_DIGEST_SIZE];
    LOAM_TRY(sum_adapter(from, sum, error));
    return set_value(options, "adapter", format_named_sum(from, sum), error);
}

// Sets the name of a template, or its file. `none` stands for no template.
static enum loam_status set_template(json_t *options, const char *name, const char *value, const char *none,
                                     struct loam_error *error)
{
    if (value == NULL) return set_value(options, name, json_string(none), error);
    return loam_file_exists(value) ? set_file(options, name, value, error)
                                   : set_value(options, name, json_string(value), error);
}

static enum loam_status set_data(json_t *options, const struct loam_train_job *job, struct loam_error *error)
{
    const struct loam_train_settings *settings = job->settings;
    LOAM_TRY(set_sources(options, "data", &settings->data, job->dataset, error));
    LOAM_TRY(set_map(options, &settings->map, error));
    LOAM_TRY(set_template(options, "template", settings->prompt_template, "none", error));
    // Older checkpoints do not record these options, which is as an empty text.
    LOAM_TRY(set_value(options, "cut", json_string(settings->cut != NULL ? settings->cut : ""), error));
    const char *special = settings->content_may_be_special ? "true" : "";
    LOAM_TRY(set_value(options, "special-in-content", json_string(special), error));
    return set_template(options, "chat-template", settings->chat_template, "", error);
}

// Sets a count as text. A value of 0 or less is written as `none`, for example "never".
static enum loam_status set_count(json_t *options, const char *name, int64_t value, const char *none,
                                  struct loam_error *error)
{
    if (value <= 0) return set_value(options, name, json_string(none), error);
    return set_number(options, name, (double)value, error);
}

// Sets the options that decide when the run ends and which step is its result; see affects_result().
static enum loam_status set_evaluation(json_t *options, const struct loam_train_job *job,
                                       struct loam_error *error)
{
    const struct loam_train_settings *settings = job->settings;
    LOAM_TRY(job->eval_dataset != NULL
                 ? set_sources(options, "eval-data", &settings->eval_data, job->eval_dataset, error)
                 : set_value(options, "eval-data", json_string("none"), error));
    LOAM_TRY(set_count(options, "eval-steps", settings->eval_steps, "at the end", error));
    LOAM_TRY(
        set_count(options, "early-stopping-patience", settings->early_stopping_patience, "never", error));
    LOAM_TRY(set_count(options, "max-new-tokens", settings->max_new_tokens, "the default", error));
    return set_value(options, "load-best-at-end", json_string(settings->load_best_at_end ? "true" : "false"),
                     error);
}

static enum loam_loss_on find_loss_on(const struct loam_train_job *job)
{
    const enum loam_loss_on loss_on = job->settings->loss_on;
    return loss_on == LOAM_LOSS_ON_DEFAULT ? loam_dataset_loss_on(job->dataset) : loss_on;
}

static const char *metric_name(enum loam_best_metric metric)
{
    static const char *const names[] = {[LOAM_BEST_EVAL_LOSS] = "eval_loss",
                                        [LOAM_BEST_EXACT_MATCH] = "exact_match",
                                        [LOAM_BEST_F1] = "f1",
                                        [LOAM_BEST_ROUGE_L] = "rouge_l",
                                        [LOAM_BEST_ACCURACY] = "accuracy"};
    return names[metric];
}

static enum loam_status set_words(json_t *options, const struct loam_train_job *job, struct loam_error *error)
{
    const struct loam_train_settings *settings = job->settings;
    const struct {
        const char *name, *value;
    } words[] = {
        {"method", settings->full ? "full" : "lora"},
        {"device", job->session.device->name},
        {"dtype", loam_dtype_name(job->session.dtype)},
        {"loss-on", loam_loss_on_name(find_loss_on(job))},
        {"too-long", loam_too_long_name(settings->too_long)},
        {"skip-bad", settings->skip_bad ? "true" : "false"},
        {"shuffle", settings->shuffle ? "true" : "false"},
        {"lr-scheduler-type", loam_schedule_name(settings->schedule)},
        {"metric-for-best-model", metric_name(settings->best_metric)},
        {"on-nonfinite", settings->on_nonfinite == LOAM_NONFINITE_SKIP ? "skip" : "stop"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        LOAM_TRY(set_value(options, words[i].name, json_string(words[i].value), error));
    return LOAM_OK;
}

static enum loam_status set_numbers(json_t *options, const struct loam_train_job *job,
                                    struct loam_error *error)
{
    const struct loam_train_settings *settings = job->settings;
    const bool has_warmup = settings->schedule != LOAM_SCHEDULE_CONSTANT;
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"max-length", job->session.max_length},
        {"token-budget", job->session.token_budget},
        {"learning-rate", settings->learning_rate},
        {"warmup-steps", has_warmup ? (double)settings->warmup_steps : 0},
        {"warmup-ratio", has_warmup ? settings->warmup_ratio : 0},
        {"per-device-train-batch-size", (double)settings->batch_size},
        {"gradient-accumulation-steps", (double)settings->accumulation},
        {"weight-decay", settings->weight_decay},
        {"adam-beta1", settings->adam_beta1},
        {"adam-beta2", settings->adam_beta2},
        {"adam-epsilon", settings->adam_epsilon},
        {"max-grad-norm", settings->max_grad_norm},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        LOAM_TRY(set_number(options, numbers[i].name, numbers[i].value, error));
    char seed[24];
    snprintf(seed, sizeof seed, "%llu",
             (unsigned long long)settings->seed); // as text: a double cannot hold 64 bits
    return set_value(options, "seed", json_string(seed), error);
}

enum loam_status loam_recorded_options(json_t **out, const struct loam_train_job *job,
                                       struct loam_error *error)
{
    json_t *options = json_object();
    if (options == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: the options of the run");
    enum loam_status status = set_model(options, job->settings, error);
    if (status == LOAM_OK) status = set_data(options, job, error);
    if (status == LOAM_OK) status = set_evaluation(options, job, error);
    if (status == LOAM_OK) status = set_lora(options, job, error);
    if (status == LOAM_OK) status = set_words(options, job, error);
    if (status == LOAM_OK) status = set_numbers(options, job, error);
    if (status != LOAM_OK) {
        json_decref(options);
        return status;
    }
    *out = options;
    return LOAM_OK;
}

// ---- comparing ----

// Returns a value's text, or the text of its member `key` if it is an object; "" if there is none.
static const char *text_of(const json_t *value, const char *key)
{
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, key) : value);
    return text != NULL ? text : "";
}

// Returns whether evaluations decide the result. Older checkpoints do not record these options.
static bool depends_on_evaluations(const json_t *options)
{
    const char *patience = text_of(json_object_get(options, "early-stopping-patience"), "");
    const char *best = text_of(json_object_get(options, "load-best-at-end"), "");
    return strcmp(best, "true") == 0 || (patience[0] != '\0' && strcmp(patience, "never") != 0);
}

// Whether evaluations by that metric generate answers.
static bool generates_answers(const char *metric)
{
    return metric[0] != '\0' && strcmp(metric, "eval_loss") != 0 && strcmp(metric, "accuracy") != 0;
}

// Returns whether an option can change the result. Options of evaluation count only if evaluations decide it.
static bool affects_result(const char *name, const json_t *recorded, const json_t *options)
{
    static const char *const of_evaluation[] = {"eval-data", "eval-steps", "early-stopping-patience",
                                                "load-best-at-end", "max-new-tokens"};
    const char *metric = text_of(json_object_get(options, "metric-for-best-model"), "");
    // Only the last digits depend on the device, and they may differ.
    if (strcmp(name, "device") == 0) return false;
    bool decides = depends_on_evaluations(recorded) || depends_on_evaluations(options);
    if (strcmp(name, "max-new-tokens") == 0 && !generates_answers(metric)) return false;
    for (size_t i = 0; i < sizeof of_evaluation / sizeof of_evaluation[0]; i++)
        if (strcmp(name, of_evaluation[i]) == 0) return decides;
    return true;
}

// Returns whether the run had a warm-up. Older versions recorded a constant rate with warm-up as "constant",
// which now means a constant rate without warm-up.
static bool had_warmup(const json_t *recorded)
{
    const char *steps = text_of(json_object_get(recorded, "warmup-steps"), "");
    const char *ratio = text_of(json_object_get(recorded, "warmup-ratio"), "");
    return strtod(steps, NULL) > 0 || strtod(ratio, NULL) > 0;
}

// Returns the text of a recorded option, with old names replaced by current ones. For a file or a model,
// `part` is "path" or "sha256".
static const char *find_recorded(const json_t *recorded, const char *name, const char *part)
{
    const char *text = text_of(json_object_get(recorded, name), part);
    if (strcmp(name, "lr-scheduler-type") == 0 && strcmp(text, "constant") == 0 && had_warmup(recorded))
        return loam_schedule_name(LOAM_SCHEDULE_CONSTANT_WITH_WARMUP);
    // Older versions had no DoRA and recorded nothing about it.
    if (strcmp(name, "use-dora") == 0 && text[0] == '\0' && strcmp(part, "sha256") != 0) return "false";
    return text;
}

static enum loam_status describe_change(struct loam_bytes *text, const char *name, const char *before,
                                        const char *now, struct loam_error *error)
{
    if (text->size > 0) LOAM_TRY(loam_bytes_append_text(text, ", ", error));
    if (strcmp(before, now) == 0)
        return loam_bytes_format(text, error, "--%s %s has other contents now", name, now);
    return loam_bytes_format(text, error, "--%s was %s and is %s", name,
                             before[0] != '\0' ? before : "not there", now[0] != '\0' ? now : "not there");
}

static enum loam_status describe_changes(struct loam_bytes *text, const json_t *recorded,
                                         const json_t *options, struct loam_error *error)
{
    // jansson iterates over objects through pointers that are not const.
    json_t *now = (json_t *)(uintptr_t)options;
    for (void *at = json_object_iter(now); at != NULL; at = json_object_iter_next(now, at)) {
        const char *name = json_object_iter_key(at);
        const json_t *new = json_object_iter_value(at);
        const char *old_sum = find_recorded(recorded, name, "sha256");
        if (affects_result(name, recorded, options) && strcmp(old_sum, text_of(new, "sha256")) != 0)
            LOAM_TRY(describe_change(text, name, find_recorded(recorded, name, "path"), text_of(new, "path"),
                                     error));
    }
    return LOAM_OK;
}

enum loam_status loam_recorded_compare(const json_t *recorded, const json_t *options, const char *checkpoint,
                                       bool allow, const struct loam_log *log, struct loam_bytes *changes,
                                       struct loam_error *error)
{
    LOAM_TRY(describe_changes(changes, recorded, options, error));
    if (changes->size == 0) return LOAM_OK;
    loam_flatten(changes->data);
    if (!allow)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "%s was made with other options: %s; give the same, or --allow-change", checkpoint,
                         changes->data);
    loam_log_write(log, LOAM_LOG_WARNING, "since %s: %s", checkpoint, changes->data);
    return LOAM_OK;
}
