// loam_render <JSONL: renders chat templates for comparisons with jinja2. Each line is an object with "template",
// "messages" and optionally "tools", "documents", "variables", "add_generation_prompt" and "now" ([year, month, day,
// hour, minute, second]). Prints a line for each: {"text": ..., "spans": [[end, message, field, generated], ...]} or
// {"error": ..., "unsupported": whether loam refuses what Python does}.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "chat/template.h"

static const char *text_of(const json_t *value)
{
    return json_is_string(value) ? json_string_value(value) : "";
}

static struct tm read_time(const json_t *now)
{
    struct tm time = {.tm_year = 2024 - 1900, .tm_mday = 1, .tm_isdst = -1};
    int *const fields[] = {&time.tm_year, &time.tm_mon, &time.tm_mday,
                           &time.tm_hour, &time.tm_min, &time.tm_sec};
    for (size_t i = 0; i < json_array_size(now) && i < sizeof fields / sizeof fields[0]; i++)
        *fields[i] = (int)json_integer_value(json_array_get(now, i)) - (i == 0 ? 1900 : i == 1);
    mktime(&time); // the day of the week and of the year
    return time;
}

static json_t *describe_spans(const struct loam_chat_rendering *rendering)
{
    json_t *spans = json_array();
    for (size_t i = 0; i < rendering->span_count; i++) {
        const struct loam_chat_span *span = &rendering->spans[i];
        int message = span->is_input ? span->message : -2;
        loam_json_push(
            &spans, json_pack("[I,i,s?,b]", (json_int_t)span->end, message, span->field, span->is_generated));
    }
    return spans;
}

static json_t *render(const json_t *request, struct loam_error *error)
{
    struct loam_chat_template *chat_template;
    struct loam_chat_rendering rendering = {0};
    const json_t *text = json_object_get(request, "template");
    json_t *answer = NULL;
    if (loam_chat_template_parse(&chat_template, text_of(text), json_string_length(text), "template",
                                 error) != LOAM_OK)
        return NULL;
    struct loam_chat_input input = {
        .messages = json_object_get(request, "messages"),
        .tools = json_object_get(request, "tools"),
        .documents = json_object_get(request, "documents"),
        .variables = json_object_get(request, "variables"),
        .add_generation_prompt = json_is_true(json_object_get(request, "add_generation_prompt")),
        .now = read_time(json_object_get(request, "now")),
    };
    if (loam_chat_template_render(chat_template, &input, &rendering, error) == LOAM_OK)
        answer = json_pack("{s:s%,s:o}", "text", rendering.text.data == NULL ? "" : rendering.text.data,
                           rendering.text.size, "spans", describe_spans(&rendering));
    loam_chat_rendering_deinit(&rendering);
    loam_chat_template_destroy(chat_template);
    return answer;
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    struct loam_error error = {0};
    for (ptrdiff_t size; (size = getline(&line, &capacity, stdin)) > 0;) {
        json_t *request = NULL;
        if (loam_json_parse(&request, line, (size_t)size, "request", &error) != LOAM_OK) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
        json_t *answer = render(request, &error);
        if (answer == NULL)
            answer = json_pack("{s:s, s:b}", "error", error.message, "unsupported",
                               error.status == LOAM_ERROR_UNSUPPORTED);
        if (answer == NULL || json_dumpf(answer, stdout, JSON_COMPACT) != 0) return 1;
        putchar('\n');
        fflush(stdout); // a crash leaves the answers before it
        json_decref(answer);
        json_decref(request);
    }
    free(line);
    return 0;
}
