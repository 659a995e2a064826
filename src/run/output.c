#include "run/output.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/decimal.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "io/atomic.h"
#include "io/directory.h"
#include "io/shards.h"
#include "model/files.h"
#include "run/checkpoint_files.h"
#include "run/markdown.h"

static const char metrics_name[] = "metrics.jsonl";
static const char metrics_temporary[] = "metrics.jsonl.tmp-";

// Returns the file that marks a directory as a model's or an adapter's, for loam and for other readers. One
// directory must not hold both.
static const char *marker_of(bool full)
{
    return full ? "config.json" : "adapter_config.json";
}

static enum loam_status check_other_kind(const struct loam_train_settings *settings, struct loam_error *error)
{
    const char *marker = marker_of(!settings->full);
    char *path = loam_path_join(settings->out, marker, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    bool there = loam_file_exists(path);
    free(path);
    if (!there) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_EXISTS,
                     "--out %s holds %s (%s), and this run makes %s; choose another", settings->out,
                     settings->full ? "an adapter" : "a model", marker,
                     settings->full ? "a model" : "an adapter");
}

// Fails if a path is not UTF-8. The card and the adapter's config are UTF-8 and contain the path.
static enum loam_status check_name(const char *option, const char *path, struct loam_error *error)
{
    if (loam_utf8_check(path, strlen(path)) == strlen(path)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s %s: the name is not UTF-8, and README.md has to name it",
                     option, path);
}

static enum loam_status check_directory(const struct loam_train_settings *settings, struct loam_error *error)
{
    LOAM_TRY(check_name("--model", loam_train_model_name(settings), error));
    LOAM_TRY(check_name("--out", settings->out, error));
    if (loam_directory_same(settings->out, settings->model)) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "--out %s is the model's own directory, which must stay as it is; choose another",
                         settings->out);
    }
    LOAM_TRY(loam_model_check_files(settings->model, settings->full, error));
    return check_other_kind(settings, error);
}

enum loam_status loam_output_begin_metrics(struct loam_output *output, struct loam_error *error)
{
    struct stat about;
    if (lstat(output->metrics_path, &about) != 0) return LOAM_OK;
    if (S_ISDIR(about.st_mode))
        return loam_fail(error, LOAM_ERROR_EXISTS,
                         "%s is a directory, and the metrics go there: move it away, or choose another --out",
                         output->metrics_path);
    char *aside = loam_format(error, "%s.tmp-%ld", output->metrics_path, (long)getpid());
    if (aside == NULL) return LOAM_ERROR_MEMORY;
    if (rename(output->metrics_path, aside) != 0) {
        enum loam_status status =
            loam_fail(error, LOAM_ERROR_IO, "cannot replace %s: %s", output->metrics_path, strerror(errno));
        free(aside);
        return status;
    }
    output->metrics_before = aside;
    return LOAM_OK;
}

void loam_output_claim(struct loam_output *output)
{
    if (output->metrics_before == NULL) return;
    (void)unlink(output->metrics_before);
    free(output->metrics_before);
    output->metrics_before = NULL;
}

// ---- files of a killed run ----

// Returns whether `name` is that of metrics set aside or being written: "metrics.jsonl.tmp-PROCESS" or
// "metrics.jsonl.tmp-PROCESS-NUMBER".
static bool is_metrics_temporary(const char *name)
{
    size_t size = sizeof metrics_temporary - 1;
    return strncmp(name, metrics_temporary, size) == 0 && name[size] != '\0' &&
           name[size + strspn(name + size, "0123456789-")] == '\0';
}

