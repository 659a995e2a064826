// Statements.
#include "chat/parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chat/text.h"

enum { DEEPEST = 200, HIGHEST = 400 }; // nested statements and expressions, and levels of the tree

// ---- What both halves share ----

enum loam_status chat_parser_fail(const struct chat_parser *parser, enum loam_status status,
                                  const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return loam_fail(parser->error, status, "%s, line %u: %s", parser->source->name, parser->token->line,
                     message);
}

enum loam_status chat_parser_descend(struct chat_parser *parser)
{
    if (++parser->depth > DEEPEST)
        return chat_parser_fail(parser, LOAM_ERROR_UNSUPPORTED,
                                "the template is nested more than %d levels deep", DEEPEST);
    return LOAM_OK;
}

struct chat_node *chat_parser_create(const struct chat_parser *parser, enum chat_node_type type,
                                     const struct chat_token *start)
{
    struct chat_node *node = chat_pool_take(parser->pool, 1, sizeof *node, parser->error);
    if (node == NULL) return NULL;
    node->type = type;
    node->line = start->line;
    node->start = start->start;
    node->end = start->end;
    return node;
}

enum loam_status chat_parser_push(const struct chat_parser *parser, struct chat_nodes *nodes,
                                  struct chat_node *node)
{
    if (nodes->count == nodes->capacity) {
        size_t capacity = nodes->capacity == 0 ? 4 : nodes->capacity * 2;
        struct chat_node **items =
            chat_pool_take(parser->pool, capacity, sizeof(struct chat_node *), parser->error);
        if (items == NULL) return loam_failure(parser->error);
        if (nodes->count > 0) memcpy(items, nodes->items, nodes->count * sizeof(struct chat_node *));
        nodes->items = items;
        nodes->capacity = capacity;
    }
    nodes->items[nodes->count++] = node;
    return LOAM_OK;
}

static void count_level(struct chat_node *node, const struct chat_node *child)
{
    if (child != NULL && child->height >= node->height) node->height = child->height + 1;
}

static void count_levels(struct chat_node *node, const struct chat_nodes *children)
{
    for (size_t i = 0; i < children->count; i++)
        count_level(node, children->items[i]);
}

// Chains such as a + b + c nest to the left without nested calls of the parser.
enum loam_status chat_parser_finish(const struct chat_parser *parser, struct chat_node *node,
                                    struct chat_node **out)
{
    node->end = parser->before->end;
    *out = node;
    count_level(node, node->first);
    count_level(node, node->second);
    count_level(node, node->third);
    count_level(node, node->more);
    count_level(node, node->more_named);
    count_levels(node, &node->items);
    count_levels(node, &node->others);
    count_levels(node, &node->body);
    count_levels(node, &node->defaults);
    count_levels(node, &node->keywords);
    if (node->height > HIGHEST)
        return chat_parser_fail(parser, LOAM_ERROR_UNSUPPORTED,
                                "the template is nested more than %d levels deep", HIGHEST);
    return LOAM_OK;
}

bool chat_parser_at_name(const struct chat_parser *parser, const char *name)
{
    return parser->token->type == CHAT_TOKEN_NAME && chat_string_is(parser->token->value.as.string, name);
}

bool chat_parser_at_operator(const struct chat_parser *parser, const char *operator)
{
    return parser->token->type == CHAT_TOKEN_OPERATOR && strcmp(parser->token->text, operator) == 0;
}

void chat_parser_take(struct chat_parser *parser)
{
    parser->before = parser->token;
    if (parser->token->type != CHAT_TOKEN_END) parser->token++;
}

bool chat_parser_take_name(struct chat_parser *parser, const char *name)
{
    if (!chat_parser_at_name(parser, name)) return false;
    chat_parser_take(parser);
    return true;
}

bool chat_parser_take_operator(struct chat_parser *parser, const char *operator)
{
    if (!chat_parser_at_operator(parser, operator)) return false;
    chat_parser_take(parser);
    return true;
}

void chat_parser_describe(const struct chat_parser *parser, char description[64])
{
    static const char *const types[] = {
        [CHAT_TOKEN_END] = "end of template",
        [CHAT_TOKEN_DATA] = "template data / text",
        [CHAT_TOKEN_BLOCK_BEGIN] = "begin of statement block",
        [CHAT_TOKEN_BLOCK_END] = "end of statement block",
        [CHAT_TOKEN_PRINT_BEGIN] = "begin of print statement",
        [CHAT_TOKEN_PRINT_END] = "end of print statement",
        [CHAT_TOKEN_STRING] = "string",
        [CHAT_TOKEN_NUMBER] = "integer",
    };
    const struct chat_token *token = parser->token;
    if (token->type == CHAT_TOKEN_NAME)
        snprintf(description, 64, "%.*s", (int)token->value.as.string->size, token->value.as.string->data);
    else
        snprintf(description, 64, "%s",
                 token->type == CHAT_TOKEN_OPERATOR ? token->text : types[token->type]);
}

