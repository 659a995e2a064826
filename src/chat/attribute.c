// Attributes, items, slices and undefined values, as jinja2's ImmutableSandboxedEnvironment resolves them.
#include "chat/run.h"

// ---- Undefined values ----

static enum loam_status make_undefined(struct chat_run *run, struct chat_undefined undefined,
                                       struct chat_value *result)
{
    struct chat_undefined *made = chat_pool_take(&run->pool, 1, sizeof *made, run->error);
    if (made == NULL) return loam_failure(run->error);
    *made = undefined;
    *result = (struct chat_value){.kind = CHAT_UNDEFINED, .as.undefined = made};
    return LOAM_OK;
}

enum loam_status chat_undefined_name(struct chat_run *run, const struct chat_string *name,
                                     struct chat_value *result)
{
    return make_undefined(run, (struct chat_undefined){.name = chat_from_string(name)}, result);
}

enum loam_status chat_undefined_hint(struct chat_run *run, const char *hint, struct chat_value *result)
{
    struct chat_value text;
    size_t size = strlen(hint) + 1;
    LOAM_TRY(chat_string_copy(&text, hint, size, CHAT_TEMPLATE_ORIGIN, &run->pool, run->error));
    return make_undefined(run, (struct chat_undefined){.hint = text.as.string->data}, result);
}

static enum loam_status undefined_of(struct chat_run *run, struct chat_value object, struct chat_value name,
                                     struct chat_value *result)
{
    return make_undefined(run, (struct chat_undefined){.of_object = true, .object = object, .name = name},
                          result);
}

enum loam_status chat_fail_undefined(struct chat_run *run, struct chat_value undefined)
{
    const struct chat_undefined *reason = undefined.as.undefined;
    if (reason->hint != NULL) return chat_fail(run, "%s", reason->hint);
    struct chat_text text;
    struct chat_value name;
    chat_text_init(&text, &run->pool, run->error);
    LOAM_TRY(chat_print_repr(run, &text, reason->name));
    LOAM_TRY(chat_text_finish(&text, &name));
    int size = (int)name.as.string->size;
    if (!reason->of_object) return chat_fail(run, "%.*s is undefined", size, name.as.string->data);
    bool none = reason->object.kind == CHAT_NONE, attribute = reason->name.kind == CHAT_STRING;
    const char *quote = attribute ? "'" : "", *type = none ? "None" : chat_type_name(reason->object);
    return chat_fail(run, "%s%s%s%s has no %s %.*s", quote, type, none ? "" : " object", quote,
                     attribute ? "attribute" : "element", size, name.as.string->data);
}

// ---- Items ----

// An index as Python counts it, from the end if negative. False: out of range.
static bool find_index(int64_t index, int64_t length, int64_t *found)
{
    *found = index < 0 ? index + length : index;
    return *found >= 0 && *found < length;
}

// value[key] where it exists.
static enum loam_status subscribe(struct chat_run *run, struct chat_value value, struct chat_value key,
                                  struct chat_value *result, bool *found)
{
    int64_t index;
    *found = false;
    switch ((enum chat_kind)value.kind) {
    case CHAT_DICT: {
        const struct chat_value *item = chat_dict_get(value.as.dict, key);
        *found = item != NULL;
        if (*found) *result = *item;
        return LOAM_OK;
    }
    case CHAT_STRING:
    case CHAT_LIST:
    case CHAT_TUPLE:
    case CHAT_RANGE:
        if (!chat_is_integer(key) || !find_index(chat_integer(key), chat_length(value), &index))
            return LOAM_OK;
        *found = true;
        LOAM_TRY(chat_sequence_item(run, value, index, result));
        if (value.kind == CHAT_STRING) result->markup = value.markup;
        return LOAM_OK;
    default:
        return LOAM_OK;
    }
}

