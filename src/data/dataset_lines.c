#include "data/dataset_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/grow.h"
#include "base/heap.h"
#include "base/json_array.h"
#include "base/utf8.h"
#include "data/jsonl.h"

struct line {
    size_t start;  // byte in the file
    size_t size;   // bytes, without the line break
    size_t number; // line in the file, from 1 on
};

struct loam_lines {
    char *path;
    int file;
    enum loam_lines_kind kind;
    struct line *lines;
    size_t count;
    size_t capacity;
    size_t longest;         // index of the line with the most text in its fields
    size_t longest_text;    // bytes of that text
    size_t longest_line;    // bytes of the longest line
    struct loam_bytes text; // the last line read
    struct loam_field text_field;
    struct loam_jsonl jsonl;
};

size_t loam_lines_count(const struct loam_lines *lines)
{
    return lines->count;
}

size_t loam_lines_number(const struct loam_lines *lines, size_t index)
{
    return lines->lines[index].number;
}

size_t loam_lines_longest(const struct loam_lines *lines)
{
    return lines->longest;
}

// Memory for a line longer than `text`, and the parser's copy of a string with escapes.
size_t loam_lines_reading_bytes(const struct loam_lines *lines)
{
    size_t held = lines->count > 0 ? lines->lines[lines->longest].size : 0;
    return lines->longest_line - held + (lines->kind != LOAM_LINES_TEXT ? lines->longest_line : 0);
}

void loam_lines_destroy(struct loam_lines *lines)
{
    if (lines == NULL) return;
    if (lines->file >= 0) close(lines->file);
    free(lines->path);
    free(lines->lines);
    loam_bytes_deinit(&lines->text);
    loam_jsonl_deinit(&lines->jsonl);
    free(lines);
}

// Reads the fields of a line and checks them.
static enum loam_status parse_line(struct loam_lines *lines, const char *text, size_t size, size_t number,
                                   struct loam_error *error)
{
    if (size > LOAM_TEXT_LIMIT)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s:%zu: the %s has %zu bytes; at most %d are allowed: write one example per line",
                         lines->path, number, lines->kind == LOAM_LINES_ARRAY ? "record" : "line", size,
                         LOAM_TEXT_LIMIT);
    if (lines->kind == LOAM_LINES_ARRAY && text[0] != '{')
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: expected a JSON object", lines->path, number);
    if (lines->kind != LOAM_LINES_TEXT)
        return loam_jsonl_parse(&lines->jsonl, text, size, lines->path, number, error);
    size_t valid = loam_utf8_check(text, size);
    if (valid < size)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s:%zu: invalid UTF-8 at byte %zu of the line (0x%02X); " LOAM_ENCODING_REMEDY,
                         lines->path, number, valid + 1, (unsigned)(unsigned char)text[valid]);
    const char *nul = memchr(text, '\0', size);
    if (nul != NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s:%zu: a NUL byte at byte %zu of the line: the file is not text", lines->path,
                         number, (size_t)(nul - text) + 1);
    lines->text_field = (struct loam_field){"text", text, size};
    return LOAM_OK;
}

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') return false;
    return true;
}

static size_t text_bytes(const struct loam_lines *lines)
{
    return lines->kind != LOAM_LINES_TEXT ? lines->jsonl.values.size : lines->text_field.size;
}

static void note_longest(struct loam_lines *lines, size_t index, size_t size)
{
    if (size > lines->longest_line) lines->longest_line = size;
    if (text_bytes(lines) <= lines->longest_text) return;
    lines->longest_text = text_bytes(lines);
    lines->longest = index;
}

