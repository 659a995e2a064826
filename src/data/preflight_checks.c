#include "data/preflight_checks.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "model/batch.h"

// Ends of a text or a turn in well-known models. A template that was written for one of them is often used with
// another, whose tokenizer splits them.
static const char *const known_ends[] = {
    "</s>",
    "<|endoftext|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<eos>",
    "<end_of_turn>",
    "<|end|>",
    "<|endofturn|>",
    "<|eot|>",
    "<|return|>",
    "[EOS]",
    "<|END_OF_TURN_TOKEN|>",
    "<turn|>",
};

// ---- The end of the learnt text ----

static bool is_white_space(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (strchr(" \t\r\n", text[i]) == NULL) return false;
    return true;
}

// The last learnt token that has a text other than white space; -1: none.
static int32_t find_last_learnt(const struct loam_preflight_look *look)
{
    for (int32_t t = look->example->count - 1; t > 0; t--) {
        size_t start, end = loam_example_text_token(look->text, t, &start);
        if (loam_example_learns(look->example, t) &&
            !is_white_space(look->text->text.data + start, end - start))
            return t;
    }
    return -1;
}

static bool is_stop(const struct loam_preflight_facts *facts, int32_t id)
{
    return loam_special_tokens_is_stop(facts->input->special, id) ||
           (facts->habit.end_id >= 0 && facts->habit.end_id == id);
}

// Whether text[0, size) ends in `mark`, of which token [start, size) is only a part.
static bool ends_in_pieces_of(const char *text, size_t size, size_t start, const char *mark)
{
    size_t length = strlen(mark);
    return length > 0 && size >= length && memcmp(text + size - length, mark, length) == 0 &&
           size - start < length;
}

static const char *find_end_in_pieces(const struct loam_preflight_facts *facts,
                                      const struct loam_preflight_look *look, int32_t token)
{
    size_t start, end = loam_example_text_token(look->text, token, &start);
    const char *text = look->text->text.data, *eos = facts->input->special->eos_text;
    while (end > start && is_white_space(text + end - 1, 1))
        end--;
    if (eos != NULL && ends_in_pieces_of(text, end, start, eos)) return eos;
    for (size_t i = 0; i < sizeof known_ends / sizeof *known_ends; i++)
        if (ends_in_pieces_of(text, end, start, known_ends[i])) return known_ends[i];
    return NULL;
}

// Whether the chat template ends a turn in several tokens, which a check of its own reports.
static bool has_split_turn_end(const struct loam_preflight_facts *facts)
{
    return facts->habit.known && facts->habit.end_tokens > 1;
}

// The text may end in pieces of an end and then in a real one.
static bool shows_end_as_text(const struct loam_preflight_facts *facts,
                              const struct loam_preflight_look *look, struct loam_preflight_tally *tally)
{
    if (look->example->ends_inside) return false;
    int32_t token = has_split_turn_end(facts) ? -1 : find_last_learnt(look);
    while (token > 0 && is_stop(facts, look->example->ids[token]))
        token--;
    const char *mark = token > 0 && loam_example_learns(look->example, token)
                           ? find_end_in_pieces(facts, look, token)
                           : NULL;
    if (mark == NULL) return false;
    if (tally->records == 0) snprintf(tally->detail, sizeof tally->detail, "%s", mark);
    return true;
}

// An example that was cut at its end, or goes on in another one, lacks it for that reason.
static bool shows_no_stop(const struct loam_preflight_facts *facts, const struct loam_preflight_look *look,
                          struct loam_preflight_tally *tally)
{
    const struct loam_example *example = look->example;
    struct loam_preflight_tally ignored = {0};
    int32_t last = find_last_learnt(look);
    (void)tally;
    if (last < 0 || is_stop(facts, example->ids[last]) || has_split_turn_end(facts)) return false;
    if (example->ends_inside || (example->length > example->count && !example->lacks_stop)) return false;
    return !shows_end_as_text(facts, look, &ignored);
}

