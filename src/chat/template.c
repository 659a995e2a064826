#include "chat/template.h"

#include <stdlib.h>

#include "base/grow.h"
#include "base/heap.h"
#include "base/utf8.h"
#include "chat/input.h"
#include "chat/run.h"

enum {
    TEMPLATE_LIMIT = 64 << 20, // bytes of a parsed template
    RUN_LIMIT = 512 << 20,     // bytes of a rendering's values
    OUTPUT_LIMIT = 256 << 20,  // bytes
    STEPS = 1000000,           // of a rendering
    STEPS_FOR_VALUE = 5000,    // more for each value of the input
    MOST_VALUES = 4000000,     // of the input
};

struct loam_chat_template {
    struct chat_pool pool;
    struct chat_source source;
    struct chat_nodes body;
    struct chat_scope *scope;
    bool has_generation;
};

static bool find_generation(const struct chat_nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        const struct chat_node *node = nodes->items[i];
        bool statement = node->type == CHAT_FOR_NODE || node->type == CHAT_IF_NODE;
        if (node->type == CHAT_GENERATION_NODE || find_generation(&node->body) ||
            (statement && find_generation(&node->others)))
            return true;
    }
    return false;
}

static enum loam_status parse(struct loam_chat_template *made, const char *text, size_t size,
                              const char *name, struct loam_error *error)
{
    size_t mark = loam_byte_order_mark(text, size), valid = loam_utf8_check(text, size);
    if (valid != size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: byte %zu is not UTF-8. %s", name, valid,
                         LOAM_ENCODING_REMEDY);
    LOAM_TRY(chat_source_normalise(&made->source, name, text + mark, size - mark, &made->pool, error));
    LOAM_TRY(chat_parse(&made->body, &made->source, &made->pool, error));
    LOAM_TRY(chat_resolve(&made->scope, &made->body, &made->source, &made->pool, error));
    made->has_generation = find_generation(&made->body);
    return LOAM_OK;
}

enum loam_status loam_chat_template_parse(struct loam_chat_template **out, const char *text, size_t size,
                                          const char *name, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    *out = NULL;
    struct loam_chat_template *made = loam_calloc(1, sizeof *made, error);
    if (made == NULL) return loam_failure(error);
    chat_pool_init(&made->pool, TEMPLATE_LIMIT);
    enum loam_status status = parse(made, text == NULL ? "" : text, size, name, error);
    if (status == LOAM_OK)
        *out = made;
    else
        loam_chat_template_destroy(made);
    return status;
}

void loam_chat_template_destroy(struct loam_chat_template *chat_template)
{
    if (chat_template == NULL) return;
    chat_pool_deinit(&chat_template->pool);
    free(chat_template);
}

bool loam_chat_template_has_generation(const struct loam_chat_template *chat_template)
{
    return chat_template->has_generation;
}

static bool any_writes(const struct chat_nodes *nodes, const char *text, size_t size);

static bool writes(const struct chat_node *node, const char *text, size_t size)
{
    if (node == NULL) return false;
    if (node->type == CHAT_CONST_NODE && node->value.kind == CHAT_STRING) {
        const struct chat_string *string = node->value.as.string;
        return string->size >= size && memmem(string->data, string->size, text, size) != NULL;
    }
    return writes(node->first, text, size) || writes(node->second, text, size) ||
           writes(node->third, text, size) || writes(node->more, text, size) ||
           writes(node->more_named, text, size) || any_writes(&node->items, text, size) ||
           any_writes(&node->others, text, size) || any_writes(&node->body, text, size) ||
           any_writes(&node->defaults, text, size) || any_writes(&node->keywords, text, size);
}

static bool any_writes(const struct chat_nodes *nodes, const char *text, size_t size)
{
    for (size_t i = 0; i < nodes->count; i++)
        if (writes(nodes->items[i], text, size)) return true;
    return false;
}

bool loam_chat_template_writes(const struct loam_chat_template *chat_template, const char *text, size_t size)
{
    return any_writes(&chat_template->body, text, size);
}

// ---- Rendering ----

