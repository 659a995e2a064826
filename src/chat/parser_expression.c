// Expressions, with the precedence of jinja2.
#include <string.h>

#include "chat/parser.h"
#include "chat/text.h"

// A node whose text begins with that of `first`.
static struct chat_node *create_behind(const struct chat_parser *parser, enum chat_node_type type,
                                       struct chat_node *first)
{
    struct chat_node *node = chat_parser_create(parser, type, parser->before);
    if (node == NULL) return NULL;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a parser that returns LOAM_OK has set its node.
    node->start = first->start;
    node->line = first->line;
    node->first = first;
    return node;
}

// ---- Arguments ----

static bool at_keyword(const struct chat_parser *parser)
{
    return parser->token->type == CHAT_TOKEN_NAME && parser->token[1].type == CHAT_TOKEN_OPERATOR &&
           strcmp(parser->token[1].text, "=") == 0;
}

static enum loam_status parse_keyword(struct chat_parser *parser, struct chat_node *node)
{
    struct chat_node *keyword = chat_parser_create(parser, CHAT_KEYWORD_NODE, parser->token);
    if (keyword == NULL) return loam_failure(parser->error);
    keyword->name = parser->token->value.as.string;
    chat_parser_take(parser);
    chat_parser_take(parser);
    LOAM_TRY(chat_parse_expression(parser, true, &keyword->first));
    LOAM_TRY(chat_parser_finish(parser, keyword, &keyword));
    return chat_parser_push(parser, &node->keywords, keyword);
}

static enum loam_status parse_argument(struct chat_parser *parser, struct chat_node *node)
{
    bool valid = node->more_named == NULL;
    struct chat_node *value;
    if (chat_parser_take_operator(parser, "*")) {
        valid = valid && node->more == NULL;
        LOAM_TRY(chat_parse_expression(parser, true, &node->more));
    } else if (chat_parser_take_operator(parser, "**")) {
        LOAM_TRY(chat_parse_expression(parser, true, &node->more_named));
    } else if (at_keyword(parser)) {
        LOAM_TRY(parse_keyword(parser, node));
    } else {
        valid = valid && node->more == NULL && node->keywords.count == 0;
        LOAM_TRY(chat_parse_expression(parser, true, &value));
        LOAM_TRY(chat_parser_push(parser, &node->items, value));
    }
    return valid ? LOAM_OK
                 : chat_parser_fail(parser, LOAM_ERROR_FORMAT, "invalid syntax for function call expression");
}

static enum loam_status parse_arguments(struct chat_parser *parser, struct chat_node *node)
{
    LOAM_TRY(chat_parser_expect_operator(parser, "("));
    bool more = false;
    while (!chat_parser_at_operator(parser, ")")) {
        if (more) LOAM_TRY(chat_parser_expect_operator(parser, ","));
        if (more && chat_parser_at_operator(parser, ")")) break;
        LOAM_TRY(parse_argument(parser, node));
        more = true;
    }
    return chat_parser_expect_operator(parser, ")");
}

// ---- Behind an expression: attributes, items, calls, filters, tests ----

static enum loam_status parse_slice_part(struct chat_parser *parser, struct chat_node **part)
{
    bool absent = chat_parser_at_operator(parser, ":") || chat_parser_at_operator(parser, "]") ||
                  chat_parser_at_operator(parser, ",");
    return absent ? LOAM_OK : chat_parse_expression(parser, true, part);
}

// An index or a slice.
static enum loam_status parse_subscript(struct chat_parser *parser, struct chat_node **out)
{
    struct chat_node *start = NULL;
    const struct chat_token *first = parser->token;
    if (!chat_parser_at_operator(parser, ":")) LOAM_TRY(chat_parse_expression(parser, true, &start));
    *out = start;
    if (!chat_parser_take_operator(parser, ":")) return LOAM_OK;
    struct chat_node *slice = chat_parser_create(parser, CHAT_SLICE_NODE, first);
    if (slice == NULL) return loam_failure(parser->error);
    slice->first = start;
    LOAM_TRY(parse_slice_part(parser, &slice->second));
    if (chat_parser_take_operator(parser, ":")) LOAM_TRY(parse_slice_part(parser, &slice->third));
    return chat_parser_finish(parser, slice, out);
}

