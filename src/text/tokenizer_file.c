#include "text/tokenizer_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/grow.h"
#include "base/heap.h"
#include "base/utf8.h"
#include "base/yajl_run.h"

enum {
    MAX_DEPTH = 64,
    MAX_VALUES = 1 << 21, // in the tree; a tokenizer with 100,000 added tokens has 800,000
};

// The place of the parser: in the tree, or in one of the two large collections.
enum place { IN_TREE, IN_VOCAB, IN_MERGES, IN_PAIR };

struct frame {
    json_t *container; // borrowed: its parent owns it
    struct loam_bytes key;
};

struct reader {
    struct loam_tokenizer_file *file;
    const struct loam_map *map;
    enum place place;
    struct frame frames[MAX_DEPTH]; // [depth] open containers of the tree
    size_t depth;
    size_t values;
    struct loam_bytes token; // key of the vocabulary; its id follows
    size_t pair_sides;       // strings of the current pair so far
    bool pairs;              // merges are ["left", "right"], else "left right"
    enum loam_status status;
    struct loam_error *error;
};

// The callbacks of yajl return 1 to continue and 0 to stop; reader->status holds the reason.
static int finish_callback(struct reader *reader, enum loam_status status)
{
    reader->status = status;
    return status == LOAM_OK;
}

static int fail_callback(struct reader *reader, const char *what)
{
    return finish_callback(reader, loam_fail(reader->error, LOAM_ERROR_FORMAT, "%s", what));
}

static enum loam_status fail_memory(struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory while reading a tokenizer");
}

// ---- The tree ----

static enum loam_status attach(struct reader *reader, json_t *value)
{
    struct loam_error *error = reader->error;
    if (value == NULL) return fail_memory(error);
    if (reader->depth == 0) {
        reader->file->root = value;
        return json_is_object(value) ? LOAM_OK : loam_fail(error, LOAM_ERROR_FORMAT, "must be a JSON object");
    }
    struct frame *frame = &reader->frames[reader->depth - 1];
    if (json_is_array(frame->container))
        return json_array_append_new(frame->container, value) == 0 ? LOAM_OK : fail_memory(error);
    if (json_object_get(frame->container, frame->key.data) != NULL) {
        json_decref(value);
        return loam_fail(error, LOAM_ERROR_FORMAT, "key \"%.80s\" occurs twice", frame->key.data);
    }
    return json_object_set_new_nocheck(frame->container, frame->key.data, value) == 0 ? LOAM_OK
                                                                                      : fail_memory(error);
}

static int add_value(struct reader *reader, json_t *value)
{
    if (reader->values++ == MAX_VALUES) {
        json_decref(value);
        return fail_callback(reader, "has too many values for a tokenizer");
    }
    return finish_callback(reader, attach(reader, value));
}

static int open_container(struct reader *reader, json_t *container)
{
    if (reader->depth == MAX_DEPTH) {
        json_decref(container);
        return fail_callback(reader, "is nested too deeply for a tokenizer");
    }
    if (!add_value(reader, container)) return 0;
    reader->frames[reader->depth++].container = container;
    return 1;
}

// Whether the next value is model.KEY.
static bool is_at_model_key(const struct reader *reader, const char *key)
{
    return reader->depth == 2 && json_is_object(reader->frames[1].container) &&
           strcmp(reader->frames[0].key.data, "model") == 0 && strcmp(reader->frames[1].key.data, key) == 0;
}

// ---- The vocabulary and the merges ----

static enum loam_status add_token(struct reader *reader, int64_t id)
{
    const struct loam_bytes *token = &reader->token;
    if (loam_utf8_check(token->data, token->size) != token->size)
        return loam_fail(reader->error, LOAM_ERROR_FORMAT,
                         "model.vocab: the token with id %lld is not valid UTF-8", (long long)id);
    enum loam_status status =
        loam_vocab_add(&reader->file->vocab, token->data, token->size, id, reader->error);
    return status == LOAM_OK ? LOAM_OK : loam_fail_prefix(reader->error, "model.vocab");
}

static enum loam_status append_side(struct reader *reader, const char *text, size_t size, size_t *offset)
{
    *offset = reader->file->merge_text.size;
    return loam_bytes_append(&reader->file->merge_text, text, size, reader->error);
}

