#include "text/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/heap.h"

// ---- The trie ----

// The children of a node are a linked list of siblings. The root has a table instead, since most searches end
// there.
struct loam_trie_node {
    uint32_t child;   // first child, 0: none
    uint32_t sibling; // next child of the same parent, 0: none
    int32_t token;    // index of the token that ends here, -1: none
    unsigned char byte;
};

enum { ROOT_NODES = 257 }; // the root, and a node for each first byte: node 1 + byte

static enum loam_status add_node(struct loam_trie *trie, unsigned char byte, struct loam_error *error)
{
    if (trie->count == UINT32_MAX)
        return loam_fail(error, LOAM_ERROR_FORMAT, "added_tokens: the contents are too long in total");
    if (trie->count == trie->capacity) {
        struct loam_trie_node *grown =
            loam_grow(trie->nodes, &trie->capacity, trie->count + 1, sizeof *grown, error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        trie->nodes = grown;
    }
    trie->nodes[trie->count++] = (struct loam_trie_node){.token = -1, .byte = byte};
    return LOAM_OK;
}

static uint32_t find_child(const struct loam_trie *trie, uint32_t node, unsigned char byte)
{
    uint32_t child = trie->nodes[node].child;
    while (child != 0 && trie->nodes[child].byte != byte)
        child = trie->nodes[child].sibling;
    return child;
}

static enum loam_status insert_token(struct loam_trie *trie, const struct loam_bytes *text, int32_t token,
                                     struct loam_error *error)
{
    for (size_t i = trie->count; i < ROOT_NODES; i++)
        LOAM_TRY(add_node(trie, (unsigned char)(i - 1), error));
    uint32_t node = 1 + (uint32_t)(unsigned char)text->data[0];
    trie->begins[node - 1] = true;
    for (size_t i = 1; i < text->size; i++) {
        unsigned char byte = (unsigned char)text->data[i];
        uint32_t child = find_child(trie, node, byte);
        if (child == 0) {
            child = (uint32_t)trie->count;
            LOAM_TRY(add_node(trie, byte, error));
            trie->nodes[child].sibling = trie->nodes[node].child;
            trie->nodes[node].child = child;
        }
        node = child;
    }
    if (trie->nodes[node].token < 0) trie->nodes[node].token = token;
    return LOAM_OK;
}

// ---- Adding ----

static void deinit_token(struct loam_added_token *token)
{
    loam_bytes_deinit(&token->content);
    loam_bytes_deinit(&token->normalized_content);
}

void loam_added_tokens_deinit(struct loam_added_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++)
        deinit_token(&tokens->items[i]);
    free(tokens->items);
    loam_vocab_deinit(&tokens->by_content);
    free(tokens->raw.nodes);
    free(tokens->normalized.nodes);
    *tokens = (struct loam_added_tokens){0};
}

static enum loam_status append_token(struct loam_added_tokens *tokens, const struct loam_added_token *token,
                                     struct loam_error *error)
{
    struct loam_added_token *grown =
        loam_grow(tokens->items, &tokens->capacity, tokens->count + 1, sizeof *grown, error);
    if (grown == NULL) return LOAM_ERROR_MEMORY;
    tokens->items = grown;
    LOAM_TRY(loam_vocab_add(&tokens->by_content, token->content.data, token->content.size,
                            (int64_t)tokens->count, error));
    tokens->items[tokens->count++] = *token;
    return LOAM_OK;
}

enum loam_status loam_added_tokens_add(struct loam_added_tokens *tokens, struct loam_added_token *token,
                                       struct loam_error *error)
{
    int32_t index = loam_vocab_find(&tokens->by_content, token->content.data, token->content.size);
    if (token->content.size == 0) { // ignored, as by `tokenizers`
        deinit_token(token);
        return LOAM_OK;
    }
    if (index >= 0) {
        token->special = token->special || tokens->items[index].special; // once special, always special
        deinit_token(&tokens->items[index]);
        tokens->items[index] = *token;
        return LOAM_OK;
    }
    enum loam_status status = append_token(tokens, token, error);
    if (status != LOAM_OK) deinit_token(token);
    return status;
}

// ---- Building ----

