// Python's operators.
#include <math.h>

#include "chat/run.h"

static const char *operator_text(enum chat_operator operator)
{
    static const char *const texts[] = {
        [CHAT_ADD] = "+",
        [CHAT_SUBTRACT] = "-",
        [CHAT_MULTIPLY] = "*",
        [CHAT_DIVIDE] = "/",
        [CHAT_FLOOR_DIVIDE] = "//",
        [CHAT_MODULO] = "%",
        [CHAT_POWER] = "** or pow()",
        [CHAT_EQUAL] = "==",
        [CHAT_UNEQUAL] = "!=",
        [CHAT_LESS] = "<",
        [CHAT_LESS_EQUAL] = "<=",
        [CHAT_GREATER] = ">",
        [CHAT_GREATER_EQUAL] = ">=",
        [CHAT_IN] = "in",
        [CHAT_NOT_IN] = "not in",
    };
    return texts[operator];
}

static enum loam_status fail_types(struct chat_run *run, enum chat_operator operator, struct chat_value left,
                                   struct chat_value right)
{
    return chat_fail(run, "unsupported operand type(s) for %s: '%s' and '%s'", operator_text(operator),
                     chat_type_name(left), chat_type_name(right));
}

static enum loam_status fail_range(struct chat_run *run)
{
    return loam_fail(run->error, LOAM_ERROR_UNSUPPORTED, "an integer has more than 64 bits");
}

// ---- Numbers ----

static enum loam_status integer_power(struct chat_run *run, int64_t base, int64_t exponent,
                                      struct chat_value *result)
{
    int64_t power = 1;
    if (exponent < 0) {
        if (base == 0) return chat_fail(run, "0.0 cannot be raised to a negative power");
        *result = chat_float(pow((double)base, (double)exponent));
        return LOAM_OK;
    }
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) && __builtin_mul_overflow(power, base, &power)) return fail_range(run);
        if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) return fail_range(run);
    }
    *result = chat_int(power);
    return LOAM_OK;
}

// Python rounds quotients down and gives remainders the sign of the divisor.
static enum loam_status integer_divide(struct chat_run *run, enum chat_operator operator, int64_t left,
                                       int64_t right, struct chat_value *result)
{
    if (right == 0)
        return chat_fail(run, operator== CHAT_DIVIDE ? "division by zero"
                                                     : "integer division or modulo by zero");
    if (operator== CHAT_DIVIDE) {
        *result = chat_float((double)left / (double)right);
        return LOAM_OK;
    }
    if (right == -1) { // INT64_MIN / -1 has 65 bits
        if (operator== CHAT_MODULO) *result = chat_int(0);
        if (operator== CHAT_FLOOR_DIVIDE && left == INT64_MIN) return fail_range(run);
        if (operator== CHAT_FLOOR_DIVIDE) *result = chat_int(-left);
        return LOAM_OK;
    }
    int64_t quotient = left / right, rest = left % right;
    if (rest != 0 && (rest < 0) != (right < 0)) {
        quotient--;
        rest += right;
    }
    *result = chat_int(operator== CHAT_MODULO ? rest : quotient);
    return LOAM_OK;
}

static enum loam_status integer_binary(struct chat_run *run, enum chat_operator operator, int64_t left,
                                       int64_t right, struct chat_value *result)
{
    int64_t value = 0;
    bool overflow = false;
    switch (operator) {
    case CHAT_ADD:
        overflow = __builtin_add_overflow(left, right, &value);
        break;
    case CHAT_SUBTRACT:
        overflow = __builtin_sub_overflow(left, right, &value);
        break;
    case CHAT_MULTIPLY:
        overflow = __builtin_mul_overflow(left, right, &value);
        break;
    case CHAT_POWER:
        return integer_power(run, left, right, result);
    default:
        return integer_divide(run, operator, left, right, result);
    }
    *result = chat_int(value);
    return overflow ? fail_range(run) : LOAM_OK;
}

static double float_modulo(double left, double right)
{
    double rest = fmod(left, right);
    if (rest != 0) return (rest < 0) != (right < 0) ? rest + right : rest;
    return copysign(0.0, right);
}

static double float_floor_divide(double left, double right)
{
    double rest = fmod(left, right), quotient = (left - rest) / right;
    if (rest != 0 && (rest < 0) != (right < 0)) quotient -= 1;
    if (quotient == 0) return copysign(0.0, left / right);
    double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1 : whole;
}

