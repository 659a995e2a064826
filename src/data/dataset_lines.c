#include "data/dataset_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/grow.h"
#include "base/heap.h"
#include "base/json_array.h"

struct line {
    size_t start;  // byte in the file
    size_t size;   // bytes, without the line break
    size_t number; // line in the file, from 1 on
};

struct loam_lines {
    const char *path;
    int file;
    enum loam_lines_kind kind;
    struct line *lines;
    size_t count;
    size_t capacity;
    size_t longest;         // index of the line with the most text in its fields
    size_t longest_text;    // bytes of that text
    size_t longest_line;    // bytes of the longest line
    struct loam_bytes text; // the last line read
    struct loam_record_reader reader;
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

const struct loam_record_reader *loam_lines_reader(const struct loam_lines *lines)
{
    return &lines->reader;
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
    free(lines->lines);
    loam_bytes_deinit(&lines->text);
    loam_record_reader_deinit(&lines->reader);
    free(lines);
}

static enum loam_status check_line(const struct loam_lines *lines, const char *text, const struct line *line,
                                   struct loam_error *error)
{
    if (line->size > LOAM_TEXT_LIMIT)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s:%zu: the %s has %zu bytes; at most %d are allowed: write one example per line",
                         lines->path, line->number, lines->kind == LOAM_LINES_ARRAY ? "record" : "line",
                         line->size, LOAM_TEXT_LIMIT);
    if (lines->kind == LOAM_LINES_ARRAY && text[0] != '{')
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: expected a JSON object", lines->path,
                         line->number);
    return LOAM_OK;
}

// Reads the fields of a line and checks them.
static enum loam_status parse_line(struct loam_lines *lines, const char *text, const struct line *line,
                                   struct loam_error *error)
{
    LOAM_TRY(check_line(lines, text, line, error));
    return loam_record_reader_read(&lines->reader, text, line->size, line->number, error);
}

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') return false;
    return true;
}

static void note_longest(struct loam_lines *lines, size_t index, size_t size)
{
    if (size > lines->longest_line) lines->longest_line = size;
    if (lines->reader.text_bytes <= lines->longest_text) return;
    lines->longest_text = lines->reader.text_bytes;
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
    enum loam_status status = parse_line(lines, indexing->data + line.start, &line, error);
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

static enum loam_status index_rows(struct indexing *indexing, struct loam_error *error)
{
    const char *data = indexing->data;
    struct loam_lines *lines = indexing->lines;
    const char delimiter = lines->reader.csv.delimiter;
    size_t number = 1;
    bool has_header = false;
    struct loam_csv_row row;
    for (size_t at = loam_byte_order_mark(data, indexing->size); at < indexing->size; at = row.next) {
        row = loam_csv_find_row(data, indexing->size, at, delimiter);
        const struct line line = {row.start, row.size, number};
        number += row.breaks;
        if (row.size == 0) continue;
        if (has_header) {
            LOAM_TRY(index_line(indexing, line, error));
            continue;
        }
        LOAM_TRY(check_line(lines, data + at, &line, error));
        LOAM_TRY(loam_record_reader_header(&lines->reader, data + at, row.size, line.number, error));
        has_header = true;
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
    if (lines->kind == LOAM_LINES_CSV || lines->kind == LOAM_LINES_TSV) return index_rows(&indexing, error);
    if (lines->kind != LOAM_LINES_ARRAY) return index_lines(&indexing, error);
    return loam_json_array_parse(indexing.data, indexing.size, lines->path, index_element, &indexing, error);
}

static enum loam_record_format format_of(enum loam_lines_kind kind)
{
    if (kind == LOAM_LINES_TEXT) return LOAM_RECORD_LINE;
    return kind == LOAM_LINES_CSV || kind == LOAM_LINES_TSV ? LOAM_RECORD_ROW : LOAM_RECORD_OBJECT;
}

static enum loam_status open_into(struct loam_lines *lines, const struct loam_lines_options *options,
                                  const struct loam_map *map, size_t *bad, struct loam_error *error)
{
    lines->path = options->path;
    lines->reader = (struct loam_record_reader){.format = format_of(lines->kind),
                                                .path = options->path,
                                                .map = options->map,
                                                .csv.delimiter = lines->kind == LOAM_LINES_TSV ? '\t' : ','};
    LOAM_TRY(loam_record_reader_init(&lines->reader, options->names, options->name_count, error));
    LOAM_TRY(index_map(lines, map, options->skip_bad, bad, error));
    // Releases the working memory: the longest line may have been skipped.
    loam_record_reader_release(&lines->reader);
    return LOAM_OK;
}

enum loam_status loam_lines_open(struct loam_lines **out, const struct loam_lines_options *options,
                                 struct loam_data_input *input, size_t *bad, struct loam_error *error)
{
    *out = NULL;
    struct loam_lines *lines = loam_calloc(1, sizeof *lines, error);
    if (lines == NULL) return LOAM_ERROR_MEMORY;
    lines->kind = options->kind;
    lines->file = input->descriptor;
    input->descriptor = -1;
    enum loam_status status = open_into(lines, options, &input->map, bad, error);
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

// Reads the text of a line and checks it again, since the file may have changed.
static enum loam_status reread_line(struct loam_lines *lines, const struct line *line,
                                    struct loam_error *error)
{
    LOAM_TRY(read_text(lines, line, error));
    return check_line(lines, lines->text.data, line, error);
}

enum loam_status loam_lines_read(struct loam_lines *lines, size_t index, const struct loam_field **fields,
                                 struct loam_error *error)
{
    const struct line *line = &lines->lines[index];
    LOAM_TRY(reread_line(lines, line, error));
    LOAM_TRY(loam_record_reader_read(&lines->reader, lines->text.data, line->size, line->number, error));
    *fields = lines->reader.fields;
    return LOAM_OK;
}

enum loam_status loam_lines_tree(struct loam_lines *lines, size_t index, json_t **tree,
                                 enum loam_record_shape *shape, struct loam_error *error)
{
    const struct line *line = &lines->lines[index];
    LOAM_TRY(reread_line(lines, line, error));
    return loam_record_reader_tree(&lines->reader, lines->text.data, line->size, line->number, tree, shape,
                                   error);
}