// The last stage of normalising a content: appends a piece.
static enum loam_status append_content(struct loam_stage *stage, struct loam_piece piece,
                                       struct loam_error *error)
{
    return loam_bytes_append(stage->user, stage->pieces.text.bytes + piece.start, piece.end - piece.start,
                             error);
}

static enum loam_status normalize_content(struct loam_added_token *token, const struct loam_steps *normalizer,
                                          struct loam_error *error)
{
    size_t count = normalizer->count + 1;
    struct loam_stage *stages = loam_calloc(count, sizeof *stages, error);
    if (stages == NULL) return LOAM_ERROR_MEMORY;
    loam_steps_make_stages(normalizer, stages);
    stages[count - 1] = (struct loam_stage){.run = append_content, .user = &token->normalized_content};
    enum loam_status status = loam_stages_run(stages, count, token->content.data, token->content.size, error);
    loam_stages_deinit(stages, count);
    free(stages);
    return status;
}

enum loam_status loam_added_tokens_build(struct loam_added_tokens *tokens, const struct loam_vocab *vocab,
                                         const struct loam_steps *normalizer, struct loam_error *error)
{
    int32_t next = (int32_t)vocab->count;
    for (size_t i = 0; i < tokens->count; i++) {
        struct loam_added_token *token = &tokens->items[i];
        token->id = loam_vocab_find(vocab, token->content.data, token->content.size);
        if (token->id < 0) token->id = next++;
        if (token->normalized) LOAM_TRY(normalize_content(token, normalizer, error));
        const struct loam_bytes *text = token->normalized ? &token->normalized_content : &token->content;
        struct loam_trie *trie = token->normalized ? &tokens->normalized : &tokens->raw;
        if (text->size > 0) LOAM_TRY(insert_token(trie, text, (int32_t)i, error));
    }
    return LOAM_OK;
}

// ---- Finding ----

// Whether no word character of the piece [start, end) is next to [from, to).
static bool stands_alone(const char *text, size_t start, size_t end, size_t from, size_t to)
{
    size_t length;
    if (to < end && loam_char_is_word(loam_utf8_decode(text + to, &length))) return false;
    if (from == start) return true;
    size_t last = from - loam_utf8_last(text + start, from - start);
    return !loam_char_is_word(loam_utf8_decode(text + last, &length));
}

// Extends [*from, *to) by the white space that the token includes, within [start, end).
static void include_space(const struct loam_added_token *token, const char *text, size_t start, size_t end,
                          size_t *from, size_t *to)
{
    size_t length;
    while (token->lstrip && *from > start) {
        size_t last = *from - loam_utf8_last(text + start, *from - start);
        if (!loam_char_is_whitespace(loam_utf8_decode(text + last, &length))) break;
        *from = last;
    }
    while (token->rstrip && *to < end && loam_char_is_whitespace(loam_utf8_decode(text + *to, &length)))
        *to += length;
}

// Whether plain ranges of the input keep the bytes [from, to) of the stage's text from being the token.
static bool is_excluded(const struct loam_stage *stage, const struct loam_added_token *token, size_t from,
                        size_t to)
{
    const struct loam_text_input *input = stage->user;
    bool excluded = token->special;
    for (size_t i = 0; i < input->reserved_count && !excluded; i++)
        excluded = input->reserved[i] == token->id;
    if (!excluded) return false;
    const size_t start = loam_source_origin(&stage->pieces.text, from).start;
    const size_t end = loam_source_origin(&stage->pieces.text, to - 1).end;
    size_t low = 0, high = input->plain_count; // the first range that ends after `start`
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (input->plain[middle].end > start)
            high = middle;
        else
            low = middle + 1;
    }
    for (; low < input->plain_count && input->plain[low].start < end; low++)
        if (token->special || !input->plain[low].keeps_reserved) return true;
    return false;
}

// The longest token that starts at text[at]; -1: none.
static int32_t find_longest(const struct loam_stage *stage, const struct loam_trie *trie, size_t at,
                            size_t end, size_t *match_end)
{
    const struct loam_added_tokens *tokens = stage->data;
    const bool is_plain = ((const struct loam_text_input *)stage->user)->plain_count > 0;
    const char *text = stage->pieces.text.bytes;
    int32_t token = -1;
    uint32_t node = 1 + (uint32_t)(unsigned char)text[at];
    for (size_t i = at + 1;; i++) {
        const int32_t found = trie->nodes[node].token;
        if (found >= 0 && !(is_plain && is_excluded(stage, &tokens->items[found], at, i))) {
            token = found;
            *match_end = i;
        }
        if (i == end) return token;
        node = find_child(trie, node, (unsigned char)text[i]);
        if (node == 0) return token;
    }
}

