// The tree of a template.
#ifndef LOAM_CHAT_NODE_H
#define LOAM_CHAT_NODE_H

#include "chat/token.h"

enum chat_node_type {
    // Statements.
    CHAT_OUTPUT_NODE,       // {{ items }} and text
    CHAT_FOR_NODE,          // for first in second if third: body; else: others
    CHAT_IF_NODE,           // if first: body; else: others
    CHAT_SET_NODE,          // set first = second
    CHAT_SET_BLOCK_NODE,    // set first | second: body. The filter may be NULL.
    CHAT_MACRO_NODE,        // macro name(items=defaults): body
    CHAT_CALL_BLOCK_NODE,   // call(items=defaults) first: body
    CHAT_FILTER_BLOCK_NODE, // filter first: body
    CHAT_WITH_NODE,         // with items = others: body
    CHAT_GENERATION_NODE,   // generation: body
    CHAT_BREAK_NODE,
    CHAT_CONTINUE_NODE,
    // Expressions.
    CHAT_CONST_NODE,
    CHAT_NAME_NODE,
    CHAT_MEMBER_NODE, // name.attribute as a target of set
    CHAT_TUPLE_NODE,  // items
    CHAT_LIST_NODE,
    CHAT_DICT_NODE,      // items are keys, others values
    CHAT_CONDITION_NODE, // second if first else third. The third may be NULL.
    CHAT_OR_NODE,
    CHAT_AND_NODE,
    CHAT_NOT_NODE,
    CHAT_COMPARE_NODE,   // first and then each of items, which are CHAT_OPERAND_NODE
    CHAT_OPERAND_NODE,   // operator first
    CHAT_BINARY_NODE,    // first operator second
    CHAT_SIGN_NODE,      // operator first
    CHAT_CONCAT_NODE,    // items joined by ~
    CHAT_FILTER_NODE,    // first | name(arguments). In a block, the first is NULL.
    CHAT_TEST_NODE,      // first is name(arguments)
    CHAT_CALL_NODE,      // first(arguments)
    CHAT_KEYWORD_NODE,   // name=first
    CHAT_ATTRIBUTE_NODE, // first.name
    CHAT_ITEM_NODE,      // first[second]
    CHAT_SLICE_NODE,     // first:second:third, each may be NULL
};

enum chat_operator {
    CHAT_ADD,
    CHAT_SUBTRACT,
    CHAT_MULTIPLY,
    CHAT_DIVIDE,
    CHAT_FLOOR_DIVIDE,
    CHAT_MODULO,
    CHAT_POWER,
    CHAT_EQUAL,
    CHAT_UNEQUAL,
    CHAT_LESS,
    CHAT_LESS_EQUAL,
    CHAT_GREATER,
    CHAT_GREATER_EQUAL,
    CHAT_IN,
    CHAT_NOT_IN,
};

enum chat_use { CHAT_LOAD, CHAT_STORE, CHAT_PARAMETER }; // of a name

struct chat_nodes {
    struct chat_node **items; // [count]
    size_t count, capacity;
};

struct chat_scope;

// A place of a variable: `hops` frames outwards, `slot` in that frame.
struct chat_place {
    uint32_t hops, slot;
};

struct chat_node {
    enum chat_node_type type;
    uint32_t line;       // from 1
    uint32_t start, end; // bytes of the source, for messages
    uint32_t height;     // levels below it
    enum chat_operator operator;
    enum chat_use use;
    const struct chat_string *name; // of a variable, attribute, filter, test, macro or argument
    const struct chat_string *attribute;
    struct chat_value value;
    struct chat_node *first, *second, *third;
    struct chat_nodes items, others, body;
    struct chat_nodes defaults;                 // of the last parameters of a macro
    struct chat_nodes keywords;                 // arguments with names, behind those of `items`
    struct chat_node *more;                     // *arguments
    struct chat_node *more_named;               // **arguments
    struct chat_scope *scope;                   // variables of the body
    struct chat_scope *test_scope, *else_scope; // of a loop
    struct chat_place place;
    const struct chat_native *native;        // the filter or test; NULL: unknown
    bool uses_loop;                          // a loop whose body reads `loop`
    bool uses_caller, uses_named, uses_rest; // a macro that reads `caller`, `kwargs`, `varargs`
    struct chat_place caller, named, rest;   // their places
};

// Parses a template. Errors name template and line.
enum loam_status chat_parse(struct chat_nodes *body, const struct chat_source *source, struct chat_pool *pool,
                            struct loam_error *error);

#endif