static enum loam_status float_binary(struct chat_run *run, enum chat_operator operator, double left,
                                     double right, struct chat_value *result)
{
    bool divides = operator== CHAT_DIVIDE || operator== CHAT_FLOOR_DIVIDE || operator== CHAT_MODULO;
    if (divides && right == 0)
        return chat_fail(run, operator== CHAT_DIVIDE       ? "float division by zero" :
                              operator== CHAT_FLOOR_DIVIDE ? "float floor division by zero"
                                                           : "float modulo");
    double value = 0;
    switch (operator) {
    case CHAT_ADD:
        value = left + right;
        break;
    case CHAT_SUBTRACT:
        value = left - right;
        break;
    case CHAT_MULTIPLY:
        value = left * right;
        break;
    case CHAT_DIVIDE:
        value = left / right;
        break;
    case CHAT_FLOOR_DIVIDE:
        value = float_floor_divide(left, right);
        break;
    case CHAT_MODULO:
        value = float_modulo(left, right);
        break;
    default:
        if (left == 0 && right < 0) return chat_fail(run, "0.0 cannot be raised to a negative power");
        if (left < 0 && right != floor(right))
            return loam_fail(run->error, LOAM_ERROR_UNSUPPORTED, "a power has a complex result");
        value = pow(left, right);
        if (isinf(value) && isfinite(left) && isfinite(right))
            return chat_fail(run, "Numerical result out of range");
        break;
    }
    *result = chat_float(value);
    return LOAM_OK;
}

// ---- Strings and lists ----

static enum loam_status join_strings(struct chat_run *run, struct chat_value left, struct chat_value right,
                                     struct chat_value *result)
{
    struct chat_text text;
    bool markup = left.markup || right.markup;
    if (markup && !left.markup) LOAM_TRY(chat_escape(run, left, &left));
    if (markup && !right.markup) LOAM_TRY(chat_escape(run, right, &right));
    chat_text_init(&text, &run->pool, run->error);
    LOAM_TRY(chat_text_append_string(&text, left.as.string));
    LOAM_TRY(chat_text_append_string(&text, right.as.string));
    LOAM_TRY(chat_text_finish(&text, result));
    result->markup = markup;
    return LOAM_OK;
}

static enum loam_status join_lists(struct chat_run *run, struct chat_value left, struct chat_value right,
                                   struct chat_value *result)
{
    struct chat_value *items;
    size_t first = left.as.list->count, second = right.as.list->count;
    LOAM_TRY(
        chat_list_create(result, (enum chat_kind)left.kind, first + second, &items, &run->pool, run->error));
    if (first > 0) memcpy(items, left.as.list->items, first * sizeof *items);
    if (second > 0) memcpy(items + first, right.as.list->items, second * sizeof *items);
    return LOAM_OK;
}

static enum loam_status add(struct chat_run *run, struct chat_value left, struct chat_value right,
                            struct chat_value *result)
{
    if (left.kind == CHAT_STRING && right.kind == CHAT_STRING) return join_strings(run, left, right, result);
    if (chat_is_list(left) && left.kind == right.kind) return join_lists(run, left, right, result);
    if (left.kind == CHAT_STRING)
        return chat_fail(run, "can only concatenate str (not \"%s\") to str", chat_type_name(right));
    if (chat_is_list(left))
        return chat_fail(run, "can only concatenate %s (not \"%s\") to %s", chat_type_name(left),
                         chat_type_name(right), chat_type_name(left));
    return fail_types(run, CHAT_ADD, left, right);
}

static enum loam_status repeat_string(struct chat_run *run, struct chat_value string, int64_t count,
                                      struct chat_value *result)
{
    struct chat_text text;
    chat_text_init(&text, &run->pool, run->error);
    for (int64_t i = 0; i < count && string.as.string->size > 0; i++) {
        LOAM_TRY(chat_step(run));
        LOAM_TRY(chat_text_append_string(&text, string.as.string));
    }
    LOAM_TRY(chat_text_finish(&text, result));
    result->markup = string.markup;
    return LOAM_OK;
}

static enum loam_status multiply(struct chat_run *run, struct chat_value left, struct chat_value right,
                                 struct chat_value *result)
{
    struct chat_value sequence = chat_is_integer(left) ? right : left, *items;
    struct chat_value factor = chat_is_integer(left) ? left : right;
    if (!chat_is_integer(factor) || (sequence.kind != CHAT_STRING && !chat_is_list(sequence))) {
        if (left.kind != CHAT_STRING && !chat_is_list(left))
            return fail_types(run, CHAT_MULTIPLY, left, right);
        return chat_fail(run, "can't multiply sequence by non-int of type '%s'", chat_type_name(right));
    }
    int64_t times = chat_integer(factor) < 0 ? 0 : chat_integer(factor);
    if (sequence.kind == CHAT_STRING) return repeat_string(run, sequence, times, result);
    size_t count = sequence.as.list->count, total;
    if (__builtin_mul_overflow(count, (size_t)times, &total)) return chat_fail(run, "a list is too long");
    LOAM_TRY(chat_list_create(result, (enum chat_kind)sequence.kind, total, &items, &run->pool, run->error));
    for (size_t i = 0; i < total; i++)
        items[i] = sequence.as.list->items[i % count];
    return LOAM_OK;
}

