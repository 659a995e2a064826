// loam train.
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include <math.h>

#include "commands/commands.h"
#include "commands/output.h"
#include "commands/push.h"
#include "data/data_input.h"
#include "data/dataset_format.h"
#include "data/source.h"

// Passes events on and keeps those of the start and the end.
struct train_watch {
    const struct loam_callbacks *callbacks;
    struct loam_event start;
    struct loam_event end;
};

static void log_start(const struct loam_log *log, const struct loam_event *start)
{
    char trainable[LOAM_GROUPED_SIZE], all[LOAM_GROUPED_SIZE];
    loam_log_write(log, LOAM_LOG_INFO, "training %s of %s parameters (%.2f %%) in %lld steps",
                   loam_grouped(start->trainable_parameters, trainable), loam_grouped(start->parameters, all),
                   100.0 * (double)start->trainable_parameters / (double)start->parameters,
                   (long long)start->total_steps);
}

static bool watch_event(void *user, const struct loam_event *event)
{
    struct train_watch *watch = user;
    if (event->kind == LOAM_EVENT_START) {
        watch->start = *event;
        log_start(&watch->callbacks->log, event);
    }
    if (event->kind == LOAM_EVENT_END) watch->end = *event;
    return watch->callbacks->event == NULL || watch->callbacks->event(watch->callbacks->user, event);
}

static bool watch_text(void *user, const char *text, size_t size)
{
    struct train_watch *watch = user;
    return watch->callbacks->text == NULL || watch->callbacks->text(watch->callbacks->user, text, size);
}

// ---- The end of the run: JSON, or a few lines with the command to try it ----

static enum loam_status report_json(const struct loam_settings *settings, const struct train_watch *watch,
                                    struct loam_error *error)
{
    const struct loam_event *end = &watch->end;
    const enum loam_best_metric metric = settings->train.best_metric;
    const bool answers = metric != LOAM_BEST_EVAL_LOSS && metric != LOAM_BEST_ACCURACY;
    json_t *root = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I}", "out", settings->train.out, "method",
        settings->train.full ? "full" : "lora", "parameters", (json_int_t)watch->start.parameters,
        "trainable_parameters", (json_int_t)watch->start.trainable_parameters, "steps", (json_int_t)end->step,
        "epoch", loam_json_number(end->epoch), "train_loss", loam_json_number(end->loss), "seconds",
        loam_json_number(end->seconds), "tokens_per_second", loam_json_number(end->tokens_per_second),
        "tokens", (json_int_t)end->tokens, "peak_memory_bytes", (json_int_t)end->peak_rss);
    const struct {
        const char *key;
        double value;
        bool there;
    } evaluation[] = {
        {"eval_loss", end->eval_loss, settings->train.eval_data.count > 0},
        {"eval_exact_match", end->eval_exact_match, answers},
        {"eval_f1", end->eval_f1, answers},
        {"eval_rouge_l", end->eval_rouge_l, answers},
        {"eval_accuracy", end->eval_accuracy, metric == LOAM_BEST_ACCURACY || isfinite(end->eval_accuracy)},
    };
    for (size_t i = 0; i < sizeof evaluation / sizeof *evaluation; i++)
        if (evaluation[i].there)
            loam_json_put(&root, evaluation[i].key, loam_json_number(evaluation[i].value));
    return loam_output_json(watch->callbacks, root, JSON_INDENT(2), error);
}

static enum loam_status find_format(const char *path, enum loam_data_format *format, struct loam_error *error)
{
    struct loam_data_input input;
    LOAM_TRY(loam_data_input_open(&input, path, error));
    enum loam_status status =
        loam_data_format_find(format, path, (const char *)input.map.data, input.map.size, error);
    loam_data_input_close(&input);
    return status;
}

// The template of the first file's examples; NULL: none.
static enum loam_status find_template(const struct loam_train_settings *train, const char **name,
                                      struct loam_error *error)
{
    *name = train->prompt_template;
    if (*name != NULL) return LOAM_OK;
    struct loam_data_sources sources = {0};
    enum loam_data_format format = LOAM_DATA_TEXT;
    enum loam_status status = loam_data_sources_find(&sources, &train->data, error);
    if (status == LOAM_OK) status = find_format(sources.files.items[0], &format, error);
    loam_data_sources_deinit(&sources);
    if (status == LOAM_OK && format == LOAM_DATA_SQUAD) *name = "squad";
    return status;
}

// Whether the template has no text before the completion, so that there is no prompt.
static enum loam_status is_bare(const struct loam_template *prompt_template, bool *bare,
                                struct loam_error *error)
{
    *bare = loam_template_prompt_field_count(prompt_template) == 0;
    if (!*bare) return LOAM_OK;
    struct loam_rendered rendered = {0};
    enum loam_status status = loam_template_render(prompt_template, NULL, 0, NULL, true, &rendered, error);
    *bare = rendered.text.size == 0;
    loam_rendered_deinit(&rendered);
    return status;
}

