// An answer while it is generated: its tokens are decoded, its text is cut at stop texts and written as it comes.
#ifndef LOAM_COMMANDS_ANSWER_H
#define LOAM_COMMANDS_ANSWER_H

#include "base/json.h"
#include "commands/stops.h"
#include "generate/generator.h"

struct loam_answer_settings {
    const struct loam_callbacks *callbacks;
    const struct loam_tokenizer *tokenizer;
    const struct loam_stops *stops;
    struct loam_healing *healing; // of the prompt
    int32_t most;                 // tokens; room for their ids is taken
    int32_t wanted;               // tokens, for progress
    bool is_written;              // the text goes to the text callback
};

// A zeroed struct is valid.
struct loam_answer {
    struct loam_answer_settings settings;
    struct loam_decode_stream *stream;
    struct loam_stop_scan scan;
    struct loam_bytes decoded; // text that is not scanned yet
    struct loam_bytes text;    // of the answer
    size_t written;            // bytes of the text
    int32_t *ids;              // [count] of all tokens but an end token; the last may spell a stop text
    int32_t count;
    enum loam_finish finish;
    bool is_interrupted; // the event callback asked to stop
    double seconds;
};
void loam_answer_deinit(struct loam_answer *answer);

// Generates the only sequence of the generator, which has begun, to its end. After an interruption, which is
// LOAM_ERROR_STOPPED, the answer has what was generated before.
enum loam_status loam_answer_generate(struct loam_answer *answer, const struct loam_answer_settings *settings,
                                      struct loam_generator *generator, struct loam_error *error);

// Adds "text", "ids", "prompt_tokens", "new_tokens", "finish_reason", "seconds" and "tokens_per_second" to an object.
void loam_answer_put(const struct loam_answer *answer, int32_t prompt_tokens, json_t **object);

#endif
