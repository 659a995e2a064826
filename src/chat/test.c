// The tests behind `is`.
#include "chat/filter.h"
#include "chat/method.h"

static enum loam_status answer(struct chat_value *result, bool holds)
{
    *result = chat_bool(holds);
    return LOAM_OK;
}

#define KIND_TEST(name, holds)                                                                               \
    static enum loam_status name(struct chat_run *run, const struct chat_call *call,                         \
                                 struct chat_value *result)                                                  \
    {                                                                                                        \
        const struct chat_value self = call->self;                                                           \
        (void)run;                                                                                           \
        return answer(result, holds);                                                                        \
    }
KIND_TEST(is_defined, self.kind != CHAT_UNDEFINED)
KIND_TEST(is_undefined, self.kind == CHAT_UNDEFINED)
KIND_TEST(is_none, self.kind == CHAT_NONE)
KIND_TEST(is_boolean, self.kind == CHAT_BOOL)
KIND_TEST(is_true, self.kind == CHAT_BOOL && self.as.truth)
KIND_TEST(is_false, self.kind == CHAT_BOOL && !self.as.truth)
KIND_TEST(is_integer, self.kind == CHAT_INT)
KIND_TEST(is_float, self.kind == CHAT_FLOAT)
KIND_TEST(is_number, chat_is_number(self))
KIND_TEST(is_string, self.kind == CHAT_STRING)
KIND_TEST(is_mapping, self.kind == CHAT_DICT)
KIND_TEST(is_iterable, chat_is_iterable(self))
KIND_TEST(is_sequence, chat_length(self) >= 0 && self.kind != CHAT_VIEW)
KIND_TEST(is_escaped, self.kind == CHAT_STRING && self.markup)
KIND_TEST(is_same, chat_is_same(self, call->values[0]))
KIND_TEST(is_filter, self.kind == CHAT_STRING && chat_filter_find(self.as.string) != NULL)
KIND_TEST(is_test, self.kind == CHAT_STRING && chat_test_find(self.as.string) != NULL)
KIND_TEST(is_callable, self.kind == CHAT_UNDEFINED || self.kind == CHAT_MACRO || self.kind == CHAT_METHOD ||
                           self.kind == CHAT_FUNCTION || self.kind == CHAT_LOOP || self.kind == CHAT_JOINER)

static enum loam_status test_remainder(struct chat_run *run, struct chat_value value,
                                       struct chat_value divisor, int64_t wanted, struct chat_value *result)
{
    struct chat_value rest;
    LOAM_TRY(chat_binary(run, CHAT_MODULO, value, divisor, &rest));
    return answer(result, chat_equals(rest, chat_int(wanted), &run->steps));
}

static enum loam_status is_odd(struct chat_run *run, const struct chat_call *call, struct chat_value *result)
{
    return test_remainder(run, call->self, chat_int(2), 1, result);
}
static enum loam_status is_even(struct chat_run *run, const struct chat_call *call, struct chat_value *result)
{
    return test_remainder(run, call->self, chat_int(2), 0, result);
}
static enum loam_status is_divisible(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return test_remainder(run, call->self, call->values[0], 0, result);
}

static enum loam_status test_case(struct chat_run *run, const struct chat_call *call, const char *method,
                                  struct chat_value *result)
{
    struct chat_call inner = {0};
    LOAM_TRY(chat_to_string(run, call->self, &inner.self));
    const struct chat_native *row = chat_string_methods;
    while (strcmp(row->name, method) != 0)
        row++;
    return row->function(run, &inner, result);
}

static enum loam_status is_lower(struct chat_run *run, const struct chat_call *call,
                                 struct chat_value *result)
{
    return test_case(run, call, "islower", result);
}
static enum loam_status is_upper(struct chat_run *run, const struct chat_call *call,
                                 struct chat_value *result)
{
    return test_case(run, call, "isupper", result);
}

static enum loam_status compare(struct chat_run *run, const struct chat_call *call,
                                enum chat_operator operator, struct chat_value * result)
{
    bool holds = false;
    LOAM_TRY(chat_compare(run, operator, call->self, call->values[0], &holds));
    return answer(result, holds);
}

#define COMPARISON_TEST(name, operator)                                                                      \
    static enum loam_status name(struct chat_run *run, const struct chat_call *call,                         \
                                 struct chat_value *result)                                                  \
    {                                                                                                        \
        return compare(run, call, operator, result);                                                         \
    }
COMPARISON_TEST(is_equal, CHAT_EQUAL)
COMPARISON_TEST(is_unequal, CHAT_UNEQUAL)
COMPARISON_TEST(is_less, CHAT_LESS)
COMPARISON_TEST(is_less_equal, CHAT_LESS_EQUAL)
COMPARISON_TEST(is_greater, CHAT_GREATER)
COMPARISON_TEST(is_greater_equal, CHAT_GREATER_EQUAL)
COMPARISON_TEST(is_in, CHAT_IN)

const struct chat_native chat_tests[] = {
    {"odd", "", 0, is_odd},
    {"even", "", 0, is_even},
    {"divisibleby", "num", 1, is_divisible},
    {"defined", "", 0, is_defined},
    {"undefined", "", 0, is_undefined},
    {"filter", "", 0, is_filter},
    {"test", "", 0, is_test},
    {"none", "", 0, is_none},
    {"boolean", "", 0, is_boolean},
    {"false", "", 0, is_false},
    {"true", "", 0, is_true},
    {"integer", "", 0, is_integer},
    {"float", "", 0, is_float},
    {"lower", "", 0, is_lower},
    {"upper", "", 0, is_upper},
    {"string", "", 0, is_string},
    {"mapping", "", 0, is_mapping},
    {"number", "", 0, is_number},
    {"sequence", "", 0, is_sequence},
    {"iterable", "", 0, is_iterable},
    {"callable", "", 0, is_callable},
    {"sameas", "other", 1, is_same},
    {"escaped", "", 0, is_escaped},
    {"in", "seq", 1, is_in},
    {"==", "other", 1, is_equal},
    {"eq", "other", 1, is_equal},
    {"equalto", "other", 1, is_equal},
    {"!=", "other", 1, is_unequal},
    {"ne", "other", 1, is_unequal},
    {">", "other", 1, is_greater},
    {"gt", "other", 1, is_greater},
    {"greaterthan", "other", 1, is_greater},
    {"ge", "other", 1, is_greater_equal},
    {">=", "other", 1, is_greater_equal},
    {"<", "other", 1, is_less},
    {"lt", "other", 1, is_less},
    {"lessthan", "other", 1, is_less},
    {"<=", "other", 1, is_less_equal},
    {"le", "other", 1, is_less_equal},
    {NULL, NULL, 0, NULL},
};