static enum loam_status describe_no_stop(const struct loam_preflight_facts *facts,
                                         const struct loam_preflight_tally *tally, struct loam_bytes *text,
                                         struct loam_error *error)
{
    const struct loam_special_tokens *special = facts->input->special;
    (void)tally;
    if (facts->habit.known)
        return loam_bytes_format(text, error,
                                 "answers do not end in a token that stops generation, so the model does not "
                                 "learn to stop: the chat template %s writes none",
                                 facts->input->chat->origin);
    if (special->eos >= 0)
        return loam_bytes_format(
            text, error,
            "examples do not end in %s, so the model does not learn to stop; {eos} at the "
            "template's end puts it there",
            special->eos_text);
    return loam_bytes_format(
        text, error,
        "examples have no end, so the model does not learn to stop: it has no end-of-sequence token%s%s",
        special->note[0] != '\0' ? ": " : "", special->note);
}

static enum loam_status describe_end_as_text(const struct loam_preflight_facts *facts,
                                             const struct loam_preflight_tally *tally,
                                             struct loam_bytes *text, struct loam_error *error)
{
    const struct loam_special_tokens *special = facts->input->special;
    return loam_bytes_format(text, error,
                             "the end \"%s\" is text and not one token of this model, so the model does not "
                             "learn to stop there: %s%s",
                             tally->detail,
                             special->eos >= 0 ? "write {eos} in its place, which is " : "remove it",
                             special->eos >= 0 ? special->eos_text : "");
}

// ---- The begin ----

static bool shows_bos_twice(const struct loam_preflight_facts *facts, const struct loam_preflight_look *look,
                            struct loam_preflight_tally *tally)
{
    const struct loam_example *example = look->example;
    int32_t bos = facts->input->special->bos;
    (void)tally;
    return bos >= 0 && example->count > 2 && example->ids[0] == bos && example->ids[1] == bos;
}

static enum loam_status describe_bos_twice(const struct loam_preflight_facts *facts,
                                           const struct loam_preflight_tally *tally, struct loam_bytes *text,
                                           struct loam_error *error)
{
    const struct loam_preflight_input *input = facts->input;
    (void)tally;
    return loam_bytes_format(text, error,
                             "examples begin with %s twice, which the model has never seen: leave it out of "
                             "the data or the template",
                             loam_tokenizer_id_to_token(input->tokenizer, input->special->bos));
}

static bool shows_bos_missing(const struct loam_preflight_facts *facts,
                              const struct loam_preflight_look *look, struct loam_preflight_tally *tally)
{
    const struct loam_special_tokens *special = facts->input->special;
    const struct loam_example *example = look->example;
    bool expected = special->add_bos || facts->own_habit.begins_with_bos;
    (void)tally;
    // A chat template writes BOS itself; the tokenizer adds none to conversations.
    if (facts->habit.known && facts->own_habit.known) expected = facts->own_habit.begins_with_bos;
    return expected && special->bos >= 0 && example->count > 0 && example->ids[0] != special->bos &&
           !example->begins_inside;
}

static enum loam_status describe_bos_missing(const struct loam_preflight_facts *facts,
                                             const struct loam_preflight_tally *tally,
                                             struct loam_bytes *text, struct loam_error *error)
{
    const struct loam_preflight_input *input = facts->input;
    (void)tally;
    return loam_bytes_format(text, error, "examples do not begin with %s, with which %s begins every text",
                             loam_tokenizer_id_to_token(input->tokenizer, input->special->bos),
                             input->special->add_bos ? "the model's tokenizer" : "the model's chat template");
}

// ---- The prompt ----

static bool shows_other_prompt(const struct loam_preflight_facts *facts,
                               const struct loam_preflight_look *look, struct loam_preflight_tally *tally)
{
    const struct loam_example *example = look->example, *prompt = look->prompt;
    (void)facts;
    // A shortened one has another beginning for that reason.
    if (prompt->count == 0 || example->length > example->count || prompt->length > prompt->count)
        return false;
    int32_t same = 0;
    while (same < prompt->count && same < example->count && prompt->ids[same] == example->ids[same])
        same++;
    if (same == prompt->count) return false;
    if (tally->records == 0) tally->token = same;
    return true;
}

static enum loam_status describe_other_prompt(const struct loam_preflight_facts *facts,
                                              const struct loam_preflight_tally *tally,
                                              struct loam_bytes *text, struct loam_error *error)
{
    LOAM_TRY(loam_bytes_format(text, error,
                               "the prompt has other tokens at generation than in training, from token %d on",
                               (int)tally->token + 1));
    if (!facts->habit.known) return LOAM_OK;
    return loam_bytes_format(text, error,
                             ": the chat template %s writes another text before an answer that is asked for "
                             "than before one that is there",
                             facts->input->chat->origin);
}

