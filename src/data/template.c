#include "data/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/grow.h"
#include "base/heap.h"
#include "base/utf8.h"

enum {
    LARGEST_FILE = 1 << 20, // bytes; a template is a page of text, not a data set
    MAX_FIELDS = 1024,      // names are compared with all earlier ones
};

enum part_kind { PART_TEXT, PART_FIELD, PART_EOS };

// A template is its parts in order.
struct part {
    enum part_kind kind;
    size_t start; // PART_TEXT: span of `text`
    size_t size;
    size_t field; // PART_FIELD: index of the name
};

struct loam_template {
    char *text; // a copy of the template, in which the names of fields are NUL-terminated
    struct part *parts;
    size_t part_count;
    const char **names; // distinct, in order of appearance; they point into `text`
    size_t name_count;
    size_t last_field; // index of the part that is the completion
    size_t cut_field;  // index of the name of the field that is cut; SIZE_MAX: the longest
};

static const struct {
    const char *name;
    const char *text;
} built_in[] = {
    {"squad", "### CONTEXT\n{context}\n\n### QUESTION\n{question}\n\n### ANSWER\n{answer}{eos}"},
};

void loam_template_destroy(struct loam_template *prompt_template)
{
    if (prompt_template == NULL) return;
    free(prompt_template->text);
    free(prompt_template->parts);
    free(prompt_template->names);
    free(prompt_template);
}

size_t loam_template_field_count(const struct loam_template *prompt_template)
{
    return prompt_template->name_count;
}

const char *loam_template_field_name(const struct loam_template *prompt_template, size_t index)
{
    return prompt_template->names[index];
}

// Relies on the order of fields: the first named has index 0.
size_t loam_template_prompt_field_count(const struct loam_template *prompt_template)
{
    size_t count = 0;
    for (size_t i = 0; i < prompt_template->last_field; i++) {
        const struct part *part = &prompt_template->parts[i];
        if (part->kind == PART_FIELD && part->field >= count) count = part->field + 1;
    }
    return count;
}

enum loam_status loam_template_choose_cut(struct loam_template *prompt_template, const char *field,
                                          struct loam_error *error)
{
    const size_t count = loam_template_prompt_field_count(prompt_template);
    struct loam_bytes names = {0};
    for (size_t i = 0; i < count; i++) {
        if (strcmp(prompt_template->names[i], field) == 0) {
            prompt_template->cut_field = i;
            loam_bytes_deinit(&names);
            return LOAM_OK;
        }
        if (loam_bytes_format(&names, error, "%s%s", i > 0 ? ", " : "", prompt_template->names[i]) != LOAM_OK)
            break;
    }
    loam_fail(
        error, LOAM_ERROR_USAGE,
        "--cut %s: the template has no such field before its last one, which is never cut; these are: %s",
        field, names.data != NULL ? names.data : "none");
    loam_bytes_deinit(&names);
    return LOAM_ERROR_USAGE;
}

static size_t line_at(const char *text, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    return line;
}

static bool is_name_byte(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '_' || byte == '-' || byte == '.' || byte >= 0x80;
}

static void add_text(struct loam_template *made, size_t start, size_t size)
{
    if (size == 0) return;
    made->parts[made->part_count++] = (struct part){.kind = PART_TEXT, .start = start, .size = size};
}

static void add_placeholder(struct loam_template *made, const char *name)
{
    if (strcmp(name, "eos") == 0) {
        made->parts[made->part_count++] = (struct part){.kind = PART_EOS};
        return;
    }
    size_t field = 0;
    while (field < made->name_count && strcmp(made->names[field], name) != 0)
        field++;
    if (field == made->name_count) made->names[made->name_count++] = name;
    made->last_field = made->part_count;
    made->parts[made->part_count++] = (struct part){.kind = PART_FIELD, .field = field};
}

// Reads the placeholder whose '{' is at `open`; `*next` is the byte after its '}'.
static enum loam_status parse_placeholder(struct loam_template *made, size_t size, const char *name,
                                          size_t open, size_t *next, struct loam_error *error)
{
    size_t end = open + 1;
    while (end < size && is_name_byte((unsigned char)made->text[end]))
        end++;
    if (end == size || made->text[end] != '}' || end == open + 1)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "template %s, line %zu: '{' does not begin a placeholder such as {question}; "
                         "write {{ for a brace",
                         name, line_at(made->text, open));
    made->text[end] = '\0';
    add_placeholder(made, made->text + open + 1);
    if (made->name_count > MAX_FIELDS)
        return loam_fail(error, LOAM_ERROR_FORMAT, "template %s names more than %d fields", name, MAX_FIELDS);
    *next = end + 1;
    return LOAM_OK;
}