static enum loam_status split_piece(struct loam_stage *stage, const struct loam_trie *trie,
                                    struct loam_piece piece, struct loam_error *error)
{
    const struct loam_added_tokens *tokens = stage->data;
    const char *text = stage->pieces.text.bytes;
    if (piece.token >= 0 || trie->count == 0)
        return loam_stage_emit(stage, piece.start, piece.end, piece.token, error);
    size_t done = piece.start;
    for (size_t at = piece.start; at < piece.end;) {
        size_t to = at;
        if (!trie->begins[(unsigned char)text[at]]) {
            at++;
            continue;
        }
        int32_t index = find_longest(stage, trie, at, piece.end, &to);
        if (index < 0) {
            at++;
            continue;
        }
        size_t from = at;
        at = to; // the search continues after the token, even if the token is not accepted
        const struct loam_added_token *token = &tokens->items[index];
        if (token->single_word && !stands_alone(text, piece.start, piece.end, from, to)) continue;
        include_space(token, text, piece.start, piece.end, &from, &to);
        // The token before may already include the white space. A token that begins with white space may
        // overlap it.
        if (token->lstrip && from < done) from = done < to ? done : to;
        if (done < from) LOAM_TRY(loam_stage_emit(stage, done, from, -1, error));
        LOAM_TRY(loam_stage_emit(stage, from, to, token->id, error));
        done = to;
    }
    return loam_stage_emit(stage, done, piece.end, -1, error);
}

static enum loam_status split_raw(struct loam_stage *stage, struct loam_piece piece, struct loam_error *error)
{
    const struct loam_added_tokens *tokens = stage->data;
    return split_piece(stage, &tokens->raw, piece, error);
}

static enum loam_status split_normalized(struct loam_stage *stage, struct loam_piece piece,
                                         struct loam_error *error)
{
    const struct loam_added_tokens *tokens = stage->data;
    return split_piece(stage, &tokens->normalized, piece, error);
}

// A stage only reads the input, but the field `user` is not const.
static void *pass_input(const struct loam_text_input *input)
{
    return (void *)(uintptr_t)input;
}

struct loam_stage loam_added_tokens_stage(const struct loam_added_tokens *tokens, bool normalized,
                                          const struct loam_text_input *input)
{
    return (struct loam_stage){
        .run = normalized ? split_normalized : split_raw, .data = tokens, .user = pass_input(input)};
}

static const struct loam_added_token *find_by_id(const struct loam_added_tokens *tokens, int32_t id)
{
    for (size_t i = 0; i < tokens->count; i++)
        if (tokens->items[i].id == id) return &tokens->items[i];
    return NULL;
}

static enum loam_status split_marked(struct loam_stage *stage, struct loam_piece piece,
                                     struct loam_error *error)
{
    const struct loam_added_tokens *tokens = stage->data;
    const struct loam_text_input *input = stage->user;
    const struct loam_mark *marks = input->marks;
    size_t done = piece.start;
    for (size_t i = 0; i < input->mark_count; i++) {
        size_t from = marks[i].start;
        size_t to = marks[i].end;
        size_t next = i + 1 < input->mark_count ? marks[i + 1].start : piece.end;
        const struct loam_added_token *token = find_by_id(tokens, marks[i].id);
        if (token != NULL) include_space(token, stage->pieces.text.bytes, done, next, &from, &to);
        LOAM_TRY(loam_stage_emit(stage, done, from, -1, error));
        LOAM_TRY(loam_stage_emit(stage, from, to, marks[i].id, error));
        done = to;
    }
    return loam_stage_emit(stage, done, piece.end, -1, error);
}

struct loam_stage loam_added_tokens_marks_stage(const struct loam_added_tokens *tokens,
                                                const struct loam_text_input *input)
{
    return (struct loam_stage){.run = split_marked, .data = tokens, .user = pass_input(input)};
}