static enum loam_status add_line(struct loam_lines *lines, struct line line, struct loam_error *error)
{
    if (lines->count == lines->capacity) {
        struct line *grown =
            loam_grow(lines->lines, &lines->capacity, lines->count + 1, sizeof *lines->lines, error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        lines->lines = grown;
    }
    lines->lines[lines->count++] = line;
    return LOAM_OK;
}

// The state of opening a file.
struct indexing {
    struct loam_lines *lines;
    struct loam_map_reader reader;
    const char *data;
    size_t size;
    bool skip_bad;
    size_t *bad;
};

// Checks a line and adds it. Counts a broken line that is skipped.
static enum loam_status index_line(struct indexing *indexing, struct line line, struct loam_error *error)
{
    struct loam_lines *lines = indexing->lines;
    enum loam_status status = parse_line(lines, indexing->data + line.start, line.size, line.number, error);
    loam_map_reader_advance(&indexing->reader, line.start);
    if (status == LOAM_ERROR_FORMAT && indexing->skip_bad) {
        ++*indexing->bad;
        return LOAM_OK;
    }
    if (status != LOAM_OK) return status;
    LOAM_TRY(add_line(lines, line, error));
    note_longest(lines, lines->count - 1, line.size);
    return LOAM_OK;
}

static size_t find_byte(const struct indexing *indexing, char byte, size_t start, size_t end)
{
    const char *found = memchr(indexing->data + start, byte, end - start);
    return found != NULL ? (size_t)(found - indexing->data) : end;
}

static enum loam_status index_lines(struct indexing *indexing, struct loam_error *error)
{
    const char *data = indexing->data;
    size_t size = indexing->size, number = 0;
    size_t start = loam_byte_order_mark(data, size);
    size_t feed = find_byte(indexing, '\n', start, size);
    // In JSON lines that end with LF, CR is white space, not a line break.
    bool returns = indexing->lines->kind == LOAM_LINES_TEXT || feed == size;
    for (size_t next; start < size; start = next) {
        if (feed < start) feed = find_byte(indexing, '\n', start, size);
        size_t end = returns ? find_byte(indexing, '\r', start, feed) : feed;
        next = end + 1;
        if (end < feed && feed == next) next++;
        number++;
        if (is_blank(data + start, end - start)) continue;
        LOAM_TRY(index_line(indexing, (struct line){start, end - start, number}, error));
    }
    return LOAM_OK;
}

static enum loam_status index_element(void *user, const struct loam_json_element *element,
                                      struct loam_error *error)
{
    return index_line(user, (struct line){element->start, element->size, element->line}, error);
}

static enum loam_status index_map(struct loam_lines *lines, const struct loam_map *map, bool skip_bad,
                                  size_t *bad, struct loam_error *error)
{
    struct indexing indexing = {.lines = lines,
                                .reader.data = map->data,
                                .data = (const char *)map->data,
                                .size = map->size,
                                .skip_bad = skip_bad,
                                .bad = bad};
    if (lines->kind != LOAM_LINES_ARRAY) return index_lines(&indexing, error);
    return loam_json_array_parse(indexing.data, indexing.size, lines->path, index_element, &indexing, error);
}

static enum loam_status open_into(struct loam_lines *lines, const struct loam_lines_options *options,
                                  const struct loam_map *map, size_t *bad, struct loam_error *error)
{
    lines->path = loam_strdup(options->path, error);
    if (lines->path == NULL) return LOAM_ERROR_MEMORY;
    LOAM_TRY(loam_jsonl_init(&lines->jsonl, options->names, options->name_count, error));
    lines->file = open(options->path, O_RDONLY | O_CLOEXEC);
    if (lines->file < 0)
        return loam_fail(error, LOAM_ERROR_IO, "cannot open %s: %s", options->path, strerror(errno));
    LOAM_TRY(index_map(lines, map, options->skip_bad, bad, error));
    // Releases the working memory: the longest line may have been skipped.
    loam_bytes_deinit(&lines->jsonl.values);
    return LOAM_OK;
}

enum loam_status loam_lines_open(struct loam_lines **out, const struct loam_lines_options *options,
                                 const struct loam_map *map, size_t *bad, struct loam_error *error)
{
    *out = NULL;
    struct loam_lines *lines = loam_calloc(1, sizeof *lines, error);
    if (lines == NULL) return LOAM_ERROR_MEMORY;
    lines->kind = options->kind;
    lines->file = -1;
    enum loam_status status = open_into(lines, options, map, bad, error);
    if (status != LOAM_OK) {
        loam_lines_destroy(lines);
        return status;
    }
    *out = lines;
    return LOAM_OK;
}

static enum loam_status read_text(struct loam_lines *lines, const struct line *line, struct loam_error *error)
{
    loam_bytes_clear(&lines->text);
    LOAM_TRY(loam_bytes_reserve(&lines->text, line->size, error));
    size_t done = 0;
    while (done < line->size) {
        ssize_t got =
            pread(lines->file, lines->text.data + done, line->size - done, (off_t)(line->start + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", lines->path, strerror(errno));
        if (got == 0)
            return loam_fail(error, LOAM_ERROR_IO, "%s:%zu: the file has become shorter since it was opened",
                             lines->path, line->number);
        done += (size_t)got;
    }
    lines->text.size = line->size;
    lines->text.data[line->size] = '\0';
    return LOAM_OK;
}

// Checks the line again, since the file may have changed.
enum loam_status loam_lines_read(struct loam_lines *lines, size_t index, const struct loam_field **fields,
                                 struct loam_error *error)
{
    const struct line *line = &lines->lines[index];
    LOAM_TRY(read_text(lines, line, error));
    LOAM_TRY(parse_line(lines, lines->text.data, line->size, line->number, error));
    *fields = lines->kind != LOAM_LINES_TEXT ? lines->jsonl.fields : &lines->text_field;
    return LOAM_OK;
}
