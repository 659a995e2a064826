// One rendering: its state, and the operations that filters, methods and statements share.
#ifndef LOAM_CHAT_RUN_H
#define LOAM_CHAT_RUN_H

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "chat/native.h"
#include "chat/node.h"
#include "chat/number.h"
#include "chat/scope.h"
#include "chat/text.h"

struct chat_frame {
    const struct chat_scope *scope;
    struct chat_frame *parent;
    struct chat_value *values; // [scope->count]
};

struct chat_run {
    const struct chat_source *source;
    struct chat_pool pool;
    struct loam_error *error;
    struct chat_frame *frame;
    struct chat_text output;       // of the template
    struct chat_text *out;         // what statements write to: the output, or a buffer
    struct chat_dict *context;     // variables of the caller and functions of the language
    const struct chat_node *place; // the innermost expression or statement that failed; NULL: none yet
    struct chat_value captured;    // text of the block whose filters are evaluated
    bool raised;                   // the template refused its input by raise_exception
    size_t steps;                  // that are left
    size_t depth;                  // of nested calls
    struct tm now;                 // for strftime_now
    long microsecond;
};

// Fails with a message that the evaluator completes with the place in the template.
#define chat_fail(run, ...) loam_fail((run)->error, LOAM_ERROR_FORMAT, __VA_ARGS__)

// Counts work, and nested calls (`chat_ascend` takes a level back). Fail beyond the limits.
enum loam_status chat_step(struct chat_run *run);
enum loam_status chat_work(struct chat_run *run, size_t bytes); // over text
enum loam_status chat_descend(struct chat_run *run);
static inline void chat_ascend(struct chat_run *run)
{
    run->depth--;
}

// ---- Statements and expressions (evaluate.c, execute.c) ----

enum chat_flow { CHAT_FLOW_NEXT, CHAT_FLOW_BREAK, CHAT_FLOW_CONTINUE };
enum loam_status chat_execute(struct chat_run *run, const struct chat_nodes *body, enum chat_flow *flow);
enum loam_status chat_evaluate(struct chat_run *run, const struct chat_node *node, struct chat_value *value);
// A frame for a scope with the values that its variables have at the beginning.
enum loam_status chat_frame_create(struct chat_run *run, const struct chat_scope *scope,
                                   struct chat_frame *parent, struct chat_frame **frame);
void chat_frame_enter(struct chat_run *run, struct chat_frame *frame);
enum loam_status chat_assign(struct chat_run *run, struct chat_frame *frame, const struct chat_node *target,
                             struct chat_value value);
// Executes a body into a string.
enum loam_status chat_capture(struct chat_run *run, struct chat_frame *frame, const struct chat_nodes *body,
                              struct chat_value *text);
enum loam_status chat_evaluate_arguments(struct chat_run *run, const struct chat_node *node,
                                         struct chat_arguments *arguments);

// ---- Calls (call.c) ----

struct chat_macro {
    const struct chat_node *node;
    struct chat_frame *frame; // around the definition
};
struct chat_method {
    struct chat_value self;
    const struct chat_native *native;
};
enum loam_status chat_macro_create(struct chat_run *run, const struct chat_node *node,
                                   struct chat_value *macro);
enum loam_status chat_invoke(struct chat_run *run, struct chat_value callee,
                             const struct chat_arguments *arguments, struct chat_value *result);

// ---- Attributes and items (attribute.c) ----

// value.name and value[key] as jinja2's sandbox resolves them; undefined if there is none.
enum loam_status chat_attribute(struct chat_run *run, struct chat_value value, const struct chat_string *name,
                                struct chat_value *result);
enum loam_status chat_item(struct chat_run *run, struct chat_value value, struct chat_value key,
                           struct chat_value *result);
// What Python's getattr finds, without items.
enum loam_status chat_own_attribute(struct chat_run *run, struct chat_value value,
                                    const struct chat_string *name, struct chat_value *result, bool *found);
enum loam_status chat_slice(struct chat_run *run, struct chat_value value, const struct chat_value part[3],
                            struct chat_value *result);
// "a.b.0" or a number as the filters' argument `attribute`; a missing or none `attribute` gives the value itself.
enum loam_status chat_attribute_path(struct chat_run *run, struct chat_value value,
                                     struct chat_value attribute, struct chat_value *result);
enum loam_status chat_undefined_name(struct chat_run *run, const struct chat_string *name,
                                     struct chat_value *result);
enum loam_status chat_undefined_hint(struct chat_run *run, const char *hint, struct chat_value *result);
// Fails with the message of an undefined value.
enum loam_status chat_fail_undefined(struct chat_run *run, struct chat_value undefined);

// The method or attribute of a type (methods.c). False: the type has no attribute of that name.
enum loam_status chat_type_attribute(struct chat_run *run, struct chat_value value,
                                     const struct chat_string *name, struct chat_value *result, bool *found);

// ---- Operators (operator.c) ----

