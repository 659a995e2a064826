// loam train.
#include "api/output.h"
#include "api/run.h"

// Passes events on and keeps the last word of the run.
struct train_watch {
    const struct loam_callbacks *callbacks;
    struct loam_event start;
    struct loam_event end;
    double eval_loss;
    bool evaluated;
};

static void watch_event(void *user, const struct loam_event *event)
{
    struct train_watch *watch = user;
    if (event->kind == LOAM_EVENT_START) watch->start = *event;
    if (event->kind == LOAM_EVENT_END) watch->end = *event;
    if (event->kind == LOAM_EVENT_EVAL) {
        watch->eval_loss = event->eval_loss;
        watch->evaluated = true;
    }
    if (watch->callbacks->event != NULL) watch->callbacks->event(watch->callbacks->user, event);
}

static bool watch_text(void *user, const char *text, size_t size)
{
    struct train_watch *watch = user;
    return watch->callbacks->text == NULL || watch->callbacks->text(watch->callbacks->user, text, size);
}

static enum loam_status report(const struct loam_settings *settings, const struct train_watch *watch,
                               struct loam_error *error)
{
    const struct loam_event *end = &watch->end;
    json_t *root = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I}", "out", settings->train.out, "method",
        settings->train.full ? "full" : "lora", "parameters", (json_int_t)watch->start.parameters,
        "trainable_parameters", (json_int_t)watch->start.trainable_parameters, "steps", (json_int_t)end->step,
        "epoch", loam_json_number(end->epoch), "train_loss", loam_json_number(end->loss), "seconds",
        loam_json_number(end->seconds), "tokens_per_second", loam_json_number(end->tokens_per_second),
        "tokens", (json_int_t)end->tokens, "peak_memory_bytes", (json_int_t)end->peak_rss);
    if (root != NULL && watch->evaluated)
        json_object_set_new(root, "eval_loss", loam_json_number(watch->eval_loss));
    return loam_output_json(watch->callbacks, root, JSON_INDENT(2), error);
}

enum loam_status loam_run_train(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                                struct loam_error *error)
{
    struct train_watch watch = {.callbacks = callbacks};
    struct loam_callbacks watched = {
        .user = &watch, .log = callbacks->log, .event = watch_event, .text = watch_text};
    LOAM_TRY(loam_train_run(&settings->train, &watched, error));
    return settings->json ? report(settings, &watch, error) : LOAM_OK;
}
