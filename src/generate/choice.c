#include "generate/choice.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "generate/sample.h"

// ---- memory ----

enum loam_status loam_choice_init(struct loam_choice *choice, const struct loam_generation *generation,
                                  int32_t vocabulary, int32_t most_asked, struct loam_error *error)
{
    const size_t count = (size_t)vocabulary, asked = (size_t)most_asked;
    const size_t penalised = generation->sampling.repetition_penalty != 1 ? count : 0;
    choice->vocabulary = vocabulary;
    choice->most_asked = most_asked;
    choice->allowed = loam_calloc(count, sizeof *choice->allowed, error);
    choice->bits = loam_calloc(count / 32 + 1, sizeof *choice->bits, error);
    choice->seen = loam_calloc(penalised, sizeof *choice->seen, error);
    choice->seen_ids = loam_calloc(penalised, sizeof *choice->seen_ids, error);
    choice->asked = loam_calloc(asked, sizeof *choice->asked, error);
    choice->answers = loam_calloc(asked, sizeof *choice->answers, error);
    const bool all = choice->allowed != NULL && choice->bits != NULL && choice->seen != NULL &&
                     choice->seen_ids != NULL && choice->asked != NULL && choice->answers != NULL;
    return all ? LOAM_OK : LOAM_ERROR_MEMORY;
}

void loam_choice_deinit(struct loam_choice *choice)
{
    free(choice->allowed);
    free(choice->bits);
    free(choice->seen);
    free(choice->seen_ids);
    free(choice->asked);
    free(choice->answers);
    *choice = (struct loam_choice){0};
}

// ---- the question ----

// Ids of the tokenizer. A head may have more rows.
static int32_t known_ids(const struct loam_choice *choice, const struct loam_generation *generation)
{
    return generation->vocabulary < choice->vocabulary ? generation->vocabulary : choice->vocabulary;
}

// Sets the ids that may come next. While healing is not done, they are the ids that continue its text. After that, they
// are all ids of the tokenizer and end tokens beyond its vocabulary.
static void set_allowed(struct loam_choice *choice, const struct loam_generation *generation)
{
    const struct loam_special_tokens *special = generation->special;
    const int32_t known = known_ids(choice, generation);
    if (choice->is_open) return;
    memset(choice->allowed, 0, (size_t)choice->vocabulary * sizeof *choice->allowed);
    if (generation->healing != NULL && !loam_healing_is_done(generation->healing) &&
        loam_healing_allow(generation->healing, choice->allowed, known))
        return;
    choice->is_open = true;
    for (int32_t id = 0; id < known; id++)
        choice->allowed[id] = true;
    for (size_t i = 0; i < special->eos_count; i++)
        if (special->eos_ids[i] >= known && special->eos_ids[i] < choice->vocabulary)
            choice->allowed[special->eos_ids[i]] = true;
}

// Adds the history since the last token to the ids that have a penalty.
static void see(struct loam_choice *choice, const int32_t *history, size_t history_count)
{
    for (; choice->history_count < history_count; choice->history_count++) {
        const int32_t id = history[choice->history_count];
        if (id < 0 || id >= choice->vocabulary || choice->seen[id]) continue;
        choice->seen[id] = true;
        choice->seen_ids[choice->seen_count++] = id;
    }
}

static bool ask(struct loam_choice *choice, int32_t id)
{
    for (int32_t i = 0; i < choice->top.asked_count; i++)
        if (choice->asked[i] == id) return true;
    if (choice->top.asked_count == choice->most_asked) return false;
    choice->asked[choice->top.asked_count++] = id;
    return true;
}

// Asks for what the device does not search: allowed ids with a penalty, and end tokens beyond the tokenizer's.
static bool ask_for_others(struct loam_choice *choice, const struct loam_generation *generation,
                           bool penalises)
{
    const struct loam_special_tokens *special = generation->special;
    const int32_t known = known_ids(choice, generation);
    choice->top.asked_count = 0;
    for (size_t i = 0; i < special->eos_count; i++) {
        const int32_t id = special->eos_ids[i];
        if (id < known || id >= choice->vocabulary || !choice->allowed[id]) continue;
        if (!ask(choice, id)) return false;
    }
    for (int32_t i = 0; i < choice->seen_count && penalises; i++) {
        const int32_t id = choice->seen_ids[i];
        if (!choice->allowed[id] || id >= known) continue; // those beyond are asked for already
        if (choice->top.asked_count == choice->most_asked) return false;
        choice->asked[choice->top.asked_count++] = id;
    }
    return true;
}

