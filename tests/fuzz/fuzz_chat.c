// A chat template: parsed, and rendered with a conversation, tools and variables.
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "chat/template.h"
#include "fuzz.h"

static const char document[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be kind.\"}, {\"role\": \"user\", \"content\": \" "
    "Hi \\u00e9 \"}, "
    "{\"role\": \"assistant\", \"content\": null, \"reasoning\": \"x\", \"tool_calls\": [{\"function\": "
    "{\"name\": \"f\", "
    "\"arguments\": {\"a\": 1, \"b\": [0.5, true]}}}]}, {\"role\": \"tool\", \"content\": \"\"}], "
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {\"type\": "
    "\"object\"}}}], "
    "\"variables\": {\"bos_token\": \"<s>\", \"s\": \"Some Text\", \"n\": 3, \"l\": [3, 1, 2], \"d\": "
    "{\"k\": \"v\"}}}";

static void check_rendering(const struct loam_chat_rendering *rendering, const json_t *messages)
{
    size_t end = 0;
    fuzz_require(loam_utf8_check(rendering->text.data == NULL ? "" : rendering->text.data,
                                 rendering->text.size) == rendering->text.size);
    for (size_t i = 0; i < rendering->span_count; i++) {
        const struct loam_chat_span *span = &rendering->spans[i];
        fuzz_require(span->end > end && span->message >= -1);
        fuzz_require(span->message < (int32_t)json_array_size(messages));
        fuzz_require(span->message < 0 || (span->is_input && span->role != NULL));
        end = span->end;
    }
    fuzz_require(end == rendering->text.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_error error;
    struct loam_chat_template *chat_template;
    enum loam_status status =
        loam_chat_template_parse(&chat_template, (const char *)data, size, "template", &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return 0;
    json_t *root;
    fuzz_require(loam_json_parse(&root, document, sizeof document - 1, "input", &error) == LOAM_OK);
    struct loam_chat_rendering rendering = {0};
    struct loam_chat_input input = {.messages = json_object_get(root, "messages"),
                                    .tools = json_object_get(root, "tools"),
                                    .variables = json_object_get(root, "variables"),
                                    .now = {.tm_year = 126, .tm_mday = 1}};
    for (int prompt = 0; prompt < 2; prompt++) {
        input.add_generation_prompt = prompt == 1;
        status = loam_chat_template_render(chat_template, &input, &rendering, &error);
        fuzz_require_message(status, &error);
        if (status == LOAM_OK) check_rendering(&rendering, input.messages);
    }
    loam_chat_rendering_deinit(&rendering);
    loam_chat_template_destroy(chat_template);
    json_decref(root);
    return 0;
}
