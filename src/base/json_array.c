#include "base/json_array.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

struct array {
    loam_json_element_handler *handler;
    void *user;
    size_t shift;      // bytes of the document before the parsed text
    int depth;         // number of open objects and arrays
    int inside;        // depth at which an element begins; 0: outside of the array
    bool data_follows; // the last key of the outermost object is "data"
    struct loam_json_element element;
};

static enum loam_status pass_element(struct array *array, size_t end, struct loam_error *error)
{
    array->element.size = end - array->element.start;
    return array->handler(array->user, &array->element, error);
}

static enum loam_status on_event(void *user, const struct loam_json_event *event, struct loam_error *error)
{
    struct array *array = user;
    bool opens = event->kind == LOAM_JSON_OBJECT || event->kind == LOAM_JSON_ARRAY;
    bool closes = event->kind == LOAM_JSON_END;
    size_t end = array->shift + event->at;
    bool element = array->inside > 0 && array->depth == array->inside;
    if (closes) array->depth--;
    if (element && !closes) {
        // A scalar is passed on as its last byte alone: the handler expects an object and refuses it.
        array->element = (struct loam_json_element){.start = end - 1, .line = event->line};
        if (!opens) LOAM_TRY(pass_element(array, end, error));
    } else if (closes && array->inside > 0) {
        if (array->depth == array->inside) LOAM_TRY(pass_element(array, end, error));
        if (array->depth < array->inside) array->inside = 0;
    }
    bool outermost = array->depth == 0 || (array->depth == 1 && array->data_follows);
    if (event->kind == LOAM_JSON_ARRAY && array->inside == 0 && outermost) array->inside = array->depth + 1;
    if (event->kind == LOAM_JSON_KEY && array->depth == 1)
        array->data_follows = event->size == 4 && memcmp(event->text, "data", 4) == 0;
    if (opens) array->depth++;
    return LOAM_OK;
}

enum loam_status loam_json_array_parse(const char *data, size_t size, const char *name,
                                       loam_json_element_handler *handler, void *user,
                                       struct loam_error *error)
{
    size_t mark = loam_byte_order_mark(data, size);
    struct array array = {.handler = handler, .user = user, .shift = mark};
    return loam_json_stream_parse(data + mark, size - mark, name, 1, on_event, &array, error);
}
