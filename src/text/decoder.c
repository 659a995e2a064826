#include "text/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/heap.h"
#include "text/byte_level.h"
#include "text/part.h"

enum {
    MAX_STAGES = 64, // each calls the next
    // Output of a Replace: at most GROWTH_LIMIT times the bytes of the tokens, plus GROWTH_FLOOR. Only a
    // malicious file needs more.
    GROWTH_LIMIT = 64,
    GROWTH_FLOOR = 1 << 20,
};

static const char replacement_character[] = "\xEF\xBF\xBD"; // U+FFFD

// The state of a stage between tokens.
struct loam_token_decoder_state {
    struct loam_bytes token;  // fragments of the current token
    struct loam_bytes held;   // bytes whose text depends on later bytes
    struct loam_bytes output; // output of one call
    bool is_collecting;       // `token` has fragments of a token that has not ended
    size_t made;              // Replace: bytes of output so far
    size_t index;             // of the current token
    size_t stripped;          // Strip: characters removed from the token's start
    size_t trailing;          // Strip: held characters, removed if the token ends
    bool is_inside;           // Strip: after the characters at the token's start
};

// `take` gets a fragment of a token, in whole characters; `end`: the token ends with it. `finish`
// passes on the held bytes; the caller then finishes the next stage.
struct loam_token_decoder_kind {
    const char *type;
    enum loam_status (*take)(struct loam_decoding *decoding, size_t index, const char *bytes, size_t size,
                             bool end, struct loam_error *error);
    enum loam_status (*finish)(struct loam_decoding *decoding, size_t index, struct loam_error *error);
};

// Passes a fragment to the stage at `index`, or appends it to the caller's text after the last stage.
static enum loam_status pass_on(struct loam_decoding *decoding, size_t index, const char *bytes, size_t size,
                                bool end, struct loam_error *error)
{
    const struct loam_token_decoder *decoder = decoding->decoder;
    if (index < decoder->count)
        return decoder->stages[index].kind->take(decoding, index, bytes, size, end, error);
    return loam_bytes_append(decoding->out, bytes, size, error);
}

static enum loam_status finish_nothing(struct loam_decoding *decoding, size_t index, struct loam_error *error)
{
    (void)decoding;
    (void)index;
    (void)error;
    return LOAM_OK;
}

// Collects a token from its fragments.
static enum loam_status collect_token(struct loam_token_decoder_state *state, const char *bytes, size_t size,
                                      bool end, struct loam_error *error)
{
    if (!state->is_collecting) loam_bytes_clear(&state->token);
    state->is_collecting = !end;
    return loam_bytes_append(&state->token, bytes, size, error);
}

// ---- ByteLevel: the bytes of all tokens together are UTF-8 ----

// Bytes of the character at the start of `bytes`, or of the invalid part of one; 0: depends on the next
// bytes. An invalid part is the longest start of a character, as Unicode recommends (maximal subpart).
static size_t scan_character(const unsigned char *bytes, size_t size, bool *valid)
{
    unsigned char first = bytes[0];
    *valid = first < 0x80;
    if (first < 0xC2 || first > 0xF4) return 1;
    size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    // Narrower bounds of the second byte exclude overlong forms, surrogates and values above U+10FFFF.
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < length; i++) {
        if (i == size) return 0;
        if (bytes[i] < low || bytes[i] > high) return i;
        low = 0x80;
        high = 0xBF;
    }
    *valid = true;
    return length;
}

// Moves the complete characters from `held` to `output`; with `last` all bytes.
static enum loam_status read_held(struct loam_token_decoder_state *state, bool last, struct loam_error *error)
{
    loam_bytes_clear(&state->output);
    size_t at = 0;
    while (at < state->held.size) {
        bool valid = false;
        size_t left = state->held.size - at;
        size_t length = scan_character((const unsigned char *)state->held.data + at, left, &valid);
        if (length == 0 && !last) break;
        if (length == 0) length = left;
        if (valid)
            LOAM_TRY(loam_bytes_append(&state->output, state->held.data + at, length, error));
        else
            LOAM_TRY(loam_bytes_append_text(&state->output, replacement_character, error));
        at += length;
    }
    if (at == 0) return LOAM_OK;
    state->held.size -= at;
    memmove(state->held.data, state->held.data + at, state->held.size);
    return LOAM_OK;
}