enum loam_status chat_binary(struct chat_run *run, enum chat_operator operator, struct chat_value left,
                             struct chat_value right, struct chat_value *result)
{
    bool formats = operator== CHAT_MODULO && left.kind == CHAT_STRING;
    if (left.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, left);
    if (formats) return chat_format_percent(run, left, right, result);
    if (right.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, right);
    if (chat_is_integer(left) && chat_is_integer(right))
        return integer_binary(run, operator, chat_integer(left), chat_integer(right), result);
    if (chat_is_number(left) && chat_is_number(right))
        return float_binary(run, operator, chat_number(left), chat_number(right), result);
    if (operator== CHAT_ADD) return add(run, left, right, result);
    if (operator== CHAT_MULTIPLY) return multiply(run, left, right, result);
    return fail_types(run, operator, left, right);
}

enum loam_status chat_negate(struct chat_run *run, struct chat_value value, bool minus,
                             struct chat_value *result)
{
    if (value.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, value);
    if (!chat_is_number(value))
        return chat_fail(run, "bad operand type for unary %c: '%s'", minus ? '-' : '+',
                         chat_type_name(value));
    if (value.kind == CHAT_FLOAT) {
        *result = chat_float(minus ? -value.as.real : value.as.real);
        return LOAM_OK;
    }
    if (minus && chat_integer(value) == INT64_MIN) return fail_range(run);
    *result = chat_int(minus ? -chat_integer(value) : chat_integer(value));
    return LOAM_OK;
}

// ---- Comparison ----

static enum loam_status contains(struct chat_run *run, struct chat_value container, struct chat_value value,
                                 bool *holds)
{
    struct chat_iterator *iterator = NULL;
    struct chat_value item;
    bool ended = false;
    uint32_t hash;
    if (container.kind == CHAT_STRING) {
        if (value.kind != CHAT_STRING)
            return chat_fail(run, "'in <string>' requires string as left operand, not %s",
                             chat_type_name(value));
        *holds =
            chat_string_find(container.as.string, value.as.string, 0, container.as.string->size) != SIZE_MAX;
        return LOAM_OK;
    }
    if (container.kind == CHAT_DICT ||
        (container.kind == CHAT_VIEW && container.as.view->what == CHAT_KEYS)) {
        const struct chat_dict *dict =
            container.kind == CHAT_DICT ? container.as.dict : container.as.view->dict;
        if (!chat_hash(value, &hash)) return chat_fail(run, "unhashable type: '%s'", chat_type_name(value));
        *holds = chat_dict_get(dict, value) != NULL;
        return LOAM_OK;
    }
    if (!chat_is_iterable(container))
        return chat_fail(run, "argument of type '%s' is not iterable", chat_type_name(container));
    LOAM_TRY(chat_iterate(run, container, &iterator));
    for (*holds = false; !*holds;) {
        LOAM_TRY(chat_next(run, iterator, &item, &ended));
        if (ended) break;
        *holds = chat_equals(item, value, &run->steps);
    }
    return LOAM_OK;
}

enum loam_status chat_compare(struct chat_run *run, enum chat_operator operator, struct chat_value left,
                              struct chat_value right, bool *holds)
{
    if (operator== CHAT_EQUAL || operator== CHAT_UNEQUAL) {
        *holds = chat_equals(left, right, &run->steps) == (operator== CHAT_EQUAL);
        return chat_step(run);
    }
    if (operator== CHAT_IN || operator== CHAT_NOT_IN) {
        LOAM_TRY(contains(run, right, left, holds));
        *holds = *holds == (operator== CHAT_IN);
        return LOAM_OK;
    }
    if (left.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, left);
    if (right.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, right);
    int order = chat_order(left, right, &run->steps);
    if (order == CHAT_NO_ORDER)
        return chat_fail(run, "'%s' not supported between instances of '%s' and '%s'",
                         operator_text(operator), chat_type_name(left), chat_type_name(right));
    LOAM_TRY(chat_step(run));
    bool less = order < 0, equal = order == 0, greater = order == 1;
    *holds = (operator== CHAT_LESS && less) || (operator== CHAT_GREATER && greater) ||
             (operator== CHAT_LESS_EQUAL &&(less || equal)) ||
             (operator== CHAT_GREATER_EQUAL &&(greater || equal));
    return LOAM_OK;
}
