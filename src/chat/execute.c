// Statements.
#include <string.h>

#include "chat/run.h"

// ---- Frames ----

enum loam_status chat_frame_create(struct chat_run *run, const struct chat_scope *scope,
                                   struct chat_frame *parent, struct chat_frame **frame)
{
    *frame = chat_pool_take(&run->pool, 1, sizeof **frame, run->error);
    if (*frame == NULL) return loam_failure(run->error);
    struct chat_value *values = chat_pool_take(&run->pool, scope->count, sizeof *values, run->error);
    if (values == NULL) return loam_failure(run->error);
    **frame = (struct chat_frame){scope, parent, values};
    return LOAM_OK;
}

static struct chat_value *find_value(struct chat_frame *frame, struct chat_place place)
{
    for (; place.hops > 0; place.hops--)
        frame = frame->parent;
    return &frame->values[place.slot];
}

void chat_frame_enter(struct chat_run *run, struct chat_frame *frame)
{
    static const struct chat_value unset = {.kind = CHAT_MISSING};
    for (size_t i = 0; i < frame->scope->count; i++) {
        const struct chat_symbol *symbol = &frame->scope->symbols[i];
        struct chat_value *value = &frame->values[i];
        const struct chat_value *found = NULL;
        if (symbol->load == CHAT_LOAD_PARAMETER) continue;
        if (symbol->load == CHAT_LOAD_OUTER) found = find_value(frame, symbol->outer);
        if (symbol->load == CHAT_LOAD_CONTEXT)
            found = chat_dict_get(run->context, chat_from_string(symbol->name));
        *value = found == NULL ? unset : *found;
    }
}

static enum loam_status assign_member(struct chat_run *run, struct chat_value namespace,
                                      const struct chat_string *name, struct chat_value value)
{
    if (namespace.kind != CHAT_NAMESPACE)
        return chat_fail(run, "cannot assign attribute on non-namespace object");
    if (name->size > 0 && name->data[0] == '_')
        return chat_fail(
            run,
            "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '%.*s'. "
            "Please rename the attribute.",
            (int)name->size, name->data);
    return chat_dict_put(namespace.as.dict, &run->pool, chat_from_string(name), value, run->error);
}

static enum loam_status assign_tuple(struct chat_run *run, struct chat_frame *frame,
                                     const struct chat_node *target, struct chat_value value)
{
    size_t wanted = target->items.count;
    if (!chat_is_iterable(value))
        return chat_fail(run, "cannot unpack non-iterable %s object", chat_type_name(value));
    LOAM_TRY(chat_collect(run, value, CHAT_LIST, &value));
    size_t count = value.as.list->count;
    if (count > wanted) return chat_fail(run, "too many values to unpack (expected %zu)", wanted);
    if (count < wanted)
        return chat_fail(run, "not enough values to unpack (expected %zu, got %zu)", wanted, count);
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(chat_assign(run, frame, target->items.items[i], value.as.list->items[i]));
    return LOAM_OK;
}

enum loam_status chat_assign(struct chat_run *run, struct chat_frame *frame, const struct chat_node *target,
                             struct chat_value value)
{
    if (target->type == CHAT_TUPLE_NODE) return assign_tuple(run, frame, target, value);
    struct chat_value *place = find_value(frame, target->place);
    if (target->type == CHAT_MEMBER_NODE) return assign_member(run, *place, target->attribute, value);
    *place = value;
    return LOAM_OK;
}

enum loam_status chat_capture(struct chat_run *run, struct chat_frame *frame, const struct chat_nodes *body,
                              struct chat_value *text)
{
    struct chat_text *out = run->out, *buffer = chat_pool_take(&run->pool, 1, sizeof *buffer, run->error);
    struct chat_frame *outer = run->frame;
    enum chat_flow flow;
    if (buffer == NULL) return loam_failure(run->error);
    chat_text_init(buffer, &run->pool, run->error);
    run->out = buffer;
    run->frame = frame;
    LOAM_TRY(chat_execute(run, body, &flow));
    run->frame = outer;
    run->out = out;
    return chat_text_finish(buffer, text);
}

// ---- Loops ----

// Takes the next element, which may have been read ahead.
static enum loam_status advance_loop(struct chat_run *run, struct chat_loop *loop)
{
    struct chat_value next = loop->after;
    if (!loop->peeked) LOAM_TRY(chat_next(run, loop->iterator, &next, &loop->ended));
    loop->peeked = false;
    if (loop->ended) return LOAM_OK;
    loop->index0++;
    loop->before = loop->current;
    loop->current = next;
    return LOAM_OK;
}