enum loam_status chat_binary(struct chat_run *run, enum chat_operator operator, struct chat_value left,
                             struct chat_value right, struct chat_value *result);
enum loam_status chat_compare(struct chat_run *run, enum chat_operator operator, struct chat_value left,
                              struct chat_value right, bool *holds);
enum loam_status chat_negate(struct chat_run *run, struct chat_value value, bool minus,
                             struct chat_value *result);

// ---- Iteration (iterate.c) ----

enum chat_mode {
    CHAT_PLAIN,
    CHAT_MAP,
    CHAT_SELECT,
    CHAT_REJECT,
    CHAT_REVERSED,
    CHAT_LOOP_TEST,
    CHAT_DEFERRED
};

// Reads a value element by element.
struct chat_iterator {
    struct chat_value over; // what is read
    size_t at;              // index, or byte of a string
    // A filter that is applied while reading: map, select, reject.
    enum chat_mode mode;
    struct chat_iterator *inner;
    const struct chat_native *native; // NULL: the element itself
    struct chat_value attribute, fallback;
    struct chat_arguments arguments;
    chat_native_function *start;  // of CHAT_DEFERRED: gives the iterator to read
    const struct chat_call *call; // for `start`
    const struct chat_node *loop; // whose condition selects
    struct chat_frame *test_frame;
};
// Fails for a value that cannot be iterated over.
enum loam_status chat_iterate(struct chat_run *run, struct chat_value value, struct chat_iterator **iterator);
bool chat_is_iterable(struct chat_value value);
enum loam_status chat_next(struct chat_run *run, struct chat_iterator *iterator, struct chat_value *value,
                           bool *ended);
// All elements as a list or tuple.
enum loam_status chat_collect(struct chat_run *run, struct chat_value value, enum chat_kind kind,
                              struct chat_value *list);
struct chat_value chat_from_iterator(struct chat_iterator *iterator);
enum loam_status chat_new_iterator(struct chat_run *run, struct chat_iterator **iterator);
// An iterator that makes the call `start` when it is first read, and then is the iterator that it gives.
enum loam_status chat_defer(struct chat_run *run, const struct chat_call *call, chat_native_function *start,
                            struct chat_value *result);
enum loam_status chat_sequence_item(struct chat_run *run, struct chat_value sequence, int64_t index,
                                    struct chat_value *item);

// The state of a loop, which the variable `loop` shows.
struct chat_loop {
    struct chat_iterator *iterator;
    int64_t index0;
    int64_t length; // -1: not known yet
    struct chat_value before, current;
    struct chat_value after; // read ahead; missing: not yet
    bool peeked, ended;      // `after` was read; there is none
    struct chat_value changed;
};
enum loam_status chat_loop_attribute(struct chat_run *run, struct chat_loop *loop,
                                     const struct chat_string *name, struct chat_value *result, bool *found);
enum loam_status chat_loop_length(struct chat_run *run, struct chat_loop *loop, int64_t *length);

struct chat_cycler {
    struct chat_list items;
    size_t at;
};
struct chat_joiner {
    struct chat_value separator;
    bool used;
};

// ---- Text (print.c, tojson.c, format.c) ----

// Python's str() and repr().
enum loam_status chat_print(struct chat_run *run, struct chat_text *text, struct chat_value value);
enum loam_status chat_print_repr(struct chat_run *run, struct chat_text *text, struct chat_value value);
enum loam_status chat_to_string(struct chat_run *run, struct chat_value value, struct chat_value *string);
enum { CHAT_FLOAT_SIZE = 40 };
void chat_print_float(double real, char text[CHAT_FLOAT_SIZE]); // repr(float)

// json.dumps() with its arguments; see tojson.c.
struct chat_json_form {
    bool ascii, sorted;
    struct chat_value indent;                // none: one line
    const struct chat_string *comma, *colon; // separators
};
enum loam_status chat_print_json(struct chat_run *run, struct chat_text *text, struct chat_value value,
                                 const struct chat_json_form *form);

// format % values, format.format(...), and format(value, specification).
enum loam_status chat_format_percent(struct chat_run *run, struct chat_value format, struct chat_value values,
                                     struct chat_value *result);
enum loam_status chat_format_braces(struct chat_run *run, const struct chat_string *format,
                                    const struct chat_arguments *arguments, struct chat_value *result);

// Escapes &, <, >, ' and " for HTML, except in markup.
enum loam_status chat_escape(struct chat_run *run, struct chat_value value, struct chat_value *result);

static inline enum loam_status chat_make_string(struct chat_run *run, const char *words,
                                                struct chat_value *string)
{
    return chat_string_copy(string, words, strlen(words), CHAT_TEMPLATE_ORIGIN, &run->pool, run->error);
}
// An argument of a call that must be an integer; `fallback` if it is missing or none.
enum loam_status chat_need_integer(struct chat_run *run, struct chat_value value, int64_t fallback,
                                   int64_t *integer);
enum loam_status chat_need_string(struct chat_run *run, struct chat_value value,
                                  const struct chat_string **string);

#endif