static enum loam_status format_fields(struct loam_bytes *text, const char *name,
                                      const struct loam_template *prompt_template, struct loam_error *error)
{
    bool bare;
    LOAM_TRY(is_bare(prompt_template, &bare, error));
    if (bare) return loam_bytes_append_text(text, " --prompt '...'\n", error);
    LOAM_TRY(loam_bytes_append_text(text, " --template ", error));
    LOAM_TRY(loam_bytes_append_word(text, name, error));
    for (size_t i = 0; i < loam_template_prompt_field_count(prompt_template); i++)
        LOAM_TRY(loam_bytes_format(text, error, " --field %s='...'",
                                   loam_template_field_name(prompt_template, i)));
    return loam_bytes_append_text(text, "\n", error);
}

static enum loam_status format_template(struct loam_bytes *text, const struct loam_train_settings *train,
                                        struct loam_error *error)
{
    const char *name;
    LOAM_TRY(find_template(train, &name, error));
    if (name == NULL) return loam_bytes_append_text(text, " --prompt '...'\n", error);
    struct loam_template *prompt_template;
    LOAM_TRY(loam_template_open(&prompt_template, name, error));
    enum loam_status status = format_fields(text, name, prompt_template, error);
    loam_template_destroy(prompt_template);
    return status;
}

// Appends the prompt's options in the form of the training examples, with values to fill in. A file that
// disappeared during training is not an error here.
static enum loam_status format_prompt(struct loam_bytes *text, const struct loam_train_settings *train,
                                      struct loam_error *error)
{
    size_t before = text->size;
    if (format_template(text, train, NULL) == LOAM_OK) return LOAM_OK;
    text->size = before;
    return loam_bytes_append_text(text, " --prompt '...'\n", error);
}

static enum loam_status format_model(struct loam_bytes *text, const struct loam_train_settings *train,
                                     struct loam_error *error)
{
    char *model = loam_train_model_argument(train, error);
    if (model == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_bytes_append_word(text, model, error);
    free(model);
    return status;
}

static enum loam_status format_end(struct loam_bytes *text, const struct loam_train_settings *train,
                                   const struct loam_event *end, struct loam_error *error)
{
    char tokens[LOAM_GROUPED_SIZE];
    LOAM_TRY(loam_bytes_format(text, error,
                               "mean loss %.4f over %lld steps, %s tokens in %.1f s (%.0f tokens/s), "
                               "peak memory %.0f MiB\nthe %s is in %s\n\nTry it:\n  loam %s --model ",
                               end->loss, (long long)end->step, loam_grouped(end->tokens, tokens),
                               end->seconds, end->tokens_per_second,
                               (double)end->peak_rss / (1024.0 * 1024.0), train->full ? "model" : "adapter",
                               train->out, end->has_chats ? "chat" : "generate"));
    LOAM_TRY(train->full ? loam_bytes_append_word(text, train->out, error)
                         : format_model(text, train, error));
    if (!train->full) {
        LOAM_TRY(loam_bytes_append_text(text, " --adapter ", error));
        LOAM_TRY(loam_bytes_append_word(text, train->out, error));
    }
    return end->has_chats ? loam_bytes_append_text(text, "\n", error) : format_prompt(text, train, error);
}

static enum loam_status report_text(const struct loam_settings *settings, const struct train_watch *watch,
                                    struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = format_end(&text, &settings->train, &watch->end, error);
    if (status == LOAM_OK) status = loam_output_bytes(watch->callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

// ---- Push ----

enum loam_status loam_check_train(const struct loam_settings *settings, struct loam_error *error)
{
    const char *repository = settings->hub.push_to;
    return repository == NULL ? LOAM_OK : loam_push_check(repository, error);
}

// Adds the command that repeats the push to the message.
static enum loam_status fail_push(const char *out, const char *repository, struct loam_error *error)
{
    struct loam_bytes command = {0};
    struct loam_error ignored;
    enum loam_status status = error->status;
    if (loam_bytes_append_text(&command, "loam push ", &ignored) == LOAM_OK &&
        loam_bytes_append_word(&command, out, &ignored) == LOAM_OK &&
        loam_bytes_format(&command, &ignored, " %s", repository) == LOAM_OK)
        status = loam_fail_prefix(error, "%s is complete, but not on the hub (%s repeats the push)", out,
                                  command.data);
    loam_bytes_deinit(&command);
    return status;
}

// Pushes the result, which is already saved on the disk.
static enum loam_status push(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                             struct loam_error *error)
{
    const char *out = settings->train.out, *repository = settings->hub.push_to;
    struct loam_hub_options options = settings->hub;
    struct loam_pushed pushed = {0};
    options.message = "End of training";
    enum loam_status status = loam_push_directory(&options, out, repository, callbacks, &pushed, error);
    if (status == LOAM_OK)
        loam_log_write(&callbacks->log, LOAM_LOG_INFO, "pushed to %s", pushed.address);
    else
        status = fail_push(out, repository, error);
    loam_pushed_deinit(&pushed);
    return status;
}

enum loam_status loam_run_train(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                                struct loam_error *error)
{
    struct train_watch watch = {.callbacks = callbacks};
    struct loam_callbacks watched = {
        .user = &watch, .log = callbacks->log, .event = watch_event, .text = watch_text};
    LOAM_TRY(loam_train_run(&settings->train, &watched, error));
    LOAM_TRY((settings->json ? report_json : report_text)(settings, &watch, error));
    return settings->hub.push_to == NULL ? LOAM_OK : push(settings, callbacks, error);
}