static enum loam_status fail_expected(const struct chat_parser *parser, const char *expected)
{
    char description[64];
    chat_parser_describe(parser, description);
    if (parser->token->type == CHAT_TOKEN_END)
        return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "unexpected end of template, expected '%s'",
                                expected);
    return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "expected token '%s', got '%s'", expected,
                            description);
}

enum loam_status chat_parser_expect_operator(struct chat_parser *parser, const char *operator)
{
    return chat_parser_take_operator(parser, operator) ? LOAM_OK : fail_expected(parser, operator);
}

enum loam_status chat_parser_expect_name(struct chat_parser *parser, const struct chat_string **name)
{
    if (parser->token->type != CHAT_TOKEN_NAME) return fail_expected(parser, "name");
    *name = parser->token->value.as.string;
    chat_parser_take(parser);
    return LOAM_OK;
}

enum loam_status chat_parser_expect(struct chat_parser *parser, enum chat_token_type type)
{
    if (parser->token->type != type)
        return fail_expected(parser, type == CHAT_TOKEN_BLOCK_END ? "end of statement block"
                                                                  : "end of print statement");
    chat_parser_take(parser);
    return LOAM_OK;
}

// ---- Bodies ----

// Tags that end a body: names, up to a NULL.
typedef const char *const ending[4];

static bool at_ending(const struct chat_parser *parser, const char *const *end)
{
    for (; end != NULL && *end != NULL; end++)
        if (chat_parser_at_name(parser, *end)) return true;
    return false;
}

static enum loam_status parse_statement(struct chat_parser *parser, struct chat_nodes *body);

// Adds text or a printed expression to the output node at the end of the body.
static enum loam_status add_output(struct chat_parser *parser, struct chat_nodes *body,
                                   struct chat_node *item, bool joined)
{
    if (!joined) {
        struct chat_node *output = chat_parser_create(parser, CHAT_OUTPUT_NODE, parser->before);
        if (output == NULL) return loam_failure(parser->error);
        LOAM_TRY(chat_parser_push(parser, body, output));
    }
    return chat_parser_push(parser, &body->items[body->count - 1]->items, item);
}

static enum loam_status parse_output(struct chat_parser *parser, struct chat_nodes *body, bool joined)
{
    struct chat_node *item;
    if (parser->token->type == CHAT_TOKEN_DATA) {
        item = chat_parser_create(parser, CHAT_CONST_NODE, parser->token);
        if (item == NULL) return loam_failure(parser->error);
        item->value = parser->token->value;
        chat_parser_take(parser);
    } else {
        chat_parser_take(parser);
        LOAM_TRY(chat_parse_tuple(parser, true, NULL, &item));
        LOAM_TRY(chat_parser_expect(parser, CHAT_TOKEN_PRINT_END));
    }
    return add_output(parser, body, item, joined);
}

// Parses up to one of the tags of `end`, whose name is then the current token; `end` NULL: to the end of the template.
static enum loam_status parse_body(struct chat_parser *parser, const char *const *end,
                                   struct chat_nodes *body)
{
    bool joined = false;
    while (parser->token->type != CHAT_TOKEN_END) {
        if (parser->token->type != CHAT_TOKEN_BLOCK_BEGIN) {
            LOAM_TRY(parse_output(parser, body, joined));
            joined = true;
            continue;
        }
        chat_parser_take(parser);
        if (at_ending(parser, end)) return LOAM_OK;
        LOAM_TRY(parse_statement(parser, body));
        LOAM_TRY(chat_parser_expect(parser, CHAT_TOKEN_BLOCK_END));
        joined = false;
    }
    if (end == NULL) return LOAM_OK;
    return chat_parser_fail(parser, LOAM_ERROR_FORMAT,
                            "Unexpected end of template. Jinja was looking for the following tags: '%s'",
                            end[0]);
}

// Parses the body behind a tag that has just been read, and takes the name of the tag that ends it.
static enum loam_status parse_body_to(struct chat_parser *parser, const char *const *end,
                                      struct chat_nodes *body)
{
    chat_parser_take_operator(parser, ":");
    LOAM_TRY(chat_parser_expect(parser, CHAT_TOKEN_BLOCK_END));
    LOAM_TRY(parse_body(parser, end, body));
    chat_parser_take(parser);
    return LOAM_OK;
}

// ---- Statements ----