static enum loam_status parse_items(struct chat_parser *parser, struct chat_node *node)
{
    struct chat_node *tuple = chat_parser_create(parser, CHAT_TUPLE_NODE, parser->token), *item = NULL;
    if (tuple == NULL) return loam_failure(parser->error);
    while (!chat_parser_at_operator(parser, "]")) {
        if (tuple->items.count > 0) LOAM_TRY(chat_parser_expect_operator(parser, ","));
        LOAM_TRY(parse_subscript(parser, &item));
        LOAM_TRY(chat_parser_push(parser, &tuple->items, item));
    }
    LOAM_TRY(chat_parser_finish(parser, tuple, &tuple));
    node->second = tuple->items.count == 1 ? tuple->items.items[0] : tuple;
    return chat_parser_expect_operator(parser, "]");
}

static enum loam_status parse_member(struct chat_parser *parser, struct chat_node *node)
{
    const struct chat_token *token = parser->token;
    if (token->type == CHAT_TOKEN_NAME) {
        node->type = CHAT_ATTRIBUTE_NODE;
        node->name = token->value.as.string;
    } else if (token->type == CHAT_TOKEN_NUMBER && token->value.kind == CHAT_INT) {
        node->second = chat_parser_create(parser, CHAT_CONST_NODE, token);
        if (node->second == NULL) return loam_failure(parser->error);
        node->second->value = token->value;
    } else {
        return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "expected name or number");
    }
    chat_parser_take(parser);
    return LOAM_OK;
}

static enum loam_status parse_call(struct chat_parser *parser, struct chat_node **node)
{
    struct chat_node *call = create_behind(parser, CHAT_CALL_NODE, *node);
    if (call == NULL) return loam_failure(parser->error);
    LOAM_TRY(parse_arguments(parser, call));
    return chat_parser_finish(parser, call, node);
}

static enum loam_status parse_postfix(struct chat_parser *parser, struct chat_node **node)
{
    for (;;) {
        if (chat_parser_at_operator(parser, "(")) {
            LOAM_TRY(parse_call(parser, node));
            continue;
        }
        bool dot = chat_parser_at_operator(parser, ".");
        if (!dot && !chat_parser_at_operator(parser, "[")) return LOAM_OK;
        struct chat_node *item = create_behind(parser, CHAT_ITEM_NODE, *node);
        if (item == NULL) return loam_failure(parser->error);
        chat_parser_take(parser);
        LOAM_TRY(dot ? parse_member(parser, item) : parse_items(parser, item));
        LOAM_TRY(chat_parser_finish(parser, item, node));
    }
}

// The name of a filter or test, which may have dots.
static enum loam_status parse_dotted_name(struct chat_parser *parser, const struct chat_string **name)
{
    const struct chat_string *part;
    struct chat_text text;
    struct chat_value whole;
    LOAM_TRY(chat_parser_expect_name(parser, name));
    if (!chat_parser_at_operator(parser, ".")) return LOAM_OK;
    chat_text_init(&text, parser->pool, parser->error);
    LOAM_TRY(chat_text_append_string(&text, *name));
    while (chat_parser_take_operator(parser, ".")) {
        LOAM_TRY(chat_parser_expect_name(parser, &part));
        LOAM_TRY(chat_text_append_words(&text, ".", CHAT_TEMPLATE_ORIGIN));
        LOAM_TRY(chat_text_append_string(&text, part));
    }
    LOAM_TRY(chat_text_finish(&text, &whole));
    *name = whole.as.string;
    return LOAM_OK;
}