static enum loam_status start_loop(struct chat_run *run, const struct chat_node *node,
                                   struct chat_loop **loop)
{
    struct chat_value over;
    struct chat_iterator *iterator, *test;
    *loop = chat_pool_take(&run->pool, 1, sizeof **loop, run->error);
    if (*loop == NULL) return loam_failure(run->error);
    LOAM_TRY(chat_evaluate(run, node->second, &over));
    LOAM_TRY(chat_iterate(run, over, &iterator));
    (*loop)->index0 = -1;
    (*loop)->length = node->third == NULL ? chat_length(over) : -1;
    (*loop)->iterator = iterator;
    if (node->third == NULL) return LOAM_OK;
    LOAM_TRY(chat_new_iterator(run, &test));
    test->mode = CHAT_LOOP_TEST;
    test->inner = iterator;
    test->loop = node;
    LOAM_TRY(chat_frame_create(run, node->test_scope, run->frame, &test->test_frame));
    chat_frame_enter(run, test->test_frame);
    (*loop)->iterator = test;
    return LOAM_OK;
}

static enum loam_status execute_for(struct chat_run *run, const struct chat_node *node, enum chat_flow *flow)
{
    struct chat_loop *loop;
    struct chat_frame *frame, *outer = run->frame;
    bool empty = true;
    LOAM_TRY(start_loop(run, node, &loop));
    LOAM_TRY(chat_frame_create(run, node->scope, outer, &frame));
    for (;;) {
        run->frame = outer;
        LOAM_TRY(advance_loop(run, loop));
        if (loop->ended) break;
        run->frame = frame;
        if (node->uses_loop)
            frame->values[node->place.slot] = (struct chat_value){.kind = CHAT_LOOP, .as.loop = loop};
        LOAM_TRY(chat_assign(run, frame, node->first, loop->current));
        chat_frame_enter(run, frame);
        LOAM_TRY(chat_execute(run, &node->body, flow));
        if (*flow == CHAT_FLOW_NEXT) empty = false; // jinja2 counts the bodies that reach their end
        if (*flow == CHAT_FLOW_BREAK) break;
    }
    run->frame = outer;
    *flow = CHAT_FLOW_NEXT;
    if (!empty) return LOAM_OK;
    LOAM_TRY(chat_frame_create(run, node->else_scope, outer, &frame));
    chat_frame_enter(run, frame);
    run->frame = frame;
    LOAM_TRY(chat_execute(run, &node->others, flow));
    run->frame = outer;
    return LOAM_OK;
}

// ---- Other statements ----

static enum loam_status execute_output(struct chat_run *run, const struct chat_node *node)
{
    for (size_t i = 0; i < node->items.count; i++) {
        const struct chat_node *item = node->items.items[i];
        struct chat_value value = item->value;
        if (item->type != CHAT_CONST_NODE) LOAM_TRY(chat_evaluate(run, item, &value));
        LOAM_TRY(chat_print(run, run->out, value));
    }
    return LOAM_OK;
}

static enum loam_status execute_if(struct chat_run *run, const struct chat_node *node, enum chat_flow *flow)
{
    struct chat_value test;
    LOAM_TRY(chat_evaluate(run, node->first, &test));
    return chat_execute(run, chat_is_true(test) ? &node->body : &node->others, flow);
}

static enum loam_status check_members(struct chat_run *run, const struct chat_node *target)
{
    if (target->type == CHAT_MEMBER_NODE && find_value(run->frame, target->place)->kind != CHAT_NAMESPACE)
        return chat_fail(run, "cannot assign attribute on non-namespace object");
    for (size_t i = 0; i < target->items.count; i++)
        LOAM_TRY(check_members(run, target->items.items[i]));
    return LOAM_OK;
}

static enum loam_status execute_set(struct chat_run *run, const struct chat_node *node)
{
    struct chat_value value;
    LOAM_TRY(check_members(run, node->first));
    LOAM_TRY(chat_evaluate(run, node->second, &value));
    return chat_assign(run, run->frame, node->first, value);
}