// ---- Lengths ----

static bool shows_cut(const struct loam_preflight_facts *facts, const struct loam_preflight_look *look,
                      struct loam_preflight_tally *tally)
{
    (void)facts;
    if (look->example->length > tally->token) tally->token = look->example->length;
    return look->example->length > look->example->count;
}

static enum loam_status describe_cut(const struct loam_preflight_facts *facts,
                                     const struct loam_preflight_tally *tally, struct loam_bytes *text,
                                     struct loam_error *error)
{
    return loam_bytes_format(
        text, error,
        "%zu %% of the records are longer than %d tokens and lose a part or are left out; "
        "--max-length %d has room for all that were looked at",
        100 * tally->records / tally->looked, (int)facts->input->max_length, (int)tally->token);
}

static bool shows_nothing_learnt(const struct loam_preflight_facts *facts,
                                 const struct loam_preflight_look *look, struct loam_preflight_tally *tally)
{
    const struct loam_example *example = look->example;
    (void)facts;
    (void)tally;
    return !example->dropped && loam_labels_count(example->weights, example->count).count == 0;
}

static enum loam_status describe_nothing_learnt(const struct loam_preflight_facts *facts,
                                                const struct loam_preflight_tally *tally,
                                                struct loam_bytes *text, struct loam_error *error)
{
    return loam_bytes_format(text, error,
                             "%zu %% of the records give nothing to learn: they have a single token, or no "
                             "completion within %d tokens",
                             100 * tally->records / tally->looked, (int)facts->input->max_length);
}

// ---- Padding ----

// Padding that is no end of its own is learnt by mistake wherever it is. One that is the end, too, is right once
// and padding where it stands several times.
static bool shows_pad(const struct loam_preflight_facts *facts, const struct loam_preflight_look *look,
                      struct loam_preflight_tally *tally)
{
    const struct loam_example *example = look->example;
    int32_t pad = facts->input->special->pad;
    bool is_end = pad >= 0 && is_stop(facts, pad);
    (void)tally;
    for (int32_t t = 1; pad >= 0 && t < example->count; t++)
        if (example->ids[t] == pad && loam_example_learns(example, t) &&
            (!is_end || (example->ids[t - 1] == pad && loam_example_learns(example, t - 1))))
            return true;
    return false;
}

static enum loam_status describe_pad(const struct loam_preflight_facts *facts,
                                     const struct loam_preflight_tally *tally, struct loam_bytes *text,
                                     struct loam_error *error)
{
    const struct loam_preflight_input *input = facts->input;
    (void)tally;
    return loam_bytes_format(
        text, error, "the padding token %s is learnt%s: loam needs no padding, remove it from the data",
        loam_tokenizer_id_to_token(input->tokenizer, input->special->pad),
        is_stop(facts, input->special->pad) ? " several times in a row" : "");
}

// ---- The form of the examples ----

static enum loam_status find_plain_template(const struct loam_preflight_facts *facts,
                                            const struct loam_preflight *preflight,
                                            struct loam_preflight_tally *tally, struct loam_error *error)
{
    (void)preflight;
    (void)error;
    tally->records = facts->input->chat == NULL && loam_preflight_is_chat_model(facts);
    return LOAM_OK;
}

static enum loam_status describe_plain_template(const struct loam_preflight_facts *facts,
                                                const struct loam_preflight_tally *tally,
                                                struct loam_bytes *text, struct loam_error *error)
{
    (void)tally;
    return loam_bytes_format(text, error,
                             "the model was made for chats in the form of %s, and the examples have another "
                             "one, so that it has to learn it anew",
                             facts->own.origin);
}

// A turn that ends in several tokens is reported by a check of its own.
static enum loam_status find_base_model(const struct loam_preflight_facts *facts,
                                        const struct loam_preflight *preflight,
                                        struct loam_preflight_tally *tally, struct loam_error *error)
{
    (void)preflight;
    (void)error;
    tally->records = facts->habit.known && !has_split_turn_end(facts) && !loam_preflight_is_chat_model(facts);
    return LOAM_OK;
}

