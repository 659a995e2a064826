// A prompt template: parsed, and rendered with a value for each field that it names.
#include <stdlib.h>
#include <string.h>

#include "data/template.h"
#include "fuzz.h"

static const struct loam_special_tokens special = {.bos = -1, .eos = 2, .eos_text = "</s>"};

static void check_rendered(const struct loam_rendered *rendered)
{
    fuzz_require(rendered->completion_start <= rendered->text.size);
    fuzz_require(rendered->context_start <= rendered->context_end);
    fuzz_require(rendered->context_end <= rendered->text.size);
    size_t end = 0;
    for (size_t i = 0; i < rendered->mark_count; i++) {
        fuzz_require(rendered->marks[i].start >= end && rendered->marks[i].end > rendered->marks[i].start);
        end = rendered->marks[i].end;
    }
    fuzz_require(end <= rendered->text.size);
}

static void render(const struct loam_template *template, const struct loam_field *fields, size_t count)
{
    struct loam_error error;
    struct loam_rendered rendered = {0};
    for (int prompt_only = 0; prompt_only < 2; prompt_only++) {
        enum loam_status status =
            loam_template_render(template, fields, count, &special, prompt_only == 1, &rendered, &error);
        fuzz_require_message(status, &error);
        if (status == LOAM_OK) check_rendered(&rendered);
    }
    // Rendering without fields is an error unless the prompt needs none.
    fuzz_require(loam_template_render(template, fields, 0, NULL, false, &rendered, &error) != LOAM_OK);
    loam_rendered_deinit(&rendered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char value[] = "{value}\n";
    struct loam_error error;
    struct loam_template *template;
    enum loam_status status = loam_template_parse(&template, (const char *)data, size, "template", &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return 0;
    size_t count = loam_template_field_count(template);
    fuzz_require(count >= 1);
    struct loam_field *fields = calloc(count, sizeof *fields);
    fuzz_require(fields != NULL);
    for (size_t i = 0; i < count; i++)
        fields[i] = (struct loam_field){loam_template_field_name(template, i), value, sizeof value - 1};
    render(template, fields, count);
    free(fields);
    loam_template_destroy(template);
    return 0;
}