static enum loam_status parse_parts(struct loam_template *made, size_t size, const char *name,
                                    struct loam_error *error)
{
    size_t start = 0; // of text that is not part of `parts`
    size_t at = 0;
    while (at < size) {
        char byte = made->text[at];
        if (byte != '{' && byte != '}') {
            at++;
            continue;
        }
        bool doubled = at + 1 < size && made->text[at + 1] == byte;
        add_text(made, start, at - start + doubled);
        if (doubled) {
            at += 2;
        } else if (byte == '{') {
            LOAM_TRY(parse_placeholder(made, size, name, at, &at, error));
        } else {
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "template %s, line %zu: '}' without a placeholder; write }} for a brace", name,
                             line_at(made->text, at));
        }
        start = at;
    }
    add_text(made, start, size - start);
    if (made->name_count == 0)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "template %s has no field: expected a placeholder such as {question} or {text}",
                         name);
    return LOAM_OK;
}

static enum loam_status parse_into(struct loam_template *made, const char *text, size_t size,
                                   const char *name, struct loam_error *error)
{
    size_t braces = 0;
    for (size_t i = 0; i < size; i++)
        braces += text[i] == '{' || text[i] == '}';
    // Each brace ends at most one text, and each placeholder has two braces.
    made->parts = loam_calloc(braces + 1, sizeof *made->parts, error);
    if (made->parts == NULL) return LOAM_ERROR_MEMORY;
    made->names = loam_calloc(braces / 2 + 1, sizeof *made->names, error);
    if (made->names == NULL) return LOAM_ERROR_MEMORY;
    made->cut_field = SIZE_MAX;
    made->text = loam_strndup(text, size, error);
    if (made->text == NULL) return LOAM_ERROR_MEMORY;
    return parse_parts(made, size, name, error);
}

enum loam_status loam_template_parse(struct loam_template **out, const char *text, size_t size,
                                     const char *name, struct loam_error *error)
{
    *out = NULL;
    if (memchr(text, '\0', size) != NULL || loam_utf8_check(text, size) < size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "template %s is not UTF-8 text", name);
    struct loam_template *made = loam_calloc(1, sizeof *made, error);
    if (made == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = parse_into(made, text, size, name, error);
    if (status != LOAM_OK) {
        loam_template_destroy(made);
        return status;
    }
    *out = made;
    return LOAM_OK;
}

// Replaces CR LF, which editors on Windows write, with LF and removes the line break at the end. Returns the
// new size.
static size_t normalize_line_breaks(char *text, size_t size)
{
    size_t kept = 0;
    for (size_t i = 0; i < size; i++)
        if (text[i] != '\r' || i + 1 == size || text[i + 1] != '\n') text[kept++] = text[i];
    return kept > 0 && text[kept - 1] == '\n' ? kept - 1 : kept;
}

bool loam_template_is_built_in(const char *name)
{
    for (size_t i = 0; i < sizeof built_in / sizeof built_in[0]; i++)
        if (strcmp(built_in[i].name, name) == 0) return true;
    return false;
}

enum loam_status loam_template_open(struct loam_template **out, const char *name_or_path,
                                    struct loam_error *error)
{
    *out = NULL;
    for (size_t i = 0; i < sizeof built_in / sizeof built_in[0]; i++) {
        const char *text = built_in[i].text;
        if (strcmp(built_in[i].name, name_or_path) == 0)
            return loam_template_parse(out, text, strlen(text), name_or_path, error);
    }
    if (!loam_file_exists(name_or_path))
        return loam_fail(
            error, LOAM_ERROR_IO,
            "template %s is neither a file nor built in: expected \"squad\" or the path of a template",
            name_or_path);
    struct loam_bytes bytes = {0};
    enum loam_status status = loam_file_read(name_or_path, LARGEST_FILE, &bytes, error);
    if (status == LOAM_OK) {
        size_t size = normalize_line_breaks(bytes.data, bytes.size);
        const char *text = bytes.data != NULL ? bytes.data : "";
        size_t mark = loam_byte_order_mark(text, size);
        status = loam_template_parse(out, text + mark, size - mark, name_or_path, error);
    }
    loam_bytes_deinit(&bytes);
    return status;
}

void loam_rendered_deinit(struct loam_rendered *rendered)
{
    loam_bytes_deinit(&rendered->text);
    free(rendered->marks);
    *rendered = (struct loam_rendered){0};
}

static enum loam_status fail_missing(const char *name, const struct loam_field *fields, size_t field_count,
                                     struct loam_error *error)
{
    char list[512] = "none";
    size_t used = 0;
    for (size_t i = 0; i < field_count && used < sizeof list; i++) {
        int written = snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", fields[i].name);
        if (written < 0) break;
        used += (size_t)written;
    }
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "no field \"%s\", which the template names; the fields are: %s", name, list);
}