static enum loam_status describe_base_model(const struct loam_preflight_facts *facts,
                                            const struct loam_preflight_tally *tally, struct loam_bytes *text,
                                            struct loam_error *error)
{
    (void)tally;
    return loam_bytes_format(text, error,
                             "the model was not made for chats, and the examples have the form of the chat "
                             "template %s, so that it has to learn it from them",
                             facts->input->chat->origin);
}

static enum loam_status find_split_turn_end(const struct loam_preflight_facts *facts,
                                            const struct loam_preflight *preflight,
                                            struct loam_preflight_tally *tally, struct loam_error *error)
{
    (void)preflight;
    (void)error;
    tally->records = has_split_turn_end(facts);
    return LOAM_OK;
}

static enum loam_status describe_split_turn_end(const struct loam_preflight_facts *facts,
                                                const struct loam_preflight_tally *tally,
                                                struct loam_bytes *text, struct loam_error *error)
{
    (void)tally;
    return loam_bytes_format(
        text, error,
        "the chat template %s ends a turn in \"%s\", which is %zu tokens of this model and "
        "not one: choose a template whose end the model has",
        facts->input->chat->origin, facts->habit.end, facts->habit.end_tokens);
}

static enum loam_status describe_overlap(const struct loam_preflight_facts *facts,
                                         const struct loam_preflight_tally *tally, struct loam_bytes *text,
                                         struct loam_error *error)
{
    return loam_bytes_format(
        text, error,
        "%zu of %zu records of %s are training records, too: the evaluation measures what "
        "was learnt by heart",
        tally->records, tally->others, loam_dataset_name(facts->input->eval_dataset));
}

static enum loam_status describe_untrained(const struct loam_preflight_facts *facts,
                                           const struct loam_preflight_tally *tally, struct loam_bytes *text,
                                           struct loam_error *error)
{
    const char *name = loam_tokenizer_id_to_token(facts->input->tokenizer, tally->token);
    LOAM_TRY(loam_bytes_format(text, error, "the embedding of %s (%d)", name != NULL ? name : "a token",
                               (int)tally->token));
    if (tally->records > 1)
        LOAM_TRY(loam_bytes_format(text, error, ", and of %zu other%s,", tally->records - 1,
                                   tally->records > 2 ? "s" : ""));
    return loam_bytes_format(
        text, error, " was never trained: all of its values are %s; --trainable-token-indices %d trains it",
        tally->detail, (int)tally->token);
}

const struct loam_preflight_check loam_preflight_checks[LOAM_PREFLIGHT_CHECKS] = {
    {"no-stop", LOAM_FINDING_MISTAKE, .shows = shows_no_stop, .describe = describe_no_stop},
    {"end-as-text", LOAM_FINDING_MISTAKE, .shows = shows_end_as_text, .describe = describe_end_as_text},
    {"bos-twice", LOAM_FINDING_MISTAKE, .shows = shows_bos_twice, .describe = describe_bos_twice},
    {"bos-missing", LOAM_FINDING_MISTAKE, .shows = shows_bos_missing, .describe = describe_bos_missing},
    {"other-prompt", LOAM_FINDING_MISTAKE, .shows = shows_other_prompt, .describe = describe_other_prompt},
    {"cut", LOAM_FINDING_DOUBT, .above = 10, .shows = shows_cut, .describe = describe_cut},
    {"nothing-learnt", LOAM_FINDING_MISTAKE, .above = 10, .shows = shows_nothing_learnt,
     .describe = describe_nothing_learnt},
    {"padding-learnt", LOAM_FINDING_MISTAKE, .shows = shows_pad, .describe = describe_pad},
    {"overlap", LOAM_FINDING_MISTAKE, .find = loam_preflight_find_overlap, .describe = describe_overlap},
    {"plain-template", LOAM_FINDING_DOUBT, .find = find_plain_template, .describe = describe_plain_template},
    {"base-model", LOAM_FINDING_DOUBT, .find = find_base_model, .describe = describe_base_model},
    {"split-turn-end", LOAM_FINDING_MISTAKE, .find = find_split_turn_end,
     .describe = describe_split_turn_end},
    {"untrained-embedding", LOAM_FINDING_MISTAKE, .of_weights = true, .find = loam_preflight_find_untrained,
     .describe = describe_untrained},
};