// Copies a piece of the source for a message: one line, at most 60 bytes.
static void quote_source(const struct chat_source *source, const struct chat_node *node, char quote[80])
{
    enum { LONGEST = 60 };
    size_t size = node->end - node->start, kept = loam_utf8_fit(source->text + node->start, size, LONGEST);
    snprintf(quote, 80, "%.*s%s", (int)kept, source->text + node->start, kept < size ? "..." : "");
}

// Puts the place in the template in front of the message.
static enum loam_status explain(const struct chat_run *run)
{
    struct loam_error *error = run->error;
    char quote[80];
    if (error->status == LOAM_ERROR_MEMORY) return LOAM_ERROR_MEMORY;
    if (run->place == NULL) return loam_fail_prefix(error, "%s", run->source->name);
    if (run->raised)
        return loam_fail_prefix(error, "%s, line %u, refuses the conversation", run->source->name,
                                run->place->line);
    quote_source(run->source, run->place, quote);
    return loam_fail_prefix(error, "%s, line %u, in \"%s\"", run->source->name, run->place->line, quote);
}

static enum loam_status add_span(struct loam_chat_rendering *rendering, struct chat_span span,
                                 const struct chat_sources *sources, const json_t *messages,
                                 struct loam_error *error)
{
    struct loam_chat_span *spans = loam_grow(rendering->spans, &rendering->span_capacity,
                                             rendering->span_count + 1, sizeof *spans, error);
    if (spans == NULL) return loam_failure(error);
    rendering->spans = spans;
    struct loam_chat_span made = {
        .end = span.end, .message = -1, .is_generated = (span.origin & CHAT_GENERATED) != 0};
    uint32_t origin = span.origin & ~CHAT_GENERATED;
    if (origin != CHAT_TEMPLATE_ORIGIN) {
        const struct chat_input_source *source = &sources->items[origin - 1];
        made.is_input = true;
        made.message = source->message;
        made.field = source->field;
        made.role =
            json_string_value(json_object_get(json_array_get(messages, (size_t)source->message), "role"));
    }
    spans[rendering->span_count++] = made;
    return LOAM_OK;
}

static enum loam_status render(struct chat_run *run, const struct loam_chat_template *chat_template,
                               const struct loam_chat_input *input, struct loam_chat_rendering *rendering)
{
    struct chat_sources sources = {0};
    enum chat_flow flow;
    run->steps = MOST_VALUES;
    LOAM_TRY(chat_input_read(run, input, &sources));
    run->steps = STEPS + STEPS_FOR_VALUE * (MOST_VALUES - run->steps);
    struct chat_text *out = &run->output;
    chat_text_init(out, &run->pool, run->error);
    out->limit = OUTPUT_LIMIT;
    run->out = out;
    LOAM_TRY(chat_frame_create(run, chat_template->scope, NULL, &run->frame));
    chat_frame_enter(run, run->frame);
    LOAM_TRY(chat_execute(run, &chat_template->body, &flow));
    LOAM_TRY(loam_bytes_append(&rendering->text, out->data, out->size, run->error));
    for (size_t i = 0; i < out->span_count; i++)
        LOAM_TRY(add_span(rendering, out->spans[i], &sources, input->messages, run->error));
    return LOAM_OK;
}

enum loam_status loam_chat_template_render(const struct loam_chat_template *chat_template,
                                           const struct loam_chat_input *input,
                                           struct loam_chat_rendering *rendering, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    loam_bytes_clear(&rendering->text);
    rendering->span_count = 0;
    struct chat_run run = {.source = &chat_template->source,
                           .error = error,
                           .now = input->now,
                           .microsecond = input->microsecond};
    chat_pool_init(&run.pool, RUN_LIMIT);
    enum loam_status status = render(&run, chat_template, input, rendering);
    if (status != LOAM_OK) status = explain(&run);
    chat_pool_deinit(&run.pool);
    return status;
}

void loam_chat_rendering_deinit(struct loam_chat_rendering *rendering)
{
    loam_bytes_deinit(&rendering->text);
    free(rendering->spans);
    *rendering = (struct loam_chat_rendering){0};
}