static enum loam_status parse_for(struct chat_parser *parser, struct chat_node *node)
{
    static ending end = {"endfor", "else"}, end_else = {"endfor"};
    LOAM_TRY(chat_parse_target(parser, false, "in", &node->first));
    if (!chat_parser_take_name(parser, "in")) return fail_expected(parser, "in");
    LOAM_TRY(chat_parse_tuple(parser, false, "recursive", &node->second));
    if (chat_parser_take_name(parser, "if")) LOAM_TRY(chat_parse_expression(parser, true, &node->third));
    if (chat_parser_at_name(parser, "recursive"))
        return chat_parser_fail(parser, LOAM_ERROR_UNSUPPORTED, "loam has no recursive loops");
    parser->loop_depth++;
    LOAM_TRY(parse_body_to(parser, end, &node->body));
    parser->loop_depth--;
    if (chat_string_is(parser->before->value.as.string, "endfor")) return LOAM_OK;
    return parse_body_to(parser, end_else, &node->others);
}

static enum loam_status parse_if(struct chat_parser *parser, struct chat_node *node)
{
    static ending end = {"elif", "else", "endif"}, end_else = {"endif"};
    for (;;) { // each elif is the only statement of the else before it
        LOAM_TRY(chat_parser_descend(parser));
        LOAM_TRY(chat_parse_tuple(parser, false, NULL, &node->first));
        LOAM_TRY(parse_body_to(parser, end, &node->body));
        if (chat_string_is(parser->before->value.as.string, "endif")) return LOAM_OK;
        if (chat_string_is(parser->before->value.as.string, "else"))
            return parse_body_to(parser, end_else, &node->others);
        struct chat_node *inner = chat_parser_create(parser, CHAT_IF_NODE, parser->before);
        if (inner == NULL) return loam_failure(parser->error);
        LOAM_TRY(chat_parser_push(parser, &node->others, inner));
        node = inner;
    }
}

// Parses a body that becomes a string, which no break leaves.
static enum loam_status parse_closed_body(struct chat_parser *parser, const char *const *end,
                                          struct chat_node *node)
{
    size_t loops = parser->loop_depth;
    parser->loop_depth = 0;
    enum loam_status status = parse_body_to(parser, end, &node->body);
    parser->loop_depth = loops;
    return status;
}

static enum loam_status parse_set(struct chat_parser *parser, struct chat_node *node)
{
    static ending end = {"endset"};
    LOAM_TRY(chat_parse_target(parser, true, NULL, &node->first));
    if (chat_parser_take_operator(parser, "=")) return chat_parse_tuple(parser, true, NULL, &node->second);
    node->type = CHAT_SET_BLOCK_NODE;
    LOAM_TRY(chat_parse_filters(parser, NULL, false, &node->second));
    return parse_closed_body(parser, end, node);
}

// The parameters of a macro or call block.
static enum loam_status parse_signature(struct chat_parser *parser, struct chat_node *node)
{
    struct chat_node *name, *value;
    LOAM_TRY(chat_parser_expect_operator(parser, "("));
    while (!chat_parser_at_operator(parser, ")")) {
        if (node->items.count > 0) LOAM_TRY(chat_parser_expect_operator(parser, ","));
        LOAM_TRY(chat_parse_target_name(parser, &name));
        name->use = CHAT_PARAMETER;
        LOAM_TRY(chat_parser_push(parser, &node->items, name));
        if (chat_parser_take_operator(parser, "=")) {
            LOAM_TRY(chat_parse_expression(parser, true, &value));
            LOAM_TRY(chat_parser_push(parser, &node->defaults, value));
        } else if (node->defaults.count > 0) {
            return chat_parser_fail(parser, LOAM_ERROR_FORMAT,
                                    "non-default argument follows default argument");
        }
    }
    return chat_parser_expect_operator(parser, ")");
}

static enum loam_status parse_macro(struct chat_parser *parser, struct chat_node *node)
{
    static ending end = {"endmacro"};
    struct chat_node *name;
    LOAM_TRY(chat_parse_target_name(parser, &name));
    node->name = name->name;
    LOAM_TRY(parse_signature(parser, node));
    return parse_closed_body(parser, end, node);
}

static enum loam_status parse_call_block(struct chat_parser *parser, struct chat_node *node)
{
    static ending end = {"endcall"};
    if (chat_parser_at_operator(parser, "(")) LOAM_TRY(parse_signature(parser, node));
    LOAM_TRY(chat_parse_expression(parser, true, &node->first));
    if (node->first->type != CHAT_CALL_NODE)
        return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "expected call");
    return parse_closed_body(parser, end, node);
}

static enum loam_status parse_filter_block(struct chat_parser *parser, struct chat_node *node)
{
    static ending end = {"endfilter"};
    LOAM_TRY(chat_parse_filters(parser, NULL, true, &node->first));
    return parse_closed_body(parser, end, node);
}

