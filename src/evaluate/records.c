// The records of an evaluation. Each is worked on in one place, or with choices in one for each option, too.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/heap.h"
#include "base/utf8.h"
#include "evaluate/answerer.h"

// ---- the end of an answer ----

static void trim(const struct loam_bytes *text, const char **start, size_t *size)
{
    static const char blanks[] = " \t\r\n\f\v";
    *start = text->data != NULL ? text->data : "";
    *size = text->size;
    for (; *size > 0 && memchr(blanks, (*start)[0], sizeof blanks - 1) != NULL; --*size)
        ++*start;
    while (*size > 0 && memchr(blanks, (*start)[*size - 1], sizeof blanks - 1) != NULL)
        --*size;
}

// Decodes the answer of a place, up to the text that ends it. `*ended`: that text is there.
static enum loam_status decode_answer(struct loam_answerer *answerer, struct loam_place *place, bool *ended,
                                      struct loam_error *error)
{
    struct loam_bytes *text = &answerer->text;
    loam_bytes_clear(text);
    LOAM_TRY(loam_tokenizer_decode(answerer->session->tokenizer, place->output, (size_t)place->output_count,
                                   true, text, error));
    place->healing.shown = 0;
    loam_healing_strip(&place->healing, text);
    *ended = false;
    if (place->stop_text == NULL || text->size == 0) return LOAM_OK;
    const char *found = memmem(text->data, text->size, place->stop_text, strlen(place->stop_text));
    *ended = found != NULL;
    if (*ended) text->size = (size_t)(found - text->data);
    return LOAM_OK;
}

// Scores the answer of a place, which is empty where no prompt could be made.
static enum loam_status score_answer(struct loam_answerer_evaluation *evaluation, struct loam_place *place,
                                     struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    struct loam_outcome *outcome = &evaluation->outcomes[place->record];
    const struct loam_text_list *golds = &place->question.golds;
    const char *text;
    size_t size;
    bool ended;
    LOAM_TRY(decode_answer(answerer, place, &ended, error));
    trim(&answerer->text, &text, &size);
    outcome->answerable = golds->count > 0;
    evaluation->generated_tokens += place->output_count;
    return (outcome->kind == LOAM_QUESTION_SQUAD ? loam_score_answer : loam_score_text)(
        text, size, golds->items, golds->count, &outcome->score, error);
}

// ---- the end of a place's work ----

static void take_losses(struct loam_answerer_evaluation *evaluation, const struct loam_place *place)
{
    struct loam_outcome *outcome = &evaluation->outcomes[place->record];
    const struct loam_example *example = &place->example;
    outcome->loss = 0;
    for (int32_t t = 1; t < example->count; t++)
        if (example->weights[t] != 0)
            outcome->loss += (double)example->weights[t] * (double)place->losses[t - 1];
}

// The sum of the losses of an option's tokens is its log-likelihood, but for the sign.
static void take_option(struct loam_answerer_evaluation *evaluation, const struct loam_place *place)
{
    const struct loam_example *example = &place->example;
    double likelihood = 0;
    for (int32_t t = 1; t < example->count; t++)
        if (example->weights[t] != 0) likelihood -= (double)place->losses[t - 1];
    loam_outcome_choose(&evaluation->outcomes[place->record], place->option, likelihood, place->characters);
}

// Frees the place. The record is done when its last part is.
static enum loam_status finish_part(struct loam_answerer_evaluation *evaluation, struct loam_place *place,
                                    struct loam_error *error)
{
    place->taken = false;
    if (--evaluation->outcomes[place->record].parts > 0) return LOAM_OK;
    return loam_event_progress(evaluation->answerer->session->callbacks, LOAM_ACTIVITY_ANSWER,
                               (int64_t)++evaluation->done, (int64_t)evaluation->count, error);
}

static bool is_answered(const struct loam_answerer_evaluation *evaluation, const struct loam_place *place)
{
    const enum loam_question_kind kind = evaluation->outcomes[place->record].kind;
    return evaluation->answerer->answers && (kind == LOAM_QUESTION_ANSWER || kind == LOAM_QUESTION_SQUAD);
}

static enum loam_status finish_record(struct loam_answerer_evaluation *evaluation, struct loam_place *place,
                                      struct loam_error *error)
{
    if (is_answered(evaluation, place)) LOAM_TRY(score_answer(evaluation, place, error));
    return finish_part(evaluation, place, error);
}

// ---- the beginning of a place's work ----

static struct loam_generation generation_of(const struct loam_answerer *answerer, struct loam_place *place,
                                            int32_t max_new_tokens)
{
    return (struct loam_generation){
        .max_new_tokens = max_new_tokens,
        .vocabulary = loam_tokenizer_vocabulary_size(answerer->session->tokenizer),
        .sampling = {.temperature = 0, .top_p = 1, .repetition_penalty = 1},
        .special = &answerer->session->special,
        .healing = &place->healing,
    };
}