// The attribute of a value's type, or of its own: what Python's getattr finds.
enum loam_status chat_own_attribute(struct chat_run *run, struct chat_value value,
                                    const struct chat_string *name, struct chat_value *result, bool *found)
{
    *found = false;
    if (value.kind == CHAT_NAMESPACE) {
        const struct chat_value *item = chat_dict_get(value.as.dict, chat_from_string(name));
        *found = item != NULL;
        if (*found) *result = *item;
        return LOAM_OK;
    }
    if (value.kind == CHAT_LOOP) LOAM_TRY(chat_loop_attribute(run, value.as.loop, name, result, found));
    return *found ? LOAM_OK : chat_type_attribute(run, value, name, result, found);
}

enum loam_status chat_attribute(struct chat_run *run, struct chat_value value, const struct chat_string *name,
                                struct chat_value *result)
{
    bool found;
    if (value.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, value);
    LOAM_TRY(chat_own_attribute(run, value, name, result, &found));
    if (!found) LOAM_TRY(subscribe(run, value, chat_from_string(name), result, &found));
    return found ? LOAM_OK : undefined_of(run, value, chat_from_string(name), result);
}

enum loam_status chat_item(struct chat_run *run, struct chat_value value, struct chat_value key,
                           struct chat_value *result)
{
    bool found;
    if (value.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, value);
    LOAM_TRY(subscribe(run, value, key, result, &found));
    if (!found && key.kind == CHAT_STRING)
        LOAM_TRY(chat_own_attribute(run, value, key.as.string, result, &found));
    return found ? LOAM_OK : undefined_of(run, value, key, result);
}

// One part of a path: a number where it is all digits.
static enum loam_status path_part(struct chat_run *run, const struct chat_string *path, size_t from,
                                  size_t to, struct chat_value *key)
{
    bool digits = to > from;
    for (size_t i = from; i < to; i++)
        digits = digits && path->data[i] >= '0' && path->data[i] <= '9';
    LOAM_TRY(chat_string_part(key, path, from, to, &run->pool, run->error));
    int64_t index;
    if (digits && chat_parse_integer(key->as.string, 10, &index)) *key = chat_int(index);
    return LOAM_OK;
}

enum loam_status chat_attribute_path(struct chat_run *run, struct chat_value value,
                                     struct chat_value attribute, struct chat_value *result)
{
    *result = value;
    if (attribute.kind == CHAT_MISSING || attribute.kind == CHAT_NONE) return LOAM_OK;
    if (attribute.kind != CHAT_STRING) return chat_item(run, value, attribute, result);
    const struct chat_string *path = attribute.as.string;
    for (size_t from = 0; from <= path->size;) {
        const char *dot = memchr(path->data + from, '.', path->size - from);
        size_t to = dot == NULL ? path->size : (size_t)(dot - path->data);
        struct chat_value key;
        LOAM_TRY(path_part(run, path, from, to, &key));
        LOAM_TRY(chat_item(run, *result, key, result));
        from = to + 1;
    }
    return LOAM_OK;
}

// ---- Slices ----

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

struct bounds {
    int64_t start, stop, step, count;
};

// Python's slice.indices, and the number of elements.
static enum loam_status slice_bounds(struct chat_run *run, const struct chat_value part[3], int64_t length,
                                     struct bounds *bounds)
{
    int64_t *start = &bounds->start, *step = &bounds->step;
    for (int i = 0; i < 3; i++)
        if (part[i].kind != CHAT_MISSING && part[i].kind != CHAT_NONE && !chat_is_integer(part[i]))
            return chat_fail(run, "slice indices must be integers or None or have an __index__ method");
    int64_t stop;
    LOAM_TRY(chat_need_integer(run, part[2], 1, step));
    if (*step == 0) return chat_fail(run, "slice step cannot be zero");
    bool back = *step < 0;
    if (*step < -INT64_MAX) *step = -INT64_MAX;
    int64_t low = back ? -1 : 0, high = back ? length - 1 : length;
    LOAM_TRY(chat_need_integer(run, part[0], back ? INT64_MAX : 0, start));
    LOAM_TRY(chat_need_integer(run, part[1], back ? INT64_MIN : INT64_MAX, &stop));
    if (*start < 0) *start = *start < -length ? low : *start + length;
    bool to_start = back && (part[1].kind == CHAT_MISSING || part[1].kind == CHAT_NONE);
    if (to_start)
        stop = -1;
    else if (stop < 0)
        stop = stop < -length ? low : stop + length;
    *start = clamp(*start, low, high);
    bounds->stop = clamp(stop, low, high);
    int64_t distance = back ? *start - bounds->stop : bounds->stop - *start, size = back ? -*step : *step;
    bounds->count = distance <= 0 ? 0 : (distance - 1) / size + 1;
    return LOAM_OK;
}