static bool is_too_long(const struct loam_rendered *rendered, size_t size)
{
    return size > LOAM_TEXT_LIMIT || rendered->text.size > LOAM_TEXT_LIMIT - size;
}

// Appends text of the template or of {eos}. Both may be long or occur often.
static enum loam_status render_text(const char *text, size_t size, struct loam_rendered *rendered,
                                    struct loam_error *error)
{
    if (is_too_long(rendered, size))
        return loam_fail(error, LOAM_ERROR_FORMAT, "the text of the template has more than %d bytes",
                         LOAM_TEXT_LIMIT);
    return loam_bytes_append(&rendered->text, text, size, error);
}

static enum loam_status render_eos(const struct loam_special_tokens *special, struct loam_rendered *rendered,
                                   struct loam_error *error)
{
    if (special == NULL) return LOAM_OK;
    if (special->eos < 0) return loam_special_tokens_fail_eos(special, "the template has {eos}", error);
    size_t start = rendered->text.size;
    LOAM_TRY(render_text(special->eos_text, strlen(special->eos_text), rendered, error));
    struct loam_mark *grown =
        loam_grow(rendered->marks, &rendered->mark_capacity, rendered->mark_count + 1, sizeof *grown, error);
    if (grown == NULL) return LOAM_ERROR_MEMORY;
    rendered->marks = grown;
    grown[rendered->mark_count++] =
        (struct loam_mark){.start = start, .end = rendered->text.size, .id = special->eos};
    return LOAM_OK;
}

static enum loam_status render_field(const char *name, const struct loam_field *fields, size_t field_count,
                                     struct loam_rendered *rendered, struct loam_error *error)
{
    size_t start = rendered->text.size;
    size_t i = 0;
    while (i < field_count && strcmp(fields[i].name, name) != 0)
        i++;
    if (i == field_count) return fail_missing(name, fields, field_count, error);
    if (is_too_long(rendered, fields[i].size))
        return loam_fail(error, LOAM_ERROR_FORMAT, "with field \"%s\" the text has more than %d bytes", name,
                         LOAM_TEXT_LIMIT);
    LOAM_TRY(loam_bytes_append(&rendered->text, fields[i].value, fields[i].size, error));
    rendered->completion_start = start;
    return LOAM_OK;
}

// Whether the last rendered field is longer than the context.
static bool is_longer_than_context(const struct loam_rendered *rendered)
{
    return rendered->text.size - rendered->completion_start > rendered->context_end - rendered->context_start;
}

// Whether the field that was just rendered, the part `index`, replaces the context.
static bool is_context(const struct loam_template *prompt_template, size_t index, bool is_first,
                       const struct loam_rendered *rendered)
{
    const bool may_be_cut = index < prompt_template->last_field && is_longer_than_context(rendered);
    if (prompt_template->cut_field == SIZE_MAX) return is_first || may_be_cut;
    return may_be_cut && prompt_template->parts[index].field == prompt_template->cut_field;
}

static void set_context(struct loam_rendered *rendered)
{
    rendered->context_start = rendered->completion_start;
    rendered->context_end = rendered->text.size;
}

enum loam_status loam_template_render(const struct loam_template *prompt_template,
                                      const struct loam_field *fields, size_t field_count,
                                      const struct loam_special_tokens *special, bool prompt_only,
                                      struct loam_rendered *rendered, struct loam_error *error)
{
    loam_bytes_clear(&rendered->text);
    rendered->completion_start = rendered->context_start = rendered->context_end = 0;
    rendered->mark_count = 0;
    bool first = true;
    size_t end = prompt_only ? prompt_template->last_field : prompt_template->part_count;
    for (size_t i = 0; i < end; i++) {
        const struct part *part = &prompt_template->parts[i];
        switch (part->kind) {
        case PART_TEXT:
            LOAM_TRY(render_text(prompt_template->text + part->start, part->size, rendered, error));
            break;
        case PART_EOS:
            LOAM_TRY(render_eos(special, rendered, error));
            break;
        case PART_FIELD:
            LOAM_TRY(render_field(prompt_template->names[part->field], fields, field_count, rendered, error));
            if (is_context(prompt_template, i, first, rendered)) set_context(rendered);
            first = false;
            break;
        }
    }
    if (prompt_only) rendered->completion_start = rendered->text.size;
    return LOAM_OK;
}