// Appends the bytes that the token spells. A token with a character outside the alphabet stands for its own
// bytes.
static enum loam_status append_spelt(const struct loam_bytes *token, struct loam_bytes *held,
                                     struct loam_error *error)
{
    size_t before = held->size;
    for (size_t at = 0; at < token->size;) {
        size_t length;
        int byte = loam_byte_level_byte(loam_utf8_decode(token->data + at, &length));
        if (byte < 0) {
            held->size = before;
            return loam_bytes_append(held, token->data, token->size, error);
        }
        char character = (char)byte;
        LOAM_TRY(loam_bytes_append(held, &character, 1, error));
        at += length;
    }
    return LOAM_OK;
}

static enum loam_status byte_level_take(struct loam_decoding *decoding, size_t index, const char *bytes,
                                        size_t size, bool end, struct loam_error *error)
{
    struct loam_token_decoder_state *state = &decoding->states[index];
    LOAM_TRY(collect_token(state, bytes, size, end, error));
    if (!end) return LOAM_OK;
    LOAM_TRY(append_spelt(&state->token, &state->held, error));
    LOAM_TRY(read_held(state, false, error));
    return pass_on(decoding, index + 1, state->output.data, state->output.size, false, error);
}

static enum loam_status byte_level_finish(struct loam_decoding *decoding, size_t index,
                                          struct loam_error *error)
{
    struct loam_token_decoder_state *state = &decoding->states[index];
    LOAM_TRY(read_held(state, true, error));
    return pass_on(decoding, index + 1, state->output.data, state->output.size, true, error);
}

// ---- Replace: replaces matches within each token ----

static enum loam_status append_output(struct loam_decoding *decoding, size_t index, const char *bytes,
                                      size_t size, struct loam_error *error)
{
    struct loam_token_decoder_state *state = &decoding->states[index];
    size_t limit = decoding->pushed * GROWTH_LIMIT + GROWTH_FLOOR;
    if (size > limit - state->made)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "the tokenizer's decoder makes more than %zu bytes of the text", limit);
    state->made += size;
    return loam_bytes_append(&state->output, bytes, size, error);
}

static enum loam_status replace_take(struct loam_decoding *decoding, size_t index, const char *bytes,
                                     size_t size, bool end, struct loam_error *error)
{
    const struct loam_token_decoder_stage *stage = &decoding->decoder->stages[index];
    struct loam_token_decoder_state *state = &decoding->states[index];
    LOAM_TRY(collect_token(state, bytes, size, end, error));
    if (!end) return LOAM_OK;
    struct loam_matcher *matcher = &decoding->matcher;
    loam_bytes_clear(&state->output);
    loam_matcher_begin(matcher, &stage->pattern, state->token.data, state->token.size);
    size_t done = 0;
    bool found = false;
    // An empty token has no match, not even an empty one.
    if (state->token.size > 0) LOAM_TRY(loam_matcher_next(matcher, &found, error));
    while (found) {
        LOAM_TRY(append_output(decoding, index, state->token.data + done, matcher->start - done, error));
        LOAM_TRY(append_output(decoding, index, stage->content.data, stage->content.size, error));
        done = matcher->end;
        LOAM_TRY(loam_matcher_next(matcher, &found, error));
    }
    if (state->token.size > done)
        LOAM_TRY(append_output(decoding, index, state->token.data + done, state->token.size - done, error));
    return pass_on(decoding, index + 1, state->output.data, state->output.size, true, error);
}

// ---- ByteFallback: a run of tokens <0xNN> is bytes; if it is not UTF-8, each byte becomes U+FFFD ----

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    return -1;
}