enum loam_status chat_parse_filters(struct chat_parser *parser, struct chat_node *first, bool inline_start,
                                    struct chat_node **out)
{
    *out = first;
    while (inline_start || chat_parser_take_operator(parser, "|")) {
        struct chat_node *filter = first == NULL ? chat_parser_create(parser, CHAT_FILTER_NODE, parser->token)
                                                 : create_behind(parser, CHAT_FILTER_NODE, first);
        if (filter == NULL) return loam_failure(parser->error);
        LOAM_TRY(parse_dotted_name(parser, &filter->name));
        if (chat_parser_at_operator(parser, "(")) LOAM_TRY(parse_arguments(parser, filter));
        LOAM_TRY(chat_parser_finish(parser, filter, &first));
        *out = first;
        inline_start = false;
    }
    return LOAM_OK;
}

static enum loam_status parse_primary(struct chat_parser *parser, bool member, struct chat_node **out);

// The argument of a test that has no parentheses, as in `x is divisibleby 3`.
static enum loam_status parse_test_argument(struct chat_parser *parser, struct chat_node *test)
{
    enum chat_token_type type = parser->token->type;
    bool begins = type == CHAT_TOKEN_NAME || type == CHAT_TOKEN_STRING || type == CHAT_TOKEN_NUMBER ||
                  chat_parser_at_operator(parser, "[") || chat_parser_at_operator(parser, "{");
    if (!begins || chat_parser_at_name(parser, "else") || chat_parser_at_name(parser, "or") ||
        chat_parser_at_name(parser, "and"))
        return LOAM_OK;
    if (chat_parser_at_name(parser, "is"))
        return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "You cannot chain multiple tests with is");
    struct chat_node *argument;
    LOAM_TRY(parse_primary(parser, false, &argument));
    LOAM_TRY(parse_postfix(parser, &argument));
    return chat_parser_push(parser, &test->items, argument);
}

static enum loam_status parse_test(struct chat_parser *parser, struct chat_node **node)
{
    struct chat_node *test = create_behind(parser, CHAT_TEST_NODE, *node);
    if (test == NULL) return loam_failure(parser->error);
    chat_parser_take(parser); // is
    bool negated = chat_parser_take_name(parser, "not");
    LOAM_TRY(parse_dotted_name(parser, &test->name));
    if (chat_parser_at_operator(parser, "("))
        LOAM_TRY(parse_arguments(parser, test));
    else
        LOAM_TRY(parse_test_argument(parser, test));
    LOAM_TRY(chat_parser_finish(parser, test, node));
    if (!negated) return LOAM_OK;
    struct chat_node *not = create_behind(parser, CHAT_NOT_NODE, test);
    return not == NULL ? loam_failure(parser->error) : chat_parser_finish(parser, not, node);
}

static enum loam_status parse_filters_and_tests(struct chat_parser *parser, struct chat_node **node)
{
    for (;;) {
        if (chat_parser_at_operator(parser, "|"))
            LOAM_TRY(chat_parse_filters(parser, *node, false, node));
        else if (chat_parser_at_name(parser, "is"))
            LOAM_TRY(parse_test(parser, node));
        else if (chat_parser_at_operator(parser, "("))
            LOAM_TRY(parse_call(parser, node));
        else
            return LOAM_OK;
    }
}

// ---- Literals and names ----

static enum loam_status parse_strings(struct chat_parser *parser, struct chat_node *node)
{
    node->value = parser->token->value;
    if (parser->token[1].type != CHAT_TOKEN_STRING) {
        chat_parser_take(parser);
        return LOAM_OK;
    }
    struct chat_text text;
    chat_text_init(&text, parser->pool, parser->error);
    for (; parser->token->type == CHAT_TOKEN_STRING; chat_parser_take(parser))
        LOAM_TRY(chat_text_append_string(&text, parser->token->value.as.string));
    return chat_text_finish(&text, &node->value);
}