// An answer to a conversation ends where the template ends a turn, too.
static enum loam_status set_stops(struct loam_answerer_evaluation *evaluation, struct loam_place *place,
                                  struct loam_error *error)
{
    struct loam_generation *generation = &place->generation;
    place->stop_text = NULL;
    if (!place->question.is_chat) return LOAM_OK;
    place->stop_text = loam_dataset_stop_text(evaluation->dataset);
    return loam_dataset_stops(evaluation->dataset, &generation->stop_ids, &generation->stop_count, error);
}

// Begins to answer. With `scored` the losses of the example come from the same passes.
static enum loam_status begin_answer(struct loam_answerer_evaluation *evaluation, struct loam_place *place,
                                     bool scored, struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    const struct loam_example *prompt = &place->question.prompt;
    const struct loam_bytes *rest = &place->question.rest;
    int32_t sequence;
    place->work = LOAM_PLACE_ANSWER;
    place->generation = generation_of(answerer, place, answerer->max_new_tokens);
    LOAM_TRY(loam_healing_begin(&place->healing, answerer->session->tokenizer,
                                rest->data != NULL ? rest->data : "", rest->size, error));
    LOAM_TRY(set_stops(evaluation, place, error));
    if (scored)
        LOAM_TRY(loam_generator_begin_scored(answerer->generator, &place->scored, prompt->count,
                                             &place->generation, &answerer->adapters, &sequence, error));
    else
        LOAM_TRY(loam_generator_begin(answerer->generator, prompt->ids, prompt->count, &place->generation,
                                      &answerer->adapters, &sequence, error));
    answerer->place_of[sequence] = (size_t)(place - answerer->places);
    return LOAM_OK;
}

// Begins to compute the losses of an example alone. Its prompt ends at the first label.
static enum loam_status begin_losses(struct loam_answerer *answerer, struct loam_place *place,
                                     enum loam_place_work work, struct loam_error *error)
{
    int32_t sequence, count = 1;
    while (place->example.weights[count] == 0)
        count++;
    place->work = work;
    place->generation = generation_of(answerer, place, 0);
    LOAM_TRY(loam_generator_begin_scored(answerer->generator, &place->scored, count, &place->generation,
                                         &answerer->adapters, &sequence, error));
    answerer->place_of[sequence] = (size_t)(place - answerer->places);
    return LOAM_OK;
}

static bool has_prompt(const struct loam_place *place)
{
    return !place->question.prompt.dropped && place->question.prompt.count > 0;
}

// A prompt that was cut otherwise than the example is not its beginning.
static bool begins_with_prompt(const struct loam_place *place)
{
    const struct loam_example *prompt = &place->question.prompt, *example = &place->example;
    return has_prompt(place) && prompt->count <= example->count &&
           memcmp(prompt->ids, example->ids, (size_t)prompt->count * sizeof *prompt->ids) == 0;
}

static enum loam_status read_record(struct loam_answerer_evaluation *evaluation, struct loam_place *place,
                                    struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    struct loam_outcome *outcome = &evaluation->outcomes[place->record];
    struct loam_example *example = &place->example;
    LOAM_TRY(loam_dataset_read(evaluation->dataset, place->record, example, error));
    LOAM_TRY(loam_dataset_question(evaluation->dataset, place->record, answerer->longest_prompt,
                                   &place->question, error));
    outcome->kind = place->question.kind;
    outcome->right = place->question.right;
    outcome->parts = 1;
    outcome->read = !example->dropped && example->count > 0;
    if (outcome->read) {
        outcome->tokens = example->count;
        outcome->labels = loam_labels_count(example->weights, example->count);
    }
    place->scored = (struct loam_scored){example->ids, example->weights, example->count, place->losses};
    return LOAM_OK;
}

// Leaves the options of a question to the places that come next.
static void offer_options(struct loam_answerer_evaluation *evaluation, struct loam_place *place)
{
    struct loam_question question = place->question;
    if (question.kind != LOAM_QUESTION_CHOICE) return;
    place->question = evaluation->choosing;
    evaluation->choosing = question;
    evaluation->chosen_record = place->record;
    evaluation->next_option = 0;
    evaluation->outcomes[place->record].parts += question.options.count;
}

static enum loam_status begin_record(struct loam_answerer_evaluation *evaluation, struct loam_place *place,
                                     struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    place->taken = true;
    place->record = evaluation->next++;
    place->output_count = 0;
    LOAM_TRY(read_record(evaluation, place, error));
    offer_options(evaluation, place);
    const bool scored = evaluation->outcomes[place->record].labels.count > 0;
    const bool answered = is_answered(evaluation, place);
    if (scored && !(answered && begins_with_prompt(place)))
        return begin_losses(answerer, place, LOAM_PLACE_LOSSES, error);
    if (answered && has_prompt(place)) return begin_answer(evaluation, place, scored, error);
    return finish_record(evaluation, place, error);
}

