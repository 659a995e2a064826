// A step of the generator: passes over tokens of several sequences, and the choice of tokens.
#include <string.h>

#include "generate/sequence.h"

static int32_t min32(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

// ---- what a sequence feeds next ----

// Tokens are fed in pieces of three kinds. The bits of a row do not depend on the rows beside it that are of its
// kind: the products and the attention of a device may add up few rows and many in other orders. So a sequence
// gets, to the bit, what it gets alone.
enum kind {
    ONE,  // a token; up to LOAM_ROWS_ALIKE sequences go together
    FEW,  // fewer than LOAM_MANY_TOKENS; a pass of its own
    MANY, // as many or more; as many sequences as a pass has room for go together
};

static bool is_reading(const struct loam_sequence *sequence)
{
    return sequence->count == 0 && sequence->fed < sequence->reads;
}

// Tokens of the next piece. What follows a piece of LOAM_PROMPT_CHUNK tokens is many, too.
static int32_t piece_of(const struct loam_sequence *sequence)
{
    if (!is_reading(sequence)) return sequence->prompt_count + sequence->count - sequence->fed;
    const int32_t left = sequence->reads - sequence->fed;
    return left <= LOAM_PROMPT_CHUNK ? left : min32(LOAM_PROMPT_CHUNK, left - LOAM_MANY_TOKENS);
}

static enum kind kind_of(int32_t piece)
{
    if (piece == 1) return ONE;
    return piece < LOAM_MANY_TOKENS ? FEW : MANY;
}

// ---- prompts with a common beginning ----

// Tokens of a sequence that another one has in the cache, or will have: `all` of its prompt.
static int32_t count_shared(const struct loam_sequence *sequence, const struct loam_sequence *other, bool all)
{
    if (other == sequence || other->history == NULL ||
        !loam_sequence_has_adapters(other, sequence->adapters, sequence->adapter_count))
        return 0;
    const int32_t there = all ? other->prompt_count : min32(other->fed, other->prompt_count);
    return loam_sequence_common(other->history, there, sequence->history, sequence->most_taken);
}

// Returns the sequence of which most is in the cache, and how much more that is than the sequence has itself.
static int32_t find_donor(const struct loam_generator *generator, const struct loam_sequence *sequence,
                          int32_t *shared)
{
    int32_t donor = -1;
    *shared = sequence->fed;
    for (int32_t i = 0; i < generator->count; i++) {
        const int32_t count = count_shared(sequence, &generator->sequences[i], false);
        if (count <= *shared) continue;
        *shared = count;
        donor = i;
    }
    return donor;
}

// Whether a sequence before it that is still to be read will have more of its prompt.
static bool waits(const struct loam_generator *generator, const struct loam_sequence *sequence,
                  int32_t shared)
{
    for (const struct loam_sequence *other = generator->sequences; other < sequence; other++)
        if (other->running && !other->advanced && is_reading(other) &&
            count_shared(sequence, other, true) >= shared + LOAM_MANY_TOKENS)
            return true;
    return false;
}

// Takes what another sequence has of the prompt from the cache. `*ready` is false where a later pass of this step
// finds more there.
static enum loam_status take_shared(struct loam_generator *generator, struct loam_sequence *sequence,
                                    bool *ready, struct loam_error *error)
{
    *ready = true;
    if (sequence->started || !generator->shares) return LOAM_OK;
    int32_t shared;
    const int32_t donor = find_donor(generator, sequence, &shared);
    *ready = !waits(generator, sequence, shared);
    if (!*ready) return LOAM_OK;
    sequence->started = true;
    if (shared < sequence->fed + LOAM_MANY_TOKENS) return LOAM_OK;
    LOAM_TRY(loam_decoder_cache_copy(generator->decoder, donor, (int32_t)(sequence - generator->sequences),
                                     shared, error));
    sequence->fed = shared;
    return LOAM_OK;
}

// ---- a pass ----

struct pass {
    enum kind kind;
    int32_t count;  // sequences
    int32_t tokens; // of all
    const struct loam_sequence *first;
};

static bool fits(const struct loam_generator *generator, const struct pass *pass,
                 const struct loam_sequence *sequence)
{
    const int32_t piece = piece_of(sequence);
    if (pass->count == 0) return true;
    if (kind_of(piece) != pass->kind || pass->kind == FEW) return false;
    if (pass->kind == ONE && pass->count == LOAM_ROWS_ALIKE) return false;
    if (piece > generator->tokens - pass->tokens) return false;
    return loam_sequence_has_adapters(sequence, pass->first->adapters, pass->first->adapter_count) ||
           (!sequence->apart && !pass->first->apart);
}

// Makes the feed ask for what the choice of the next token needs.
static void ask_for_token(struct loam_sequence *sequence, int32_t token, struct loam_feed *feed)
{
    const size_t known = (size_t)(sequence->prompt_count + sequence->count);
    feed->logits_token = token;
    feed->holds_logits = true;
    sequence->takes_row =
        !loam_choice_prepare(&sequence->choice, &sequence->generation, sequence->history, known);
    if (!sequence->takes_row) feed->top = &sequence->choice.top;
}

static struct loam_feed feed_of(const struct loam_generator *generator, struct loam_sequence *sequence)
{
    const int32_t piece = piece_of(sequence), fed = sequence->fed;
    struct loam_feed feed = {.sequence = (int32_t)(sequence - generator->sequences),
                             .ids = sequence->history + fed,
                             .count = piece};
    if (!is_reading(sequence)) {
        ask_for_token(sequence, piece - 1, &feed);
        return feed;
    }
    if (sequence->scored.ids != NULL) {
        feed.ids = sequence->scored.ids + fed;
        feed.targets = sequence->targets + fed;
        feed.losses = sequence->scored.losses + fed;
    }
    const int32_t wanted = sequence->prompt_count - 1 - fed;
    if (sequence->most > 0 && wanted >= 0 && wanted < piece) ask_for_token(sequence, wanted, &feed);
    return feed;
}

// Collects the sequences of the next pass.
static enum loam_status collect(struct loam_generator *generator, struct pass *pass, struct loam_error *error)
{
    *pass = (struct pass){0};
    for (int32_t i = 0; i < generator->count; i++) {
        struct loam_sequence *sequence = &generator->sequences[i];
        bool ready;
        if (!sequence->running || sequence->advanced) continue;
        LOAM_TRY(take_shared(generator, sequence, &ready, error));
        if (!ready || !fits(generator, pass, sequence)) continue;
        if (pass->count == 0) {
            pass->kind = kind_of(piece_of(sequence));
            pass->first = sequence;
        }
        pass->tokens += piece_of(sequence);
        generator->feeds[pass->count++] = feed_of(generator, sequence);
    }
    return LOAM_OK;
}

// Chooses the adapters of the rows of the pass. Neighbours with the same adapters have one segment for each.
static enum loam_status adapt(struct loam_generator *generator, const struct pass *pass,
                              struct loam_error *error)
{
    const struct loam_sequence *last = NULL;
    struct loam_segments all = {generator->segments, 0};
    for (int32_t i = 0, row = 0; i < pass->count; row += generator->feeds[i++].count) {
        const struct loam_feed *feed = &generator->feeds[i];
        const struct loam_sequence *sequence = &generator->sequences[feed->sequence];
        const bool same =
            last != NULL && loam_sequence_has_adapters(sequence, last->adapters, last->adapter_count);
        if (!same) all.count += last != NULL ? last->adapter_count : 0;
        for (size_t j = 0; j < sequence->adapter_count; j++) {
            struct loam_segment *segment = &generator->segments[all.count + j];
            if (!same) *segment = sequence->adapters[j];
            if (!same) segment->first = row;
            segment->rows = row + feed->count - segment->first;
        }
        last = sequence;
    }
    all.count += last != NULL ? last->adapter_count : 0;
    return loam_decoder_adapt(generator->decoder, &all, error);
}

// ---- the choice of a token ----

// Returns the reason why a sequence of `most` tokens ends: the context, or max_new_tokens.
static enum loam_finish find_limit(const struct loam_sequence *sequence)
{
    return sequence->most < sequence->generation.max_new_tokens ? LOAM_FINISH_CONTEXT : LOAM_FINISH_LENGTH;
}

// Chooses from all logits.
static enum loam_status sample_row(struct loam_generator *generator, struct loam_sequence *sequence,
                                   int32_t *id, struct loam_error *error)
{
    const size_t known = (size_t)(sequence->prompt_count + sequence->count);
    struct loam_sampling sampling = sequence->generation.sampling;
    sampling.allowed = sequence->choice.allowed;
    LOAM_TRY(loam_decoder_held_logits(generator->decoder, (int32_t)(sequence - generator->sequences),
                                      generator->row, error));
    return loam_sample(&sampling, generator->row, generator->vocabulary, sequence->history, known,
                       (uint64_t)sequence->count, id, error);
}

static enum loam_status choose_token(struct loam_generator *generator, struct loam_sequence *sequence,
                                     struct loam_error *error)
{
    struct loam_generated *next = &sequence->next;
    const int32_t known = sequence->prompt_count + sequence->count;
    bool is_known = false;
    if (!sequence->takes_row)
        LOAM_TRY(loam_choice_sample(&sequence->choice, &sequence->generation.sampling,
                                    (uint64_t)sequence->count, &next->id, &is_known, error));
    if (!is_known) LOAM_TRY(sample_row(generator, sequence, &next->id, error));
    if (loam_generation_stops_at(&sequence->generation, next->id)) {
        next->finish = LOAM_FINISH_STOP;
        return LOAM_OK;
    }
    if (sequence->generation.healing != NULL) loam_healing_accept(sequence->generation.healing, next->id);
    sequence->history[known] = next->id;
    if (++sequence->count == sequence->most) next->finish = find_limit(sequence);
    return LOAM_OK;
}

// ---- a step ----

// The tokens of a piece are in the cache. After the last piece of a scored text the cache keeps its prompt.
static enum loam_status take_piece(struct loam_generator *generator, struct loam_sequence *sequence,
                                   int32_t piece, struct loam_error *error)
{
    const int32_t number = (int32_t)(sequence - generator->sequences);
    const bool first = is_reading(sequence);
    sequence->fed += piece;
    sequence->advanced = true;
    if (first && sequence->fed < sequence->reads) return LOAM_OK;
    if (first && sequence->fed > sequence->prompt_count) {
        sequence->fed = sequence->prompt_count;
        loam_decoder_cache_truncate(generator->decoder, number, sequence->fed);
    }
    if (sequence->most > 0) return choose_token(generator, sequence, error);
    sequence->next.finish = find_limit(sequence);
    return LOAM_OK;
}

static enum loam_status run_pass(struct loam_generator *generator, const struct pass *pass,
                                 struct loam_error *error)
{
    LOAM_TRY(adapt(generator, pass, error));
    LOAM_TRY(loam_decoder_feed_packed(generator->decoder, generator->feeds, pass->count, error));
    for (int32_t i = 0; i < pass->count; i++) {
        const struct loam_feed *feed = &generator->feeds[i];
        struct loam_sequence *sequence = &generator->sequences[feed->sequence];
        LOAM_TRY(take_piece(generator, sequence, feed->count, error));
        sequence->running = sequence->next.finish == LOAM_FINISH_NONE;
    }
    return LOAM_OK;
}

// Begins the step of each sequence. One with nothing to read and no token to give ends at once.
static void begin_step(struct loam_generator *generator)
{
    for (int32_t i = 0; i < generator->count; i++) {
        struct loam_sequence *sequence = &generator->sequences[i];
        sequence->advanced = false;
        if (!sequence->running) continue;
        sequence->next = (struct loam_generated){.sequence = i, .id = -1, .finish = LOAM_FINISH_NONE};
        if (sequence->reads > 0) continue;
        sequence->next.finish = find_limit(sequence);
        sequence->advanced = true;
        sequence->running = false;
    }
}

static enum loam_status run_passes(struct loam_generator *generator, struct loam_error *error)
{
    struct pass pass;
    for (;;) {
        LOAM_TRY(collect(generator, &pass, error));
        if (pass.count == 0) return LOAM_OK;
        LOAM_TRY(run_pass(generator, &pass, error));
    }
}

enum loam_status loam_generator_advance(struct loam_generator *generator, struct loam_generated *out,
                                        size_t *count, struct loam_error *error)
{
    *count = 0;
    begin_step(generator);
    LOAM_TRY(run_passes(generator, error));
    for (int32_t i = 0; i < generator->count; i++)
        if (generator->sequences[i].advanced) out[(*count)++] = generator->sequences[i].next;
    return LOAM_OK;
}
