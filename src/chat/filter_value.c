// Filters over single values, and the look-up of filters by name.
#include <math.h>
#include <stdlib.h>

#include "chat/filter.h"

static enum loam_status filter_default(struct chat_run *run, const struct chat_call *call,
                                       struct chat_value *result)
{
    bool replaces =
        call->self.kind == CHAT_UNDEFINED || (chat_is_true(call->values[1]) && !chat_is_true(call->self));
    *result = replaces ? call->values[0] : call->self;
    return result->kind == CHAT_MISSING ? chat_make_string(run, "", result) : LOAM_OK;
}

static enum loam_status filter_attr(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    const struct chat_string *name;
    bool found;
    LOAM_TRY(chat_need_string(run, call->values[0], &name));
    if (call->self.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, call->self);
    LOAM_TRY(chat_own_attribute(run, call->self, name, result, &found));
    return found ? LOAM_OK : chat_undefined_name(run, name, result);
}

static enum loam_status filter_abs(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    if (call->self.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, call->self);
    if (!chat_is_number(call->self))
        return chat_fail(run, "bad operand type for abs(): '%s'", chat_type_name(call->self));
    *result = chat_float(fabs(chat_number(call->self)));
    return call->self.kind == CHAT_FLOAT ? LOAM_OK
                                         : chat_negate(run, call->self, chat_integer(call->self) < 0, result);
}

// ---- Numbers ----

static enum loam_status truncate_float(struct chat_run *run, double real, struct chat_value fallback,
                                       struct chat_value *result)
{
    *result = fallback;
    if (isnan(real)) return LOAM_OK;
    if (!(real >= -9223372036854775808.0 && real < 9223372036854775808.0))
        return loam_fail(run->error, LOAM_ERROR_UNSUPPORTED, "an integer has more than 64 bits");
    *result = chat_int((int64_t)real);
    return LOAM_OK;
}

static enum loam_status filter_int(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    struct chat_value fallback = call->values[0].kind == CHAT_MISSING ? chat_int(0) : call->values[0];
    int64_t base, number;
    double real;
    LOAM_TRY(chat_need_integer(run, call->values[1], 10, &base));
    if (call->self.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, call->self);
    *result = fallback;
    if (chat_is_integer(call->self)) *result = chat_int(chat_integer(call->self));
    if (call->self.kind == CHAT_FLOAT && isinf(call->self.as.real))
        return chat_fail(run, "cannot convert float infinity to integer");
    if (call->self.kind == CHAT_FLOAT) return truncate_float(run, call->self.as.real, fallback, result);
    if (call->self.kind != CHAT_STRING) return LOAM_OK;
    if (base >= 0 && base <= 36 && chat_parse_integer(call->self.as.string, (int)base, &number)) {
        *result = chat_int(number);
        return LOAM_OK;
    }
    if (!chat_parse_float(call->self.as.string, &real) || isinf(real)) return LOAM_OK;
    return truncate_float(run, real, fallback, result);
}

static enum loam_status filter_float(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    double real;
    if (call->self.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, call->self);
    *result = call->values[0].kind == CHAT_MISSING ? chat_float(0) : call->values[0];
    if (chat_is_number(call->self)) *result = chat_float(chat_number(call->self));
    if (call->self.kind == CHAT_STRING && chat_parse_float(call->self.as.string, &real))
        *result = chat_float(real);
    return LOAM_OK;
}

// Python's round(): half to even, of the exact value.
static double round_common(double value, int64_t precision)
{
    char text[512];
    if (!isfinite(value) || precision > 300) return value;
    if (precision < 0) {
        double unit = pow(10, (double)-precision);
        return nearbyint(value / unit) * unit;
    }
    snprintf(text, sizeof text, "%.*f", (int)precision, value);
    return strtod(text, NULL); // in the locale that printed it
}

static enum loam_status filter_round(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    struct chat_value method = call->values[1];
    int64_t precision;
    bool common = method.kind == CHAT_MISSING ||
                  (method.kind == CHAT_STRING && chat_string_is(method.as.string, "common"));
    bool ceiling = method.kind == CHAT_STRING && chat_string_is(method.as.string, "ceil");
    if (!common && !ceiling && !(method.kind == CHAT_STRING && chat_string_is(method.as.string, "floor")))
        return chat_fail(run, "method must be common, ceil or floor");
    LOAM_TRY(chat_need_integer(run, call->values[0], 0, &precision));
    if (call->self.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, call->self);
    if (!chat_is_number(call->self))
        return chat_fail(run, "type %s doesn't define __round__ method", chat_type_name(call->self));
    *result = chat_int(chat_is_integer(call->self) ? chat_integer(call->self) : 0);
    if (common && chat_is_integer(call->self) && precision >= 0) return LOAM_OK;
    double value = chat_number(call->self), unit = pow(10, (double)precision);
    *result =
        chat_float(common ? round_common(value, precision) : (ceiling ? ceil : floor)(value * unit) / unit);
    if (common && chat_is_integer(call->self)) return truncate_float(run, result->as.real, *result, result);
    return LOAM_OK;
}

static enum loam_status filter_filesizeformat(struct chat_run *run, const struct chat_call *call,
                                              struct chat_value *result)
{
    static const char prefixes[] = "kMGTPEZY";
    bool binary = chat_is_true(call->values[0]);
    double base = binary ? 1024 : 1000, bytes;
    char text[64];
    if (call->self.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, call->self);
    if (chat_is_number(call->self))
        bytes = chat_number(call->self);
    else if (call->self.kind != CHAT_STRING || !chat_parse_float(call->self.as.string, &bytes))
        return chat_fail(run, "filesizeformat expects a number");
    if (bytes == 1) return chat_make_string(run, "1 Byte", result);
    if (bytes < base) {
        snprintf(text, sizeof text, "%lld Bytes", (long long)bytes);
        return chat_make_string(run, text, result);
    }
    double unit = base;
    int i = 0;
    for (; i < 7 && bytes >= unit * base; i++)
        unit *= base;
    snprintf(text, sizeof text, "%.1f %c%sB", bytes / unit, binary && i == 0 ? 'K' : prefixes[i],
             binary ? "i" : "");
    return chat_make_string(run, text, result);
}

const struct chat_native chat_value_filters[] = {
    {"abs", "", 0, filter_abs},
    {"attr", "name", 1, filter_attr},
    {"d", "default_value boolean", 0, filter_default},
    {"default", "default_value boolean", 0, filter_default},
    {"filesizeformat", "binary", 0, filter_filesizeformat},
    {"float", "default", 0, filter_float},
    {"int", "default base", 0, filter_int},
    {"pprint", "*", 0, NULL},
    {"round", "precision method", 0, filter_round},
    {NULL, NULL, 0, NULL},
};

// ---- By name ----

static const struct chat_native *find_in(const struct chat_native *rows, const struct chat_string *name)
{
    for (; rows->name != NULL; rows++)
        if (chat_string_is(name, rows->name)) return rows;
    return NULL;
}

const struct chat_native *chat_filter_find(const struct chat_string *name)
{
    static const struct chat_native *const tables[] = {chat_text_filters, chat_sequence_filters,
                                                       chat_order_filters, chat_value_filters};
    const struct chat_native *found = NULL;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && found == NULL; i++)
        found = find_in(tables[i], name);
    return found;
}

const struct chat_native *chat_test_find(const struct chat_string *name)
{
    return find_in(chat_tests, name);
}
