#include <stdlib.h>

#include <utf8proc.h>

#include "text/grow.h"
#include "text/steps.h"

// Unicode normalisation (UAX #15) that keeps track of where each character came from. utf8proc
// knows the characters; it does not say which characters of its input one of its output is made of,
// so the composing is done here.

enum { HELD = 32 }; // code points of the longest decomposition of one character (18), and some room

// A character of the output. `change` tells its origin: 0 replaces the next character of the input, -n
// replaces it and takes n more with it, 1 is added beside the one before.
struct mapped {
    int32_t code_point;
    int change;
    int combining_class;
};

struct mapped_list {
    struct mapped *items; // [count]
    size_t count;
    size_t capacity;
};

static int combining_class(int32_t code_point)
{
    return utf8proc_get_property(code_point)->combining_class;
}

static enum loam_status append(struct mapped_list *list, struct mapped item, struct loam_error *error)
{
    if (list->count == list->capacity) {
        struct mapped *grown = loam_grow(list->items, &list->capacity, list->count + 1, sizeof *grown, error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        list->items = grown;
    }
    list->items[list->count++] = item;
    return LOAM_OK;
}

static enum loam_status decompose_character(struct mapped_list *list, int32_t code_point, bool compatibility,
                                            struct loam_error *error)
{
    utf8proc_int32_t parts[HELD];
    utf8proc_option_t options = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE;
    if (compatibility) options = options | UTF8PROC_COMPAT;
    int boundary = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(code_point, parts, HELD, options, &boundary);
    if (count < 0 || count > HELD)
        return loam_fail(error, LOAM_ERROR_INTERNAL, "U+%04X does not decompose", (unsigned)code_point);
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        struct mapped part = {parts[i], i == 0 ? 0 : 1, combining_class(parts[i])};
        LOAM_TRY(append(list, part, error));
    }
    return LOAM_OK;
}

// Sorts a run of marks by combining class, keeping the order within a class: by insertion where the run is
// short, as all are in honest text, else by counting.
static enum loam_status order_run(struct mapped *run, size_t count, struct loam_error *error)
{
    if (count <= HELD) {
        for (size_t i = 1; i < count; i++) {
            struct mapped moved = run[i];
            size_t at = i;
            for (; at > 0 && run[at - 1].combining_class > moved.combining_class; at--)
                run[at] = run[at - 1];
            run[at] = moved;
        }
        return LOAM_OK;
    }
    size_t capacity = 0;
    struct mapped *sorted = loam_grow(NULL, &capacity, count, sizeof *sorted, error);
    if (sorted == NULL) return LOAM_ERROR_MEMORY;
    size_t places[257] = {0};
    for (size_t i = 0; i < count; i++)
        places[run[i].combining_class + 1]++;
    for (size_t i = 1; i < 257; i++)
        places[i] += places[i - 1];
    for (size_t i = 0; i < count; i++)
        sorted[places[run[i].combining_class]++] = run[i];
    for (size_t i = 0; i < count; i++)
        run[i] = sorted[i];
    free(sorted);
    return LOAM_OK;
}

static enum loam_status order_marks(struct mapped_list *list, struct loam_error *error)
{
    for (size_t start = 0; start < list->count;) {
        size_t end = start;
        while (end < list->count && list->items[end].combining_class != 0)
            end++;
        if (end - start > 1) LOAM_TRY(order_run(list->items + start, end - start, error));
        start = end + 1;
    }
    return LOAM_OK;
}

// The primary composite of two characters, -1: there is none.
static int32_t compose_pair(int32_t first, int32_t second)
{
    utf8proc_int32_t pair[2] = {first, second};
    utf8proc_ssize_t length = utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    return length == 1 ? pair[0] : -1;
}

// Composes in place: each starter takes the marks after it that nothing blocks.
static void compose(struct mapped_list *list)
{
    struct mapped *items = list->items;
    size_t kept = 0;
    size_t starter = SIZE_MAX; // place in items[0, kept)
    int last_class = -1;       // of the last mark kept since the starter, -1: none
    for (size_t i = 0; i < list->count; i++) {
        struct mapped item = items[i];
        if (starter != SIZE_MAX && last_class < item.combining_class) {
            int32_t composite = compose_pair(items[starter].code_point, item.code_point);
            if (composite >= 0) {
                items[starter].code_point = composite;
                items[starter].change += item.change - 1;
                continue;
            }
        }
        if (item.combining_class == 0) {
            starter = kept;
            last_class = -1;
        } else {
            last_class = item.combining_class;
        }
        items[kept++] = item;
    }
    list->count = kept;
}

// Bytes of the next `count` characters of [at, end).
static size_t characters_size(const char *bytes, size_t at, size_t end, int count)
{
    size_t start = at;
    for (int i = 0; i < count && at < end; i++)
        at += loam_utf8_length(bytes[at]);
    return at - start;
}

// Of a character that is added at `at`: that of the one before it, or nothing at the very start.
static struct loam_origin origin_after(const struct loam_source_text *text, size_t start, size_t at)
{
    if (at > start) return loam_source_origin(text, at - 1);
    uint32_t first = loam_source_origin(text, start).start;
    return (struct loam_origin){first, first};
}

static enum loam_status write_mapped(const struct mapped_list *list, struct loam_pieces *pieces, size_t start,
                                     size_t end, struct loam_error *error)
{
    const struct loam_source_text *text = &pieces->text;
    size_t at = start;
    for (size_t i = 0; i < list->count; i++) {
        struct mapped item = list->items[i];
        struct loam_origin origin;
        if (item.change > 0)
            origin = origin_after(text, start, at);
        else
            origin = loam_source_origin(text, at < end ? at : end - 1);
        if (item.change <= 0) at += characters_size(pieces->text.bytes, at, end, 1 - item.change);
        char bytes[LOAM_UTF8_MAX];
        LOAM_TRY(loam_pieces_put(pieces, bytes, loam_utf8_encode(item.code_point, bytes), origin, error));
    }
    return LOAM_OK;
}

static enum loam_status normalize(const struct loam_step *step, struct loam_pieces *pieces, size_t start,
                                  size_t end, struct mapped_list *list, struct loam_error *error)
{
    for (size_t at = start; at < end;) {
        size_t length;
        int32_t code_point = loam_utf8_decode(pieces->text.bytes + at, &length);
        LOAM_TRY(decompose_character(list, code_point, step->compatibility, error));
        at += length;
    }
    LOAM_TRY(order_marks(list, error));
    if (step->compose) compose(list);
    return write_mapped(list, pieces, start, end, error);
}

enum loam_status loam_rewrite_normal_form(const struct loam_step *step, struct loam_pieces *pieces,
                                          size_t start, size_t end, struct loam_matcher *matcher,
                                          struct loam_error *error)
{
    (void)matcher;
    size_t ascii = start;
    while (ascii < end && (unsigned char)pieces->text.bytes[ascii] < 0x80)
        ascii++;
    if (ascii == end) return loam_pieces_keep(pieces, start, end, error);
    struct mapped_list list = {0};
    enum loam_status status = normalize(step, pieces, start, end, &list, error);
    free(list.items);
    return status;
}
