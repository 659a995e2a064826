#include "commands/answer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/heap.h"
#include "commands/output.h"

// By enum loam_finish.
static const char *const finish_names[] = {"none", "stop", "length", "context"};

void loam_answer_deinit(struct loam_answer *answer)
{
    loam_decode_stream_destroy(answer->stream);
    loam_stop_scan_deinit(&answer->scan);
    loam_bytes_deinit(&answer->decoded);
    loam_bytes_deinit(&answer->text);
    free(answer->ids);
    *answer = (struct loam_answer){0};
}

static enum loam_status write_text(struct loam_answer *answer, struct loam_error *error)
{
    if (!answer->settings.is_written || answer->written == answer->text.size) return LOAM_OK;
    const char *rest = answer->text.data + answer->written;
    const size_t size = answer->text.size - answer->written;
    answer->written = answer->text.size;
    return loam_output_bytes(answer->settings.callbacks, rest, size, error);
}

// Moves decoded text into the answer, up to a stop text.
static enum loam_status take_text(struct loam_answer *answer, struct loam_error *error)
{
    loam_healing_strip(answer->settings.healing, &answer->decoded);
    LOAM_TRY(
        loam_stop_scan_push(&answer->scan, answer->decoded.data, answer->decoded.size, &answer->text, error));
    loam_bytes_clear(&answer->decoded);
    if (answer->scan.is_found) answer->finish = LOAM_FINISH_STOP;
    return write_text(answer, error);
}

static enum loam_status take_token(struct loam_answer *answer, int32_t id, struct loam_error *error)
{
    answer->ids[answer->count++] = id;
    LOAM_TRY(loam_decode_stream_push(answer->stream, id, &answer->decoded, error));
    return take_text(answer, error);
}

// Reports progress, also of a part of a long prompt.
static enum loam_status report(struct loam_answer *answer, struct loam_error *error)
{
    const enum loam_status status = loam_event_progress(answer->settings.callbacks, LOAM_ACTIVITY_GENERATE,
                                                        answer->count, answer->settings.wanted, error);
    answer->is_interrupted = status == LOAM_ERROR_STOPPED;
    return status;
}

static enum loam_status run(struct loam_answer *answer, struct loam_generator *generator,
                            struct loam_error *error)
{
    while (answer->finish == LOAM_FINISH_NONE) {
        struct loam_generated next;
        size_t count;
        LOAM_TRY(loam_generator_advance(generator, &next, &count, error));
        answer->finish = next.finish;
        const bool has_token = next.id >= 0 && next.finish != LOAM_FINISH_STOP;
        if (has_token) LOAM_TRY(take_token(answer, next.id, error));
        if (has_token || next.finish == LOAM_FINISH_NONE) LOAM_TRY(report(answer, error));
    }
    return LOAM_OK;
}

// Takes the text that later tokens could have changed.
static enum loam_status finish(struct loam_answer *answer, struct loam_error *error)
{
    LOAM_TRY(loam_decode_stream_finish(answer->stream, &answer->decoded, error));
    LOAM_TRY(take_text(answer, error));
    LOAM_TRY(loam_stop_scan_finish(&answer->scan, &answer->text, error));
    return write_text(answer, error);
}

enum loam_status loam_answer_generate(struct loam_answer *answer, const struct loam_answer_settings *settings,
                                      struct loam_generator *generator, struct loam_error *error)
{
    const double start = loam_clock_seconds();
    answer->settings = *settings;
    answer->scan.texts = loam_stops_texts(settings->stops);
    answer->ids = loam_calloc((size_t)settings->most, sizeof *answer->ids, error);
    if (answer->ids == NULL) return loam_failure(error);
    LOAM_TRY(loam_decode_stream_create(&answer->stream, settings->tokenizer, true, error));
    enum loam_status status = run(answer, generator, error);
    answer->seconds = loam_clock_seconds() - start;
    if (status != LOAM_OK && !answer->is_interrupted) return status;
    LOAM_TRY(finish(answer, error));
    return status;
}

void loam_answer_put(const struct loam_answer *answer, int32_t prompt_tokens, json_t **object)
{
    json_t *ids = json_array();
    for (int32_t i = 0; i < answer->count; i++)
        loam_json_push(&ids, json_integer(answer->ids[i]));
    loam_json_put(object, "text",
                  json_stringn(answer->text.data == NULL ? "" : answer->text.data, answer->text.size));
    loam_json_put(object, "ids", ids);
    loam_json_put(object, "prompt_tokens", json_integer(prompt_tokens));
    loam_json_put(object, "new_tokens", json_integer(answer->count));
    loam_json_put(object, "finish_reason",
                  json_string(answer->is_interrupted ? "interrupted" : finish_names[answer->finish]));
    loam_json_put(object, "seconds", loam_json_number(answer->seconds));
    loam_json_put(object, "tokens_per_second", loam_json_number((double)answer->count / answer->seconds));
}