static bool is_constant(const struct chat_string *name, struct chat_value *value)
{
    if (chat_string_is(name, "true") || chat_string_is(name, "True"))
        *value = chat_bool(true);
    else if (chat_string_is(name, "false") || chat_string_is(name, "False"))
        *value = chat_bool(false);
    else if (chat_string_is(name, "none") || chat_string_is(name, "None"))
        *value = CHAT_NO_VALUE;
    else
        return false;
    return true;
}

static enum loam_status parse_name(struct chat_parser *parser, bool member, struct chat_node *node)
{
    node->name = parser->token->value.as.string;
    chat_parser_take(parser);
    if (is_constant(node->name, &node->value)) return LOAM_OK;
    node->type = CHAT_NAME_NODE;
    if (!member || !chat_parser_take_operator(parser, ".")) return LOAM_OK;
    node->type = CHAT_MEMBER_NODE;
    return chat_parser_expect_name(parser, &node->attribute);
}

static enum loam_status parse_list(struct chat_parser *parser, struct chat_node *node)
{
    struct chat_node *item;
    node->type = CHAT_LIST_NODE;
    while (!chat_parser_at_operator(parser, "]")) {
        if (node->items.count > 0) LOAM_TRY(chat_parser_expect_operator(parser, ","));
        if (chat_parser_at_operator(parser, "]")) break;
        LOAM_TRY(chat_parse_expression(parser, true, &item));
        LOAM_TRY(chat_parser_push(parser, &node->items, item));
    }
    return chat_parser_expect_operator(parser, "]");
}

static enum loam_status parse_dict(struct chat_parser *parser, struct chat_node *node)
{
    struct chat_node *key, *value;
    node->type = CHAT_DICT_NODE;
    while (!chat_parser_at_operator(parser, "}")) {
        if (node->items.count > 0) LOAM_TRY(chat_parser_expect_operator(parser, ","));
        if (chat_parser_at_operator(parser, "}")) break;
        LOAM_TRY(chat_parse_expression(parser, true, &key));
        LOAM_TRY(chat_parser_expect_operator(parser, ":"));
        LOAM_TRY(chat_parse_expression(parser, true, &value));
        LOAM_TRY(chat_parser_push(parser, &node->items, key));
        LOAM_TRY(chat_parser_push(parser, &node->others, value));
    }
    return chat_parser_expect_operator(parser, "}");
}

static enum loam_status parse_parentheses(struct chat_parser *parser, struct chat_node **out)
{
    LOAM_TRY(chat_parse_tuple(parser, true, ")", out));
    return chat_parser_expect_operator(parser, ")");
}

static enum loam_status parse_primary(struct chat_parser *parser, bool member, struct chat_node **out)
{
    const struct chat_token *token = parser->token;
    if (chat_parser_take_operator(parser, "(")) return parse_parentheses(parser, out);
    struct chat_node *node = chat_parser_create(parser, CHAT_CONST_NODE, token);
    if (node == NULL) return loam_failure(parser->error);
    if (token->type == CHAT_TOKEN_NAME) {
        LOAM_TRY(parse_name(parser, member, node));
    } else if (token->type == CHAT_TOKEN_STRING) {
        LOAM_TRY(parse_strings(parser, node));
    } else if (token->type == CHAT_TOKEN_NUMBER) {
        node->value = token->value;
        chat_parser_take(parser);
    } else if (chat_parser_take_operator(parser, "[")) {
        LOAM_TRY(parse_list(parser, node));
    } else if (chat_parser_take_operator(parser, "{")) {
        LOAM_TRY(parse_dict(parser, node));
    } else {
        char description[64];
        chat_parser_describe(parser, description);
        return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "unexpected '%s'", description);
    }
    return chat_parser_finish(parser, node, out);
}

// ---- Operators ----