static enum loam_status parse_with(struct chat_parser *parser, struct chat_node *node)
{
    static ending end = {"endwith"};
    struct chat_node *target, *value;
    while (parser->token->type != CHAT_TOKEN_BLOCK_END && parser->token->type != CHAT_TOKEN_END) {
        if (node->items.count > 0) LOAM_TRY(chat_parser_expect_operator(parser, ","));
        LOAM_TRY(chat_parse_target(parser, false, NULL, &target));
        LOAM_TRY(chat_parser_push(parser, &node->items, target));
        LOAM_TRY(chat_parser_expect_operator(parser, "="));
        LOAM_TRY(chat_parse_expression(parser, true, &value));
        LOAM_TRY(chat_parser_push(parser, &node->others, value));
    }
    return parse_body_to(parser, end, &node->body);
}

static enum loam_status parse_print(struct chat_parser *parser, struct chat_node *node)
{
    struct chat_node *item;
    while (parser->token->type != CHAT_TOKEN_BLOCK_END) {
        if (node->items.count > 0) LOAM_TRY(chat_parser_expect_operator(parser, ","));
        LOAM_TRY(chat_parse_expression(parser, true, &item));
        LOAM_TRY(chat_parser_push(parser, &node->items, item));
    }
    return LOAM_OK;
}

static enum loam_status parse_generation(struct chat_parser *parser, struct chat_node *node)
{
    static ending end = {"endgeneration"};
    return parse_closed_body(parser, end, node);
}

static enum loam_status parse_jump(struct chat_parser *parser, struct chat_node *node)
{
    (void)node;
    if (parser->loop_depth > 0) return LOAM_OK;
    return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "break and continue must stand in a loop");
}

static enum loam_status refuse(struct chat_parser *parser, struct chat_node *node)
{
    return chat_parser_fail(parser, LOAM_ERROR_UNSUPPORTED, "loam has no {%% %.*s %%}",
                            (int)(node->end - node->start), parser->source->text + node->start);
}

static const struct statement {
    const char *name;
    enum chat_node_type type;
    enum loam_status (*parse)(struct chat_parser *parser, struct chat_node *node);
} statements[] = {
    {"for", CHAT_FOR_NODE, parse_for},
    {"if", CHAT_IF_NODE, parse_if},
    {"set", CHAT_SET_NODE, parse_set},
    {"macro", CHAT_MACRO_NODE, parse_macro},
    {"call", CHAT_CALL_BLOCK_NODE, parse_call_block},
    {"filter", CHAT_FILTER_BLOCK_NODE, parse_filter_block},
    {"with", CHAT_WITH_NODE, parse_with},
    {"print", CHAT_OUTPUT_NODE, parse_print},
    {"generation", CHAT_GENERATION_NODE, parse_generation},
    {"break", CHAT_BREAK_NODE, parse_jump},
    {"continue", CHAT_CONTINUE_NODE, parse_jump},
    // These combine several files or escape HTML.
    {"block", CHAT_OUTPUT_NODE, refuse},
    {"extends", CHAT_OUTPUT_NODE, refuse},
    {"include", CHAT_OUTPUT_NODE, refuse},
    {"import", CHAT_OUTPUT_NODE, refuse},
    {"from", CHAT_OUTPUT_NODE, refuse},
    {"autoescape", CHAT_OUTPUT_NODE, refuse},
};

static enum loam_status parse_statement(struct chat_parser *parser, struct chat_nodes *body)
{
    if (parser->token->type != CHAT_TOKEN_NAME)
        return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "tag name expected");
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        if (!chat_parser_at_name(parser, statements[i].name)) continue;
        struct chat_node *node = chat_parser_create(parser, statements[i].type, parser->token);
        if (node == NULL) return loam_failure(parser->error);
        size_t depth = parser->depth;
        LOAM_TRY(chat_parser_descend(parser));
        chat_parser_take(parser);
        LOAM_TRY(statements[i].parse(parser, node));
        parser->depth = depth;
        LOAM_TRY(chat_parser_push(parser, body, node));
        const uint32_t start_end = node->end;
        LOAM_TRY(chat_parser_finish(parser, node, &node));
        node->end = start_end; // messages show the tag's name
        return LOAM_OK;
    }
    return chat_parser_fail(parser, LOAM_ERROR_FORMAT, "Encountered unknown tag '%.*s'.",
                            (int)parser->token->value.as.string->size, parser->token->value.as.string->data);
}

enum loam_status chat_parse(struct chat_nodes *body, const struct chat_source *source, struct chat_pool *pool,
                            struct loam_error *error)
{
    struct chat_tokens tokens;
    *body = (struct chat_nodes){0};
    LOAM_TRY(chat_tokenize(&tokens, source, pool, error));
    struct chat_parser parser = {
        .source = source, .token = tokens.items, .before = tokens.items, .pool = pool, .error = error};
    return parse_body(&parser, NULL, body);
}
