#include "run/markdown.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

static size_t count_longest_run(const char *text, char mark)
{
    size_t longest = 0;
    for (size_t run = 0; *text != '\0'; text++) {
        run = *text == mark ? run + 1 : 0;
        if (run > longest) longest = run;
    }
    return longest;
}

// Escapes "|", which ends a table cell even within code.
static enum loam_status append_cell(struct loam_bytes *out, const char *text, struct loam_error *error)
{
    for (; *text != '\0'; text++) {
        if (*text == '|') LOAM_TRY(loam_bytes_append_text(out, "\\", error));
        LOAM_TRY(loam_bytes_append(out, text, 1, error));
    }
    return LOAM_OK;
}

// Appends a span with one more backtick at each end than the longest run in the text. Markdown drops the
// blanks, which separate these backticks from those in the text.
static enum loam_status append_span(struct loam_bytes *out, const char *text, bool in_table,
                                    struct loam_error *error)
{
    size_t ticks = count_longest_run(text, '`') + 1;
    const char *blank = ticks > 1 || text[0] == '\0' ? " " : "";
    for (size_t i = 0; i < ticks; i++)
        LOAM_TRY(loam_bytes_append_text(out, "`", error));
    LOAM_TRY(loam_bytes_append_text(out, blank, error));
    LOAM_TRY(in_table ? append_cell(out, text, error) : loam_bytes_append_text(out, text, error));
    LOAM_TRY(loam_bytes_append_text(out, blank, error));
    for (size_t i = 0; i < ticks; i++)
        LOAM_TRY(loam_bytes_append_text(out, "`", error));
    return LOAM_OK;
}

enum loam_status loam_markdown_code(struct loam_bytes *out, const char *text, bool in_table,
                                    struct loam_error *error)
{
    char *line = loam_strdup(text, error);
    if (line == NULL) return LOAM_ERROR_MEMORY;
    loam_flatten(line);
    enum loam_status status = append_span(out, line, in_table, error);
    free(line);
    return status;
}