static enum loam_status add_merge(struct reader *reader, struct loam_merge_text merge)
{
    struct loam_tokenizer_file *file = reader->file;
    if (file->merge_count == file->merge_capacity) {
        struct loam_merge_text *grown = loam_grow(file->merges, &file->merge_capacity, file->merge_count + 1,
                                                  sizeof *grown, reader->error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        file->merges = grown;
    }
    file->merges[file->merge_count++] = merge;
    return LOAM_OK;
}

static enum loam_status fail_merge(struct reader *reader)
{
    return loam_fail(reader->error, LOAM_ERROR_FORMAT,
                     "model.merges[%zu] must be \"left right\" or [\"left\", \"right\"], in one form for all",
                     reader->file->merge_count);
}

// Adds a merge in the form "left right". Skips the version line of a merges.txt, which some files contain.
static enum loam_status add_spaced_merge(struct reader *reader, const char *text, size_t size)
{
    static const char version[] = "#version";
    if (size >= sizeof version - 1 && memcmp(text, version, sizeof version - 1) == 0) return LOAM_OK;
    const char *space = memchr(text, ' ', size);
    size_t left_size = space == NULL ? size : (size_t)(space - text);
    if (space == NULL || memchr(space + 1, ' ', size - left_size - 1) != NULL) return fail_merge(reader);
    struct loam_merge_text merge = {.left_size = left_size, .right_size = size - left_size - 1};
    LOAM_TRY(append_side(reader, text, size, &merge.left));
    merge.right = merge.left + left_size + 1;
    return add_merge(reader, merge);
}

static enum loam_status add_pair_side(struct reader *reader, const char *text, size_t size)
{
    struct loam_tokenizer_file *file = reader->file;
    if (reader->pair_sides == 2) return fail_merge(reader);
    size_t offset;
    LOAM_TRY(append_side(reader, text, size, &offset));
    if (reader->pair_sides++ == 0)
        return add_merge(reader, (struct loam_merge_text){.left = offset, .left_size = size});
    file->merges[file->merge_count - 1].right = offset;
    file->merges[file->merge_count - 1].right_size = size;
    return LOAM_OK;
}

// ---- Callbacks ----

// Fails for a value that neither the vocabulary nor the merges can hold.
static int fail_misplaced(struct reader *reader)
{
    if (reader->place == IN_VOCAB)
        return fail_callback(reader, "model.vocab: every token must have an integer id");
    return finish_callback(reader, fail_merge(reader));
}

static int on_null(void *user)
{
    struct reader *reader = user;
    return reader->place == IN_TREE ? add_value(reader, json_null()) : fail_misplaced(reader);
}

static int on_boolean(void *user, int value)
{
    struct reader *reader = user;
    return reader->place == IN_TREE ? add_value(reader, json_boolean(value)) : fail_misplaced(reader);
}

static int on_integer(void *user, long long value)
{
    struct reader *reader = user;
    if (reader->place == IN_VOCAB) return finish_callback(reader, add_token(reader, value));
    return reader->place == IN_TREE ? add_value(reader, json_integer(value)) : fail_misplaced(reader);
}

static int on_double(void *user, double value)
{
    struct reader *reader = user;
    return reader->place == IN_TREE ? add_value(reader, json_real(value)) : fail_misplaced(reader);
}

static int on_string(void *user, const unsigned char *bytes, size_t size)
{
    struct reader *reader = user;
    const char *text = (const char *)bytes;
    switch (reader->place) {
    case IN_TREE:
        if (loam_utf8_check(text, size) != size) return fail_callback(reader, "a string is not valid UTF-8");
        return add_value(reader, json_stringn_nocheck(text, size));
    case IN_MERGES:
        if (reader->pairs) return fail_misplaced(reader);
        return finish_callback(reader, add_spaced_merge(reader, text, size));
    case IN_PAIR:
        return finish_callback(reader, add_pair_side(reader, text, size));
    default:
        return fail_misplaced(reader);
    }
}

static int on_key(void *user, const unsigned char *bytes, size_t size)
{
    struct reader *reader = user;
    if (reader->place == IN_TREE && memchr(bytes, 0, size) != NULL)
        return fail_callback(reader, "a key holds a NUL");
    if (reader->place == IN_TREE && loam_utf8_check((const char *)bytes, size) != size)
        return finish_callback(reader,
                               loam_fail(reader->error, LOAM_ERROR_FORMAT, "key \"%.*s\" is not valid UTF-8",
                                         size < 80 ? (int)size : 80, (const char *)bytes));
    struct loam_bytes *key =
        reader->place == IN_VOCAB ? &reader->token : &reader->frames[reader->depth - 1].key;
    loam_bytes_clear(key);
    return finish_callback(reader, loam_bytes_append(key, bytes, size, reader->error));
}

static int on_start_map(void *user)
{
    struct reader *reader = user;
    if (reader->place != IN_TREE) return fail_misplaced(reader);
    if (!is_at_model_key(reader, "vocab")) return open_container(reader, json_object());
    if (reader->file->has_vocab) return fail_callback(reader, "model.vocab occurs twice");
    reader->file->has_vocab = true;
    reader->place = IN_VOCAB;
    return 1;
}

static int on_end_map(void *user)
{
    struct reader *reader = user;
    if (reader->place == IN_TREE) reader->depth--;
    reader->place = IN_TREE;
    return 1;
}

static int on_start_array(void *user)
{
    struct reader *reader = user;
    struct loam_tokenizer_file *file = reader->file;
    if (reader->place == IN_MERGES && (file->merge_count == 0 || reader->pairs)) {
        reader->pairs = true;
        reader->pair_sides = 0;
        reader->place = IN_PAIR;
        return 1;
    }
    if (reader->place != IN_TREE) return fail_misplaced(reader);
    if (!is_at_model_key(reader, "merges")) return open_container(reader, json_array());
    if (file->has_merges) return fail_callback(reader, "model.merges occurs twice");
    file->has_merges = true;
    reader->place = IN_MERGES;
    return 1;
}

static int on_end_array(void *user)
{
    struct reader *reader = user;
    if (reader->place == IN_PAIR) {
        if (reader->pair_sides != 2) return fail_misplaced(reader);
        reader->place = IN_MERGES;
        return 1;
    }
    if (reader->place == IN_TREE) reader->depth--;
    reader->place = IN_TREE;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_integer = on_integer,
    .yajl_double = on_double,
    .yajl_string = on_string,
    .yajl_map_key = on_key,
    .yajl_start_map = on_start_map,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end_array,
};

// ---- The file ----

static enum loam_status fail_parse(yajl_handle parser, struct loam_error *error)
{
    unsigned char *message = yajl_get_error(parser, 0, NULL, 0);
    const char *reason = message == NULL ? "" : (const char *)message;
    enum loam_status status = loam_fail(error, LOAM_ERROR_FORMAT, "is not valid JSON at byte %zu: %.*s",
                                        yajl_get_bytes_consumed(parser), (int)strcspn(reason, "\n"), reason);
    if (message != NULL) yajl_free_error(parser, message);
    return status;
}

static enum loam_status parse(void *user, yajl_handle parser)
{
    struct reader *reader = user;
    const struct loam_map *map = reader->map;
    const unsigned char *text = map->data == NULL ? (const unsigned char *)"" : map->data;
    size_t mark = loam_byte_order_mark((const char *)text, map->size);
    yajl_status result = yajl_parse(parser, text + mark, map->size - mark);
    if (result == yajl_status_ok) result = yajl_complete_parse(parser);
    return result != yajl_status_ok && reader->status == LOAM_OK ? fail_parse(parser, reader->error)
                                                                 : reader->status;
}

enum loam_status loam_tokenizer_file_read(struct loam_tokenizer_file *file, const char *path,
                                          struct loam_error *error)
{
    *file = (struct loam_tokenizer_file){0};
    struct loam_map map;
    LOAM_TRY(loam_map_open(&map, path, true, error));
    struct reader *reader = loam_calloc(1, sizeof *reader, error);
    enum loam_status status = reader == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
    if (status == LOAM_OK) {
        reader->file = file;
        reader->error = error;
        reader->map = &map;
        status = loam_yajl_run(&callbacks, parse, reader, error);
        for (size_t i = 0; i < MAX_DEPTH; i++)
            loam_bytes_deinit(&reader->frames[i].key);
        loam_bytes_deinit(&reader->token);
        free(reader);
        if (status != LOAM_OK) status = loam_fail_prefix(error, "%s", path);
    }
    loam_map_close(&map);
    return status;
}

void loam_tokenizer_file_deinit(struct loam_tokenizer_file *file)
{
    json_decref(file->root);
    loam_vocab_deinit(&file->vocab);
    loam_bytes_deinit(&file->merge_text);
    free(file->merges);
    *file = (struct loam_tokenizer_file){0};
}