static enum loam_status parse_unary(struct chat_parser *parser, bool with_filters, struct chat_node **out)
{
    const struct chat_token *token = parser->token;
    bool minus = chat_parser_at_operator(parser, "-");
    LOAM_TRY(chat_parser_descend(parser));
    if (minus || chat_parser_at_operator(parser, "+")) {
        struct chat_node *node = chat_parser_create(parser, CHAT_SIGN_NODE, token);
        if (node == NULL) return loam_failure(parser->error);
        chat_parser_take(parser);
        node->operator= minus ? CHAT_SUBTRACT : CHAT_ADD;
        LOAM_TRY(parse_unary(parser, false, &node->first));
        LOAM_TRY(chat_parser_finish(parser, node, out));
    } else {
        LOAM_TRY(parse_primary(parser, false, out));
    }
    LOAM_TRY(parse_postfix(parser, out));
    if (with_filters) LOAM_TRY(parse_filters_and_tests(parser, out));
    parser->depth--;
    return LOAM_OK;
}

struct operator_name {
    const char *text;
    enum chat_operator operator;
};

// Takes one of the operators if it is there. `operators` ends with a NULL.
static bool take_operator(struct chat_parser *parser, const struct operator_name *operators,
                          enum chat_operator *operator)
{
    for (; operators->text != NULL; operators++) {
        if (!chat_parser_take_operator(parser, operators->text)) continue;
        *operator= operators->operator;
        return true;
    }
    return false;
}

// Puts first and the right operand, `second`, under a binary node.
static enum loam_status join_binary(struct chat_parser *parser, enum chat_node_type type,
                                    enum chat_operator operator, struct chat_node * second,
                                    struct chat_node **out)
{
    struct chat_node *node = create_behind(parser, type, *out);
    if (node == NULL) return loam_failure(parser->error);
    node->operator= operator;
    node->second = second;
    return chat_parser_finish(parser, node, out);
}

static enum loam_status parse_power(struct chat_parser *parser, struct chat_node **out)
{
    struct chat_node *right = NULL;
    LOAM_TRY(parse_unary(parser, true, out));
    while (chat_parser_take_operator(parser, "**")) {
        LOAM_TRY(parse_unary(parser, true, &right));
        LOAM_TRY(join_binary(parser, CHAT_BINARY_NODE, CHAT_POWER, right, out));
    }
    return LOAM_OK;
}

static enum loam_status parse_product(struct chat_parser *parser, struct chat_node **out)
{
    static const struct operator_name operators[] = {{"*", CHAT_MULTIPLY},
                                                     {"/", CHAT_DIVIDE},
                                                     {"//", CHAT_FLOOR_DIVIDE},
                                                     {"%", CHAT_MODULO},
                                                     {NULL, CHAT_ADD}};
    enum chat_operator operator;
    struct chat_node *right = NULL;
    LOAM_TRY(parse_power(parser, out));
    while (take_operator(parser, operators, &operator)) {
        LOAM_TRY(parse_power(parser, &right));
        LOAM_TRY(join_binary(parser, CHAT_BINARY_NODE, operator, right, out));
    }
    return LOAM_OK;
}

static enum loam_status parse_concat(struct chat_parser *parser, struct chat_node **out)
{
    LOAM_TRY(parse_product(parser, out));
    if (!chat_parser_at_operator(parser, "~")) return LOAM_OK;
    struct chat_node *node = create_behind(parser, CHAT_CONCAT_NODE, *out), *part = NULL;
    if (node == NULL) return loam_failure(parser->error);
    LOAM_TRY(chat_parser_push(parser, &node->items, *out));
    while (chat_parser_take_operator(parser, "~")) {
        LOAM_TRY(parse_product(parser, &part));
        LOAM_TRY(chat_parser_push(parser, &node->items, part));
    }
    node->first = NULL;
    return chat_parser_finish(parser, node, out);
}

static enum loam_status parse_sum(struct chat_parser *parser, struct chat_node **out)
{
    static const struct operator_name operators[] = {{"+", CHAT_ADD}, {"-", CHAT_SUBTRACT}, {NULL, CHAT_ADD}};
    enum chat_operator operator;
    struct chat_node *right = NULL;
    LOAM_TRY(parse_concat(parser, out));
    while (take_operator(parser, operators, &operator)) {
        LOAM_TRY(parse_concat(parser, &right));
        LOAM_TRY(join_binary(parser, CHAT_BINARY_NODE, operator, right, out));
    }
    return LOAM_OK;
}