// Captures a body in a frame of its own and applies the filters of the block.
static enum loam_status capture_block(struct chat_run *run, const struct chat_node *node,
                                      const struct chat_node *filter, struct chat_value *text)
{
    struct chat_frame *frame, *outer = run->frame;
    LOAM_TRY(chat_frame_create(run, node->scope, outer, &frame));
    chat_frame_enter(run, frame);
    LOAM_TRY(chat_capture(run, frame, &node->body, text));
    run->frame = frame;
    run->captured = *text;
    if (filter != NULL) LOAM_TRY(chat_evaluate(run, filter, text));
    run->frame = outer;
    return LOAM_OK;
}

static enum loam_status execute_set_block(struct chat_run *run, const struct chat_node *node)
{
    struct chat_value text;
    LOAM_TRY(capture_block(run, node, node->second, &text));
    return chat_assign(run, run->frame, node->first, text);
}

static enum loam_status execute_filter_block(struct chat_run *run, const struct chat_node *node)
{
    struct chat_value text;
    LOAM_TRY(capture_block(run, node, node->first, &text));
    return chat_print(run, run->out, text);
}

static enum loam_status execute_macro(struct chat_run *run, const struct chat_node *node)
{
    return chat_macro_create(run, node, find_value(run->frame, node->place));
}

static enum loam_status execute_call_block(struct chat_run *run, const struct chat_node *node)
{
    struct chat_arguments arguments;
    struct chat_value callee, caller, name, text;
    LOAM_TRY(chat_macro_create(run, node, &caller));
    LOAM_TRY(chat_evaluate(run, node->first->first, &callee));
    LOAM_TRY(chat_evaluate_arguments(run, node->first, &arguments));
    LOAM_TRY(chat_make_string(run, "caller", &name));
    arguments.named[arguments.named_count++] = (struct chat_named){name.as.string, caller};
    LOAM_TRY(chat_invoke(run, callee, &arguments, &text));
    return chat_print(run, run->out, text);
}

static enum loam_status execute_generation(struct chat_run *run, const struct chat_node *node)
{
    struct chat_value text;
    LOAM_TRY(capture_block(run, node, NULL, &text));
    return chat_text_append_part(run->out, text.as.string, 0, text.as.string->size, CHAT_GENERATED);
}

static enum loam_status execute_with(struct chat_run *run, const struct chat_node *node, enum chat_flow *flow)
{
    struct chat_frame *frame, *outer = run->frame;
    struct chat_value value;
    LOAM_TRY(chat_frame_create(run, node->scope, outer, &frame));
    chat_frame_enter(run, frame);
    for (size_t i = 0; i < node->items.count; i++) {
        LOAM_TRY(chat_evaluate(run, node->others.items[i], &value));
        LOAM_TRY(chat_assign(run, frame, node->items.items[i], value));
    }
    run->frame = frame;
    LOAM_TRY(chat_execute(run, &node->body, flow));
    run->frame = outer;
    return LOAM_OK;
}

static enum loam_status execute_statement(struct chat_run *run, const struct chat_node *node,
                                          enum chat_flow *flow)
{
    *flow = CHAT_FLOW_NEXT;
    switch (node->type) {
    case CHAT_OUTPUT_NODE:
        return execute_output(run, node);
    case CHAT_FOR_NODE:
        return execute_for(run, node, flow);
    case CHAT_IF_NODE:
        return execute_if(run, node, flow);
    case CHAT_SET_NODE:
        return execute_set(run, node);
    case CHAT_SET_BLOCK_NODE:
        return execute_set_block(run, node);
    case CHAT_MACRO_NODE:
        return execute_macro(run, node);
    case CHAT_CALL_BLOCK_NODE:
        return execute_call_block(run, node);
    case CHAT_FILTER_BLOCK_NODE:
        return execute_filter_block(run, node);
    case CHAT_WITH_NODE:
        return execute_with(run, node, flow);
    case CHAT_GENERATION_NODE:
        return execute_generation(run, node);
    default:
        *flow = node->type == CHAT_BREAK_NODE ? CHAT_FLOW_BREAK : CHAT_FLOW_CONTINUE;
        return LOAM_OK;
    }
}

enum loam_status chat_execute(struct chat_run *run, const struct chat_nodes *body, enum chat_flow *flow)
{
    *flow = CHAT_FLOW_NEXT;
    LOAM_TRY(chat_descend(run));
    for (size_t i = 0; i < body->count && *flow == CHAT_FLOW_NEXT; i++) {
        LOAM_TRY(chat_step(run));
        enum loam_status status = execute_statement(run, body->items[i], flow);
        if (status == LOAM_OK) continue;
        if (run->place == NULL) run->place = body->items[i];
        return status;
    }
    chat_ascend(run);
    return LOAM_OK;
}