// Calls `act` for the entries of the directory until it returns false.
static void visit_entries(const char *path, bool (*act)(void *user, const char *name), void *user)
{
    DIR *directory = opendir(path);
    if (directory == NULL) return;
    const struct dirent *entry;
    bool on = true;
    while (on && (entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            on = act(user, entry->d_name);
    closedir(directory);
}

static bool remove_abandoned(void *user, const char *name)
{
    const struct loam_output *output = user;
    char *path = is_metrics_temporary(name) ? loam_path_join(output->directory, name, NULL) : NULL;
    if (path != NULL) (void)unlink(path);
    free(path);
    return true;
}

// Clears `*user` (bool) if the entry is not a file of an unfinished run.
static bool check_unfinished(void *user, const char *name)
{
    bool *unfinished = user;
    *unfinished = loam_work_directory_is_name(name) || is_metrics_temporary(name) ||
                  strcmp(name, metrics_name) == 0 || strcmp(name, "runs") == 0;
    return *unfinished;
}

// Finds whether --resume may write into `out`: it has a checkpoint, or only files of an unfinished run.
static enum loam_status check_resumable(const char *out, bool *allowed, struct loam_error *error)
{
    int64_t newest;
    LOAM_TRY(loam_checkpoint_newest(out, &newest, error));
    *allowed = true;
    if (newest < 0) visit_entries(out, check_unfinished, allowed);
    return LOAM_OK;
}

// ---- opening ----

static enum loam_status prepare(struct loam_output *output, struct loam_error *error)
{
    output->metrics_path = loam_path_join(output->directory, metrics_name, error);
    if (output->metrics_path == NULL) return LOAM_ERROR_MEMORY;
    visit_entries(output->directory, remove_abandoned, output);
    return LOAM_OK;
}

enum loam_status loam_output_open(struct loam_output *output, const struct loam_train_settings *settings,
                                  const struct loam_log *log, struct loam_error *error)
{
    *output = (struct loam_output){.directory = settings->out, .staging.lock = -1};
    LOAM_TRY(check_directory(settings, error));
    bool overwrite = settings->overwrite;
    if (!overwrite && loam_train_resumes(settings))
        LOAM_TRY(check_resumable(settings->out, &overwrite, error));
    LOAM_TRY(loam_staging_open(&output->staging, settings->out, overwrite, log, error));
    enum loam_status status = prepare(output, error);
    if (status != LOAM_OK) loam_staging_close(&output->staging);
    return status;
}

// ---- a directory that was removed ----

static enum loam_status remake_directory(struct loam_output *output, const struct loam_log *log,
                                         struct loam_error *error)
{
    bool allowed;
    LOAM_TRY(check_resumable(output->directory, &allowed, error));
    LOAM_TRY(loam_output_directory_prepare(output->directory, allowed, NULL, error));
    int lock;
    bool held;
    LOAM_TRY(loam_directory_lock(output->directory, &lock, &held, log, error));
    close(output->staging.lock);
    output->staging.lock = lock;
    loam_log_write(log, LOAM_LOG_WARNING, "the output directory %s no longer existed: it is created again",
                   output->directory);
    return LOAM_OK;
}

enum loam_status loam_output_restore(struct loam_output *output, const struct loam_log *log,
                                     struct loam_error *error)
{
    if (!loam_directory_is_open_as(output->directory, output->staging.lock))
        LOAM_TRY(remake_directory(output, log, error));
    return loam_staging_restore(&output->staging, error);
}

// ---- the end ----

enum loam_status loam_output_commit(struct loam_output *output, bool full, struct loam_error *error)
{
    LOAM_TRY(loam_staging_commit(&output->staging, marker_of(full), error));
    loam_output_claim(output);
    return full ? loam_shards_remove_old(output->directory, 1, error) : LOAM_OK;
}

enum loam_status loam_output_check(const struct loam_output *output, bool full, struct loam_error *error)
{
    return loam_staging_check(&output->staging, marker_of(full), error);
}

enum loam_status loam_output_clear(struct loam_output *output, struct loam_error *error)
{
    loam_directory_remove(output->staging.directory);
    return loam_staging_restore(&output->staging, error);
}

void loam_output_abandon(struct loam_output *output)
{
    if (output->metrics_before != NULL) (void)rename(output->metrics_before, output->metrics_path);
    loam_staging_close(&output->staging);
}

void loam_output_deinit(struct loam_output *output)
{
    free(output->metrics_path);
    free(output->metrics_before);
    loam_staging_close(&output->staging);
    *output = (struct loam_output){.staging.lock = -1};
}

enum loam_status loam_output_copy_files(const struct loam_output *output, const char *model, bool full,
                                        struct loam_error *error)
{
    LOAM_TRY(loam_model_copy_files(model, output->staging.directory, full, error));
    return loam_model_copy_templates(model, output->staging.directory, error);
}

enum loam_status loam_output_write_record(const struct loam_output *output, const char *text,
                                          struct loam_error *error)
{
    if (text == NULL) return LOAM_OK;
    char *path = loam_path_join(output->staging.directory, "run.yaml", error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_atomic_write_file(path, text, strlen(text), error);
    free(path);
    return status;
}

// ---- the model card ----

// Appends the front matter that model hubs read, as PEFT and transformers write it. `base` is the model's
// name on the hub; NULL for a local directory, because hubs refuse a path there.
static enum loam_status append_front_matter(struct loam_bytes *card, const char *base, bool is_adapter,
                                            struct loam_error *error)
{
    LOAM_TRY(loam_bytes_append_text(card, "---\n", error));
    if (base != NULL) LOAM_TRY(loam_bytes_format(card, error, "base_model: %s\n", base));
    LOAM_TRY(loam_bytes_format(card, error, "library_name: %s\npipeline_tag: text-generation\ntags:\n",
                               is_adapter ? "peft" : "transformers"));
    if (base != NULL)
        LOAM_TRY(loam_bytes_format(card, error, "- base_model:%s:%s\n", is_adapter ? "adapter" : "finetune",
                                   base));
    return loam_bytes_append_text(
        card, is_adapter ? "- lora\n- transformers\n---\n\n" : "- transformers\n---\n\n", error);
}

static enum loam_status append_row(struct loam_bytes *card, const char *name, double value,
                                   struct loam_error *error)
{
    char number[LOAM_DECIMAL_SIZE];
    if (!isfinite(value)) return LOAM_OK;
    loam_decimal_format(value, number);
    return loam_bytes_format(card, error, "| %s | %s |\n", name, number);
}

static enum loam_status append_whole(struct loam_bytes *card, const struct loam_adapter *adapter,
                                     struct loam_error *error)
{
    char *whole = loam_adapter_whole(adapter, error);
    if (whole == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    if (whole[0] != '\0') {
        status = loam_bytes_append_text(card, "| trained as a whole | ", error);
        if (status == LOAM_OK) status = loam_markdown_code(card, whole, true, error);
        if (status == LOAM_OK) status = loam_bytes_append_text(card, " |\n", error);
    }
    free(whole);
    return status;
}

static enum loam_status append_adapter(struct loam_bytes *card, const struct loam_adapter *adapter,
                                       struct loam_error *error)
{
    struct loam_lora_settings lora = loam_adapter_settings(adapter);
    LOAM_TRY(append_row(card, "r", lora.rank, error));
    LOAM_TRY(append_row(card, "lora_alpha", lora.alpha, error));
    LOAM_TRY(append_row(card, "lora_dropout", lora.dropout, error));
    char *targets = loam_adapter_targets(adapter, error);
    if (targets == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_bytes_append_text(card, "| target_modules | ", error);
    if (status == LOAM_OK) status = loam_markdown_code(card, targets, true, error);
    free(targets);
    if (status == LOAM_OK) status = loam_bytes_append_text(card, " |\n", error);
    return status == LOAM_OK ? append_whole(card, adapter, error) : status;
}

enum loam_status loam_output_format_settings(struct loam_bytes *card, const struct loam_loop *loop,
                                             const struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_train_settings *settings = loop->settings;
    LOAM_TRY(loam_bytes_append_text(card, "| Setting | Value |\n| --- | --- |\n", error));
    if (adapter != NULL) LOAM_TRY(append_adapter(card, adapter, error));
    LOAM_TRY(append_row(card, "learning_rate", settings->learning_rate, error));
    LOAM_TRY(loam_bytes_format(card, error, "| lr_scheduler_type | %s |\n",
                               loam_schedule_name(settings->schedule)));
    LOAM_TRY(append_row(card, "warmup_steps", (double)loop->schedule.warmup_steps, error));
    LOAM_TRY(append_row(card, "weight_decay", settings->weight_decay, error));
    LOAM_TRY(append_row(card, "max_grad_norm", settings->max_grad_norm, error));
    LOAM_TRY(append_row(card, "per_device_train_batch_size", (double)settings->batch_size, error));
    LOAM_TRY(append_row(card, "gradient_accumulation_steps", (double)settings->accumulation, error));
    return loam_bytes_format(card, error, "| seed | %llu |\n", (unsigned long long)settings->seed);
}

static double rounded(double value, int decimals)
{
    double scale = pow(10, decimals);
    return round(value * scale) / scale;
}

// Names the step of the evaluation where it is not the last one: the best step is kept, or the run was
// stopped.
static enum loam_status append_evaluation(struct loam_bytes *card, const struct loam_loop *loop,
                                          struct loam_error *error)
{
    const struct {
        const char *name;
        double value;
    } rows[] = {
        {"eval_loss", rounded(loop->eval.loss, 4)},
        {"eval_exact_match", rounded(loop->eval.exact_match, 2)},
        {"eval_f1", rounded(loop->eval.f1, 2)},
        {"eval_rouge_l", rounded(loop->eval.rouge_l, 2)},
        {"eval_accuracy", rounded(loop->eval.accuracy, 2)},
    };
    char name[64];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool earlier = loop->eval_step < loop->step;
        snprintf(name, sizeof name, earlier ? "%s (step %lld)" : "%s", rows[i].name,
                 (long long)loop->eval_step);
        LOAM_TRY(append_row(card, name, rows[i].value, error));
    }
    return LOAM_OK;
}

// Returns whether a count of epochs has a meaning. After a resume with other options, epochs may have other
// data or batches.
static bool has_epochs(const struct loam_loop *loop)
{
    return strstr(loop->changes, ": --") == NULL;
}

static enum loam_status append_changes(struct loam_bytes *card, const struct loam_loop *loop,
                                       struct loam_error *error)
{
    if (loop->changes[0] == '\0') return LOAM_OK;
    LOAM_TRY(loam_bytes_append_text(
        card, "\nThese are the settings of the last steps. The run was changed on the way:\n\n", error));
    const char *line = loop->changes;
    for (size_t size; line[0] != '\0'; line += size) {
        size = strcspn(line, "\n") + 1;
        LOAM_TRY(loam_bytes_append_text(card, "- ", error));
        LOAM_TRY(loam_bytes_append(card, line, size, error));
    }
    return LOAM_OK;
}

static enum loam_status append_results(struct loam_bytes *card, const struct loam_loop *loop,
                                       struct loam_error *error)
{
    LOAM_TRY(loam_bytes_append_text(card, "\n## Results\n\n| Figure | Value |\n| --- | --- |\n", error));
    LOAM_TRY(append_row(card, "steps", (double)loop->step, error));
    if (has_epochs(loop))
        LOAM_TRY(append_row(card, "epochs", loam_order_epoch_after(loop->order, loop->step - 1), error));
    LOAM_TRY(append_row(card, "tokens", (double)loop->tokens, error));
    LOAM_TRY(append_row(card, "train_loss (mean over all steps)",
                        rounded(loop->loss_sum / (double)loop->updates, 4), error));
    LOAM_TRY(append_evaluation(card, loop, error));
    LOAM_TRY(append_row(card, "trainable parameters", (double)loop->trainable_parameters, error));
    LOAM_TRY(append_row(card, "all parameters", (double)loop->parameters, error));
    LOAM_TRY(append_row(card, "seconds", rounded(loop->seconds, 1), error));
    return append_row(card, "peak memory, MiB", (double)(loam_peak_memory_bytes() >> 20), error);
}

char *loam_train_model_argument(const struct loam_train_settings *settings, struct loam_error *error)
{
    const char *revision = settings->model_revision;
    return loam_format(error, "%s%s%s", loam_train_model_name(settings), revision == NULL ? "" : "@",
                       revision == NULL ? "" : revision);
}

// Appends a Python string literal. A JSON string is one.
static enum loam_status append_python_string(struct loam_bytes *card, const char *text,
                                             struct loam_error *error)
{
    json_t *string = json_string(text);
    enum loam_status status = loam_json_append(card, string, JSON_ENCODE_ANY, error);
    json_decref(string);
    return status;
}

// Appends commands to copy. They are blocks of code, because a shell-quoted word may hold any character.
static enum loam_status append_use(struct loam_bytes *card, const struct loam_loop *loop, const char *out,
                                   const char *base, bool is_adapter, struct loam_error *error)
{
    const bool has_chats = loam_dataset_has_chats(loop->dataset);
    LOAM_TRY(
        loam_bytes_format(card, error, "\n## Use\n\n    loam %s --model ", has_chats ? "chat" : "generate"));
    LOAM_TRY(loam_bytes_append_word(card, is_adapter ? base : out, error));
    if (is_adapter) {
        LOAM_TRY(loam_bytes_append_text(card, " --adapter ", error));
        LOAM_TRY(loam_bytes_append_word(card, out, error));
    }
    LOAM_TRY(loam_bytes_append_text(card, has_chats ? "\n" : " --prompt TEXT\n", error));
    if (!is_adapter) return LOAM_OK;
    LOAM_TRY(loam_bytes_append_text(card, "\nor with PEFT:\n\n    PeftModel.from_pretrained(base, ", error));
    LOAM_TRY(append_python_string(card, out, error));
    return loam_bytes_append_text(card, ")\n", error);
}

// `base` is the result of loam_train_model_argument.
static enum loam_status append_card(struct loam_bytes *card, const struct loam_output *output,
                                    const struct loam_loop *loop, const struct loam_adapter *adapter,
                                    const char *base, struct loam_error *error)
{
    LOAM_TRY(append_front_matter(card, loop->settings->model_name, adapter != NULL, error));
    LOAM_TRY(loam_bytes_append_text(card,
                                    adapter != NULL ? "# LoRA adapter\n\nA LoRA adapter of "
                                                    : "# Fine-tuned model\n\nA fine-tuned copy of ",
                                    error));
    LOAM_TRY(loam_markdown_code(card, base, false, error));
    LOAM_TRY(loam_bytes_format(card, error, ", made by loam %s.\n\n## Settings\n\n", LOAM_VERSION));
    LOAM_TRY(loam_output_format_settings(card, loop, adapter, error));
    LOAM_TRY(append_changes(card, loop, error));
    LOAM_TRY(append_results(card, loop, error));
    return append_use(card, loop, output->directory, base, adapter != NULL, error);
}

enum loam_status loam_output_write_card(const struct loam_output *output, const struct loam_loop *loop,
                                        const struct loam_adapter *adapter, struct loam_error *error)
{
    char *path = loam_path_join(output->staging.directory, "README.md", error);
    char *base = loam_train_model_argument(loop->settings, error);
    struct loam_bytes card = {0};
    enum loam_status status = path != NULL && base != NULL
                                  ? append_card(&card, output, loop, adapter, base, error)
                                  : LOAM_ERROR_MEMORY;
    if (status == LOAM_OK) status = loam_atomic_write_file(path, card.data, card.size, error);
    loam_bytes_deinit(&card);
    free(base);
    free(path);
    return status;
}