static bool take_comparison(struct chat_parser *parser, enum chat_operator *operator)
{
    static const struct operator_name operators[] = {
        {"==", CHAT_EQUAL},  {"!=", CHAT_UNEQUAL},       {"<", CHAT_LESS}, {"<=", CHAT_LESS_EQUAL},
        {">", CHAT_GREATER}, {">=", CHAT_GREATER_EQUAL}, {NULL, CHAT_ADD}};
    if (take_operator(parser, operators, operator)) return true;
    *operator= CHAT_IN;
    if (chat_parser_take_name(parser, "in")) return true;
    const struct chat_token *next = parser->token + 1;
    if (!chat_parser_at_name(parser, "not") || next->type != CHAT_TOKEN_NAME ||
        !chat_string_is(next->value.as.string, "in"))
        return false;
    chat_parser_take(parser);
    chat_parser_take(parser);
    *operator= CHAT_NOT_IN;
    return true;
}

static enum loam_status parse_comparison(struct chat_parser *parser, struct chat_node **out)
{
    enum chat_operator operator;
    struct chat_node *compare = NULL;
    LOAM_TRY(parse_sum(parser, out));
    while (take_comparison(parser, &operator)) {
        struct chat_node *operand = chat_parser_create(parser, CHAT_OPERAND_NODE, parser->token);
        if (compare == NULL) compare = create_behind(parser, CHAT_COMPARE_NODE, *out);
        if (operand == NULL || compare == NULL) return loam_failure(parser->error);
        operand->operator= operator;
        LOAM_TRY(parse_sum(parser, &operand->first));
        LOAM_TRY(chat_parser_finish(parser, operand, &operand));
        LOAM_TRY(chat_parser_push(parser, &compare->items, operand));
    }
    return compare == NULL ? LOAM_OK : chat_parser_finish(parser, compare, out);
}

static enum loam_status parse_not(struct chat_parser *parser, struct chat_node **out)
{
    if (!chat_parser_at_name(parser, "not")) return parse_comparison(parser, out);
    struct chat_node *node = chat_parser_create(parser, CHAT_NOT_NODE, parser->token);
    if (node == NULL) return loam_failure(parser->error);
    LOAM_TRY(chat_parser_descend(parser));
    chat_parser_take(parser);
    LOAM_TRY(parse_not(parser, &node->first));
    parser->depth--;
    return chat_parser_finish(parser, node, out);
}

static enum loam_status parse_and(struct chat_parser *parser, struct chat_node **out)
{
    struct chat_node *right = NULL;
    LOAM_TRY(parse_not(parser, out));
    while (chat_parser_take_name(parser, "and")) {
        LOAM_TRY(parse_not(parser, &right));
        LOAM_TRY(join_binary(parser, CHAT_AND_NODE, CHAT_ADD, right, out));
    }
    return LOAM_OK;
}

static enum loam_status parse_or(struct chat_parser *parser, struct chat_node **out)
{
    struct chat_node *right = NULL;
    LOAM_TRY(parse_and(parser, out));
    while (chat_parser_take_name(parser, "or")) {
        LOAM_TRY(parse_and(parser, &right));
        LOAM_TRY(join_binary(parser, CHAT_OR_NODE, CHAT_ADD, right, out));
    }
    return LOAM_OK;
}

static enum loam_status parse_condition(struct chat_parser *parser, struct chat_node **out)
{
    LOAM_TRY(parse_or(parser, out));
    while (chat_parser_take_name(parser, "if")) {
        struct chat_node *node = create_behind(parser, CHAT_CONDITION_NODE, *out);
        if (node == NULL) return loam_failure(parser->error);
        node->second = *out;
        LOAM_TRY(parse_or(parser, &node->first));
        if (chat_parser_take_name(parser, "else"))
            LOAM_TRY(chat_parse_expression(parser, true, &node->third));
        LOAM_TRY(chat_parser_finish(parser, node, out));
    }
    return LOAM_OK;
}