// The byte of a token such as <0x0A>; -1: another token.
static int fallback_byte(const struct loam_bytes *token)
{
    if (token->size != 6 || memcmp(token->data, "<0x", 3) != 0 || token->data[5] != '>') return -1;
    int high = hex_digit(token->data[3]);
    int low = hex_digit(token->data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool is_utf8(const struct loam_bytes *bytes)
{
    for (size_t at = 0; at < bytes->size;) {
        bool valid = false;
        size_t length = scan_character((const unsigned char *)bytes->data + at, bytes->size - at, &valid);
        if (!valid) return false;
        at += length;
    }
    return true;
}

static enum loam_status byte_fallback_finish(struct loam_decoding *decoding, size_t index,
                                             struct loam_error *error)
{
    struct loam_bytes *run = &decoding->states[index].held;
    size_t size = run->size;
    if (size > 0 && is_utf8(run))
        LOAM_TRY(pass_on(decoding, index + 1, run->data, size, true, error));
    else
        for (size_t i = 0; i < size; i++)
            LOAM_TRY(pass_on(decoding, index + 1, replacement_character, sizeof replacement_character - 1,
                             true, error));
    loam_bytes_clear(run);
    return LOAM_OK;
}

static enum loam_status byte_fallback_take(struct loam_decoding *decoding, size_t index, const char *bytes,
                                           size_t size, bool end, struct loam_error *error)
{
    struct loam_token_decoder_state *state = &decoding->states[index];
    LOAM_TRY(collect_token(state, bytes, size, end, error));
    if (!end) return LOAM_OK;
    int byte = fallback_byte(&state->token);
    if (byte >= 0) {
        char character = (char)byte;
        return loam_bytes_append(&state->held, &character, 1, error);
    }
    LOAM_TRY(byte_fallback_finish(decoding, index, error));
    return pass_on(decoding, index + 1, state->token.data, state->token.size, true, error);
}

// ---- Fuse: all tokens become one ----

static enum loam_status fuse_take(struct loam_decoding *decoding, size_t index, const char *bytes,
                                  size_t size, bool end, struct loam_error *error)
{
    (void)end;
    return pass_on(decoding, index + 1, bytes, size, false, error);
}

static enum loam_status fuse_finish(struct loam_decoding *decoding, size_t index, struct loam_error *error)
{
    return pass_on(decoding, index + 1, "", 0, true, error);
}

// ---- Strip: removes up to a number of one character from both ends of each token ----

static enum loam_status strip_character(const struct loam_token_decoder_stage *stage,
                                        struct loam_token_decoder_state *state, const char *character,
                                        size_t size, struct loam_error *error)
{
    const struct loam_bytes *content = &stage->content;
    bool same = size == content->size && memcmp(character, content->data, size) == 0;
    if (same && !state->is_inside && state->stripped < stage->strip_start) {
        state->stripped++;
        return LOAM_OK;
    }
    state->is_inside = true;
    if (same && state->trailing < stage->strip_stop) {
        state->trailing++;
        return LOAM_OK;
    }
    // One more of the character releases the oldest held one; any other character releases all.
    for (; !same && state->trailing > 0; state->trailing--)
        LOAM_TRY(loam_bytes_append(&state->output, content->data, content->size, error));
    return loam_bytes_append(&state->output, character, size, error);
}

static enum loam_status strip_take(struct loam_decoding *decoding, size_t index, const char *bytes,
                                   size_t size, bool end, struct loam_error *error)
{
    struct loam_token_decoder_state *state = &decoding->states[index];
    loam_bytes_clear(&state->output);
    for (size_t at = 0; at < size;) {
        size_t length = loam_utf8_length(bytes[at]);
        LOAM_TRY(strip_character(&decoding->decoder->stages[index], state, bytes + at, length, error));
        at += length;
    }
    if (end) {
        state->stripped = 0;
        state->trailing = 0;
        state->is_inside = false;
    }
    return pass_on(decoding, index + 1, state->output.data, state->output.size, end, error);
}

// ---- Metaspace: marks become spaces, except those of the first token ----

static enum loam_status metaspace_take(struct loam_decoding *decoding, size_t index, const char *bytes,
                                       size_t size, bool end, struct loam_error *error)
{
    const struct loam_token_decoder_stage *stage = &decoding->decoder->stages[index];
    struct loam_token_decoder_state *state = &decoding->states[index];
    bool drop = stage->drop_first && state->index == 0;
    loam_bytes_clear(&state->output);
    for (size_t at = 0; at < size;) {
        size_t length = loam_utf8_length(bytes[at]);
        bool mark = length == stage->content.size && memcmp(bytes + at, stage->content.data, length) == 0;
        if (!mark) LOAM_TRY(loam_bytes_append(&state->output, bytes + at, length, error));
        if (mark && !drop) LOAM_TRY(loam_bytes_append(&state->output, " ", 1, error));
        at += length;
    }
    if (end) state->index++;
    return pass_on(decoding, index + 1, state->output.data, state->output.size, end, error);
}

// ---- No decoder: tokens are joined by spaces ----

static enum loam_status join_take(struct loam_decoding *decoding, size_t index, const char *bytes,
                                  size_t size, bool end, struct loam_error *error)
{
    (void)end; // this is the only stage, so each fragment is a token
    if (decoding->states[index].index++ > 0) LOAM_TRY(pass_on(decoding, index + 1, " ", 1, false, error));
    return pass_on(decoding, index + 1, bytes, size, false, error);
}

// ---- Parsing ----

static const struct loam_token_decoder_kind byte_level = {"ByteLevel", byte_level_take, byte_level_finish};
static const struct loam_token_decoder_kind replace = {"Replace", replace_take, finish_nothing};
static const struct loam_token_decoder_kind byte_fallback = {"ByteFallback", byte_fallback_take,
                                                             byte_fallback_finish};
static const struct loam_token_decoder_kind fuse = {"Fuse", fuse_take, fuse_finish};
static const struct loam_token_decoder_kind strip = {"Strip", strip_take, finish_nothing};
static const struct loam_token_decoder_kind metaspace = {"Metaspace", metaspace_take, finish_nothing};
static const struct loam_token_decoder_kind join = {"", join_take, finish_nothing};

static void deinit_stage(struct loam_token_decoder_stage *stage)
{
    loam_pattern_deinit(&stage->pattern);
    loam_bytes_deinit(&stage->content);
}

// Adds a stage if `status`, the result of reading its fields, is LOAM_OK. Else releases the stage.
static enum loam_status add_stage(enum loam_status status, struct loam_token_decoder *decoder,
                                  struct loam_token_decoder_stage *stage, const char *name,
                                  struct loam_error *error)
{
    if (status == LOAM_OK && decoder->count == MAX_STAGES)
        status = loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: more than %d decoders", name, MAX_STAGES);
    struct loam_token_decoder_stage *grown = NULL;
    if (status == LOAM_OK)
        grown = loam_grow(decoder->stages, &decoder->capacity, decoder->count + 1, sizeof *grown, error);
    if (grown == NULL) {
        deinit_stage(stage);
        return status == LOAM_OK ? LOAM_ERROR_MEMORY : status;
    }
    decoder->stages = grown;
    decoder->stages[decoder->count++] = *stage;
    return LOAM_OK;
}

static enum loam_status parse_byte_level(const json_t *part, const char *name, void *target,
                                         struct loam_error *error)
{
    (void)part;
    struct loam_token_decoder_stage stage = {.kind = &byte_level};
    return add_stage(LOAM_OK, target, &stage, name, error);
}

static enum loam_status parse_byte_fallback(const json_t *part, const char *name, void *target,
                                            struct loam_error *error)
{
    (void)part;
    struct loam_token_decoder_stage stage = {.kind = &byte_fallback};
    return add_stage(LOAM_OK, target, &stage, name, error);
}

static enum loam_status parse_fuse(const json_t *part, const char *name, void *target,
                                   struct loam_error *error)
{
    (void)part;
    struct loam_token_decoder_stage stage = {.kind = &fuse};
    return add_stage(LOAM_OK, target, &stage, name, error);
}

static enum loam_status parse_replace(const json_t *part, const char *name, void *target,
                                      struct loam_error *error)
{
    struct loam_token_decoder_stage stage = {.kind = &replace};
    enum loam_status status = loam_part_pattern(part, name, &stage.pattern, error);
    if (status == LOAM_OK) status = loam_part_text(part, name, "content", &stage.content, error);
    return add_stage(status, target, &stage, name, error);
}

static enum loam_status check_character(const struct loam_bytes *content, const char *name, const char *key,
                                        struct loam_error *error)
{
    if (content->size > 0 && loam_utf8_length(content->data[0]) == content->size) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be one character", name, key);
}

static enum loam_status parse_count(const json_t *part, const char *name, const char *key, size_t *count,
                                    struct loam_error *error)
{
    int64_t value = -1;
    LOAM_TRY(loam_json_get_int(part, name, key, &value, error));
    if (value < 0) return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be a count", name, key);
    *count = (size_t)value;
    return LOAM_OK;
}

static enum loam_status parse_strip(const json_t *part, const char *name, void *target,
                                    struct loam_error *error)
{
    struct loam_token_decoder_stage stage = {.kind = &strip};
    enum loam_status status = loam_part_text(part, name, "content", &stage.content, error);
    if (status == LOAM_OK) status = check_character(&stage.content, name, "content", error);
    if (status == LOAM_OK) status = parse_count(part, name, "start", &stage.strip_start, error);
    if (status == LOAM_OK) status = parse_count(part, name, "stop", &stage.strip_stop, error);
    return add_stage(status, target, &stage, name, error);
}

static enum loam_status parse_metaspace(const json_t *part, const char *name, void *target,
                                        struct loam_error *error)
{
    static const char *const schemes[] = {"always", "first", "never"};
    struct loam_token_decoder_stage stage = {.kind = &metaspace};
    int scheme = 0;
    bool prefix_space = true;
    enum loam_status status = loam_part_choice(part, name, "prepend_scheme", schemes, 3, &scheme, error);
    if (status == LOAM_OK) status = loam_json_get_bool(part, name, "add_prefix_space", &prefix_space, error);
    stage.drop_first = scheme != 2 && prefix_space;
    if (status == LOAM_OK) status = loam_part_text(part, name, "replacement", &stage.content, error);
    if (status == LOAM_OK) status = check_character(&stage.content, name, "replacement", error);
    return add_stage(status, target, &stage, name, error);
}

static const struct loam_part_kind kinds[] = {
    {"ByteLevel", parse_byte_level},
    {"Replace", parse_replace},
    {"ByteFallback", parse_byte_fallback},
    {"Fuse", parse_fuse},
    {"Strip", parse_strip},
    {"Metaspace", parse_metaspace},
};
static const struct loam_part_table table = {"decoder", "decoders", kinds, sizeof kinds / sizeof *kinds};

enum loam_status loam_token_decoder_parse(const json_t *part, const char *name,
                                          struct loam_token_decoder *decoder, struct loam_error *error)
{
    if (part != NULL && !json_is_null(part)) return loam_part_parse(&table, part, name, decoder, error);
    struct loam_token_decoder_stage stage = {.kind = &join};
    return add_stage(LOAM_OK, decoder, &stage, name, error);
}

void loam_token_decoder_deinit(struct loam_token_decoder *decoder)
{
    for (size_t i = 0; i < decoder->count; i++)
        deinit_stage(&decoder->stages[i]);
    free(decoder->stages);
    *decoder = (struct loam_token_decoder){0};
}

// ---- Decoding ----

enum loam_status loam_decoding_init(struct loam_decoding *decoding, const struct loam_token_decoder *decoder,
                                    struct loam_error *error)
{
    *decoding = (struct loam_decoding){.decoder = decoder};
    decoding->states = loam_calloc(decoder->count, sizeof *decoding->states, error);
    return decoding->states == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

void loam_decoding_deinit(struct loam_decoding *decoding)
{
    for (size_t i = 0; decoding->states != NULL && i < decoding->decoder->count; i++) {
        loam_bytes_deinit(&decoding->states[i].token);
        loam_bytes_deinit(&decoding->states[i].held);
        loam_bytes_deinit(&decoding->states[i].output);
    }
    free(decoding->states);
    loam_matcher_deinit(&decoding->matcher);
    *decoding = (struct loam_decoding){0};
}

enum loam_status loam_decoding_push(struct loam_decoding *decoding, const char *token, size_t size,
                                    struct loam_bytes *text, struct loam_error *error)
{
    decoding->out = text;
    decoding->pushed += size;
    return pass_on(decoding, 0, token, size, true, error);
}

enum loam_status loam_decoding_finish(struct loam_decoding *decoding, struct loam_bytes *text,
                                      struct loam_error *error)
{
    decoding->out = text;
    for (size_t i = 0; i < decoding->decoder->count; i++)
        LOAM_TRY(decoding->decoder->stages[i].kind->finish(decoding, i, error));
    return LOAM_OK;
}