static enum loam_status begin_option(struct loam_answerer_evaluation *evaluation, struct loam_place *place,
                                     struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    struct loam_example *example = &place->example;
    place->taken = true;
    place->record = evaluation->chosen_record;
    place->option = evaluation->next_option++;
    const char *option = evaluation->choosing.options.items[place->option];
    place->characters = loam_utf8_count(option, strlen(option));
    LOAM_TRY(loam_dataset_option(evaluation->dataset, place->record, &evaluation->choosing, place->option,
                                 answerer->session->max_length, example, error));
    if (loam_labels_count(example->weights, example->count).count == 0) {
        evaluation->outcomes[place->record].lacks_option = true;
        return finish_part(evaluation, place, error);
    }
    place->scored = (struct loam_scored){example->ids, example->weights, example->count, place->losses};
    return begin_losses(answerer, place, LOAM_PLACE_OPTION, error);
}

// ---- all records ----

static int32_t count_taken(const struct loam_answerer *answerer)
{
    int32_t taken = 0;
    for (int32_t i = 0; i < answerer->sequences; i++)
        taken += answerer->places[i].taken;
    return taken;
}

static bool has_option(const struct loam_answerer_evaluation *evaluation)
{
    return evaluation->next_option < evaluation->choosing.options.count;
}

static bool has_work(const struct loam_answerer_evaluation *evaluation)
{
    return has_option(evaluation) || evaluation->next < evaluation->count;
}

// Begins work in all free places, where at least half are free: prompts are read faster together. `*began`: there was
// some.
static enum loam_status fill_places(struct loam_answerer_evaluation *evaluation, bool *began,
                                    struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    *began = false;
    if (2 * count_taken(answerer) > answerer->sequences) return LOAM_OK;
    for (int32_t i = 0; i < answerer->sequences; i++)
        while (!answerer->places[i].taken && has_work(evaluation)) {
            *began = true;
            LOAM_TRY((has_option(evaluation) ? begin_option : begin_record)(evaluation, &answerer->places[i],
                                                                            error));
        }
    return LOAM_OK;
}

// Whether the answer has come to the text that ends it.
static enum loam_status find_stop_text(struct loam_answerer *answerer, struct loam_place *place, bool *ended,
                                       struct loam_error *error)
{
    *ended = false;
    if (place->work != LOAM_PLACE_ANSWER || place->stop_text == NULL) return LOAM_OK;
    return decode_answer(answerer, place, ended, error);
}

static enum loam_status take_generated(struct loam_answerer_evaluation *evaluation,
                                       const struct loam_generated *generated, struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    struct loam_place *place = &answerer->places[answerer->place_of[generated->sequence]];
    bool ended;
    if (generated->id >= 0 && generated->finish != LOAM_FINISH_STOP)
        place->output[place->output_count++] = generated->id;
    LOAM_TRY(find_stop_text(answerer, place, &ended, error));
    if (generated->finish == LOAM_FINISH_NONE && !ended) return LOAM_OK;
    loam_generator_end(answerer->generator, generated->sequence);
    if (place->work == LOAM_PLACE_OPTION) {
        take_option(evaluation, place);
        return finish_part(evaluation, place, error);
    }
    if (evaluation->outcomes[place->record].labels.count > 0) take_losses(evaluation, place);
    if (place->work == LOAM_PLACE_LOSSES && is_answered(evaluation, place) && has_prompt(place))
        return begin_answer(evaluation, place, false, error);
    return finish_record(evaluation, place, error);
}

static enum loam_status run_records(struct loam_answerer_evaluation *evaluation, struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    while (has_work(evaluation) || count_taken(answerer) > 0) {
        const double start = loam_clock_seconds();
        size_t count;
        bool began;
        LOAM_TRY(fill_places(evaluation, &began, error));
        LOAM_TRY(loam_generator_advance(answerer->generator, answerer->generated, &count, error));
        for (size_t i = 0; i < count; i++)
            LOAM_TRY(take_generated(evaluation, &answerer->generated[i], error));
        if (!began) continue;
        evaluation->reading_seconds += loam_clock_seconds() - start;
        LOAM_TRY(loam_event_progress(answerer->session->callbacks, LOAM_ACTIVITY_EVALUATE,
                                     (int64_t)evaluation->next, (int64_t)evaluation->count, error));
    }
    return LOAM_OK;
}

// Ends what a failure left running, so that the next evaluation finds all places free.
static void end_all(struct loam_answerer *answerer)
{
    for (int32_t i = 0; i < answerer->sequences; i++) {
        loam_generator_end(answerer->generator, i);
        answerer->places[i].taken = false;
    }
}

// Adapters may have changed since the last evaluation, and with them what the cache should hold.
enum loam_status loam_answerer_run(struct loam_answerer_evaluation *evaluation, size_t limit,
                                   struct loam_error *error)
{
    evaluation->count = loam_dataset_limit(evaluation->dataset, limit);
    evaluation->outcomes = loam_calloc(evaluation->count, sizeof *evaluation->outcomes, error);
    if (evaluation->outcomes == NULL) return LOAM_ERROR_MEMORY;
    loam_generator_forget(evaluation->answerer->generator);
    enum loam_status status = run_records(evaluation, error);
    end_all(evaluation->answerer);
    return status;
}

void loam_answerer_evaluation_deinit(struct loam_answerer_evaluation *evaluation)
{
    loam_question_deinit(&evaluation->choosing);
    free(evaluation->outcomes);
}