enum loam_status chat_parse_expression(struct chat_parser *parser, bool with_condition,
                                       struct chat_node **out)
{
    LOAM_TRY(chat_parser_descend(parser));
    LOAM_TRY(with_condition ? parse_condition(parser, out) : parse_or(parser, out));
    parser->depth--;
    return LOAM_OK;
}

// ---- Tuples and targets ----

static bool at_tuple_end(const struct chat_parser *parser, const char *end)
{
    enum chat_token_type type = parser->token->type;
    return type == CHAT_TOKEN_PRINT_END || type == CHAT_TOKEN_BLOCK_END ||
           chat_parser_at_operator(parser, ")") || (end != NULL && chat_parser_at_name(parser, end));
}

struct tuple_form {
    bool target; // names and literals only
    bool member;
    bool with_condition;
    const char *end;
};

static enum loam_status parse_tuple(struct chat_parser *parser, struct tuple_form form,
                                    struct chat_node **out)
{
    struct chat_node *tuple = chat_parser_create(parser, CHAT_TUPLE_NODE, parser->token), *item = NULL;
    bool is_tuple = false, parentheses = form.end != NULL && *form.end == ')';
    if (tuple == NULL) return loam_failure(parser->error);
    for (;;) {
        if (tuple->items.count > 0) LOAM_TRY(chat_parser_expect_operator(parser, ","));
        if (at_tuple_end(parser, form.end)) break;
        LOAM_TRY(form.target ? parse_primary(parser, form.member, &item)
                             : chat_parse_expression(parser, form.with_condition, &item));
        LOAM_TRY(chat_parser_push(parser, &tuple->items, item));
        if (!chat_parser_at_operator(parser, ",")) break;
        is_tuple = true;
    }
    if (!is_tuple && tuple->items.count > 0) {
        *out = tuple->items.items[0];
        return LOAM_OK;
    }
    if (!is_tuple && !parentheses) {
        char description[64];
        chat_parser_describe(parser, description);
        return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "Expected an expression, got '%s'", description);
    }
    return chat_parser_finish(parser, tuple, out);
}

enum loam_status chat_parse_tuple(struct chat_parser *parser, bool with_condition, const char *end,
                                  struct chat_node **out)
{
    return parse_tuple(parser, (struct tuple_form){.with_condition = with_condition, .end = end}, out);
}

// Marks the names of a target as stored.
static enum loam_status mark_target(const struct chat_parser *parser, struct chat_node *target)
{
    if (target->type == CHAT_NAME_NODE) target->use = CHAT_STORE;
    if (target->type == CHAT_NAME_NODE || target->type == CHAT_MEMBER_NODE) return LOAM_OK;
    if (target->type != CHAT_TUPLE_NODE)
        return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "can't assign to '%.*s'",
                                (int)(target->end - target->start), parser->source->text + target->start);
    for (size_t i = 0; i < target->items.count; i++)
        LOAM_TRY(mark_target(parser, target->items.items[i]));
    return LOAM_OK;
}

enum loam_status chat_parse_target(struct chat_parser *parser, bool member, const char *end,
                                   struct chat_node **out)
{
    LOAM_TRY(parse_tuple(parser, (struct tuple_form){.target = true, .member = member, .end = end}, out));
    return mark_target(parser, *out);
}

enum loam_status chat_parse_target_name(struct chat_parser *parser, struct chat_node **out)
{
    struct chat_node *node = chat_parser_create(parser, CHAT_NAME_NODE, parser->token);
    if (node == NULL) return loam_failure(parser->error);
    LOAM_TRY(chat_parser_expect_name(parser, &node->name));
    node->use = CHAT_STORE;
    if (is_constant(node->name, &node->value))
        return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "can't assign to '%.*s'", (int)node->name->size,
                                node->name->data);
    return chat_parser_finish(parser, node, out);
}