static enum loam_status slice_string(struct chat_run *run, const struct chat_string *string,
                                     const struct bounds *bounds, struct chat_value *result)
{
    int64_t start = bounds->start, step = bounds->step, count = bounds->count;
    if (step == 1 || count <= 0) {
        size_t from = chat_string_byte(string, (size_t)(count <= 0 ? 0 : start));
        size_t to = count <= 0 ? from : chat_string_byte(string, (size_t)(start + count));
        return chat_string_part(result, string, from, to, &run->pool, run->error);
    }
    struct chat_text text;
    chat_text_init(&text, &run->pool, run->error);
    size_t byte = chat_string_byte(string, (size_t)start);
    for (int64_t i = 0; i < count; i++) {
        LOAM_TRY(chat_text_append_part(&text, string, byte, byte + loam_utf8_length(string->data[byte]), 0));
        if (i + 1 == count) break;
        for (int64_t k = 0; k < step; k++)
            byte += loam_utf8_length(string->data[byte]);
        for (int64_t k = 0; k > step; k--)
            byte -= loam_utf8_last(string->data, byte);
    }
    return chat_text_finish(&text, result);
}

static enum loam_status slice_range(struct chat_run *run, const struct chat_range *range,
                                    const struct bounds *bounds, struct chat_value *result)
{
    struct chat_range *made = chat_pool_take(&run->pool, 1, sizeof *made, run->error);
    if (made == NULL) return loam_failure(run->error);
    made->start = range->start + bounds->start * range->step;
    made->stop = range->start + bounds->stop * range->step;
    made->count = bounds->count;
    if (__builtin_mul_overflow(range->step, bounds->step, &made->step))
        return loam_fail(run->error, LOAM_ERROR_UNSUPPORTED, "an integer has more than 64 bits");
    *result = (struct chat_value){.kind = CHAT_RANGE, .as.range = made};
    return LOAM_OK;
}

enum loam_status chat_slice(struct chat_run *run, struct chat_value value, const struct chat_value part[3],
                            struct chat_value *result)
{
    struct bounds bounds = {.step = 1};
    if (value.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, value);
    if (value.kind == CHAT_DICT) return chat_fail(run, "unhashable type: 'slice'");
    if (value.kind != CHAT_STRING && !chat_is_list(value) && value.kind != CHAT_RANGE)
        return chat_fail(run, "'%s' object is not subscriptable", chat_type_name(value));
    LOAM_TRY(slice_bounds(run, part, chat_length(value), &bounds));
    if (value.kind == CHAT_RANGE) return slice_range(run, value.as.range, &bounds, result);
    if (value.kind == CHAT_STRING) {
        LOAM_TRY(slice_string(run, value.as.string, &bounds, result));
        result->markup = value.markup;
        return LOAM_OK;
    }
    struct chat_value *items;
    LOAM_TRY(chat_list_create(result, (enum chat_kind)value.kind, (size_t)bounds.count, &items, &run->pool,
                              run->error));
    for (int64_t i = 0; i < bounds.count; i++)
        items[i] = value.as.list->items[bounds.start + i * bounds.step];
    result->origin = value.origin;
    return LOAM_OK;
}
