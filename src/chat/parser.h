// What the two halves of the parser share.
#ifndef LOAM_CHAT_PARSER_H
#define LOAM_CHAT_PARSER_H

#include "chat/node.h"

struct chat_parser {
    const struct chat_source *source;
    const struct chat_token *token;  // the current one
    const struct chat_token *before; // the last one that was taken
    struct chat_pool *pool;
    struct loam_error *error;
    size_t depth;      // of nested statements and expressions
    size_t loop_depth; // of loops around the statement, for break and continue
};

// Fails with template and line of the current token in front.
enum loam_status chat_parser_fail(const struct chat_parser *parser, enum loam_status status,
                                  const char *format, ...) LOAM_PRINTF(3, 4);
// Counts a level; the caller takes it back with `depth--`.
enum loam_status chat_parser_descend(struct chat_parser *parser);

struct chat_node *chat_parser_create(const struct chat_parser *parser, enum chat_node_type type,
                                     const struct chat_token *start);
enum loam_status chat_parser_push(const struct chat_parser *parser, struct chat_nodes *nodes,
                                  struct chat_node *node);
// Completes the extent of a node, up to the token that was taken last.
enum loam_status chat_parser_finish(const struct chat_parser *parser, struct chat_node *node,
                                    struct chat_node **out);

bool chat_parser_at_name(const struct chat_parser *parser, const char *name);
bool chat_parser_at_operator(const struct chat_parser *parser, const char *operator);
void chat_parser_take(struct chat_parser *parser);
bool chat_parser_take_name(struct chat_parser *parser, const char *name); // if it is there
bool chat_parser_take_operator(struct chat_parser *parser, const char *operator);
enum loam_status chat_parser_expect_operator(struct chat_parser *parser, const char *operator);
enum loam_status chat_parser_expect_name(struct chat_parser *parser, const struct chat_string **name);
enum loam_status chat_parser_expect(struct chat_parser *parser, enum chat_token_type type);
// Describes the current token for a message.
void chat_parser_describe(const struct chat_parser *parser, char description[64]);

enum loam_status chat_parse_expression(struct chat_parser *parser, bool with_condition,
                                       struct chat_node **out);
// An expression, or a tuple without parentheses. `end`: a name that ends a tuple, or NULL.
enum loam_status chat_parse_tuple(struct chat_parser *parser, bool with_condition, const char *end,
                                  struct chat_node **out);
// A target of an assignment. `member`: may be a member of a namespace.
enum loam_status chat_parse_target(struct chat_parser *parser, bool member, const char *end,
                                   struct chat_node **out);
enum loam_status chat_parse_target_name(struct chat_parser *parser, struct chat_node **out);
// Filters behind an expression, or (`first` is NULL) those of a block. `inline_start`: the first has no "|".
enum loam_status chat_parse_filters(struct chat_parser *parser, struct chat_node *first, bool inline_start,
                                    struct chat_node **out);

#endif