// The bits of the ids that the device searches.
static void set_bits(struct loam_choice *choice)
{
    memset(choice->bits, 0, ((size_t)choice->vocabulary / 32 + 1) * sizeof *choice->bits);
    for (int32_t id = 0; id < choice->vocabulary; id++) {
        const uint32_t bit = choice->allowed[id] ? 1u << (id % 32) : 0;
        choice->bits[id / 32] = (int32_t)((uint32_t)choice->bits[id / 32] | bit);
    }
    for (int32_t i = 0; i < choice->seen_count; i++) {
        const int32_t id = choice->seen_ids[i];
        choice->bits[id / 32] = (int32_t)((uint32_t)choice->bits[id / 32] & ~(1u << (id % 32)));
    }
}

// The candidates that a choice needs; at high temperatures it may need more.
static int32_t count_wanted(const struct loam_sampling *sampling)
{
    if (sampling->temperature <= 0) return 1;
    const bool few = sampling->top_k > 0 && sampling->top_k < LOAM_MOST_TOP_LOGITS;
    return few ? sampling->top_k : LOAM_MOST_TOP_LOGITS;
}

bool loam_choice_prepare(struct loam_choice *choice, const struct loam_generation *generation,
                         const int32_t *history, size_t history_count)
{
    const struct loam_sampling *sampling = &generation->sampling;
    const bool penalises = sampling->repetition_penalty != 1;
    set_allowed(choice, generation);
    if (penalises) see(choice, history, history_count);
    if (!ask_for_others(choice, generation, penalises)) return false;
    const bool searches_some = penalises || !choice->is_open;
    if (searches_some) set_bits(choice);
    choice->top.k = count_wanted(sampling);
    choice->top.limit = known_ids(choice, generation);
    choice->top.allowed = searches_some ? choice->bits : NULL;
    choice->top.asked = choice->asked;
    choice->top.factor = 0;
    if (sampling->temperature > 0)
        choice->top.factor = sampling->temperature > 1e-30 ? (float)(1 / sampling->temperature) : 1e30f;
    choice->top.values = choice->values;
    choice->top.ids = choice->ids;
    choice->top.answers = choice->answers;
    return true;
}

// ---- the answer ----

enum loam_status loam_choice_sample(const struct loam_choice *choice, const struct loam_sampling *sampling,
                                    uint64_t draw, int32_t *id, bool *is_known, struct loam_error *error)
{
    const struct loam_top *top = &choice->top;
    struct loam_best best = {.found = top->k, .sum = (double)top->sum};
    if (top->fault >= 0) return loam_sample_refuse(top->fault, error);
    struct loam_candidate *candidates =
        loam_calloc((size_t)(top->k + top->asked_count), sizeof *candidates, error);
    if (candidates == NULL) return LOAM_ERROR_MEMORY;
    for (best.found = 0; best.found < top->k && top->ids[best.found] >= 0; best.found++)
        candidates[best.found] = (struct loam_candidate){top->values[best.found], top->ids[best.found]};
    best.is_all = best.found < top->k;
    best.count = best.found;
    for (int32_t i = 0; i < top->asked_count; i++) {
        const int32_t asked = top->asked[i];
        const bool penalised = sampling->repetition_penalty != 1 && choice->seen[asked];
        const float logit =
            penalised ? loam_sample_penalise(top->answers[i], sampling->repetition_penalty) : top->answers[i];
        candidates[best.count++] = (struct loam_candidate){logit, asked};
    }
    best.candidates = candidates;
    enum loam_status status = loam_sample_best(sampling, &best, draw, id, is_known, error);
    free(candidates);
    return status;
}
