// Shows the families that are built and the mechanisms of each.
#include <stdlib.h>
#include <string.h>

#include "commands/inspect.h"
#include "commands/output.h"
#include "model/describe.h"
#include "model/multimodal.h"

enum loam_status loam_inspect_traits(struct loam_bytes *text, const struct loam_family *family,
                                     const struct loam_config *config, const char *indent,
                                     struct loam_error *error)
{
    for (int trait = 0; trait < LOAM_TRAIT_COUNT; trait++) {
        const char *name = loam_trait_name((enum loam_trait)trait);
        LOAM_TRY(loam_bytes_format(text, error, "%s%s:%*s", indent, name, 11 - (int)strlen(name), ""));
        LOAM_TRY(loam_describe_trait(family, config, (enum loam_trait)trait, text, error));
        LOAM_TRY(loam_bytes_append_text(text, "\n", error));
    }
    return LOAM_OK;
}

enum loam_status loam_inspect_traits_json(json_t **object, const struct loam_family *family,
                                          const struct loam_config *config, struct loam_error *error)
{
    for (int trait = 0; trait < LOAM_TRAIT_COUNT; trait++) {
        struct loam_bytes text = {0};
        const enum loam_status status =
            loam_describe_trait(family, config, (enum loam_trait)trait, &text, error);
        if (status == LOAM_OK)
            loam_json_put(object, loam_trait_name((enum loam_trait)trait), json_string(text.data));
        loam_bytes_deinit(&text);
        LOAM_TRY(status);
    }
    return LOAM_OK;
}

// ---- Text ----

// "falcon, where parallel_attn is true and alibi is false"
static enum loam_status format_title(struct loam_bytes *text, const struct loam_family *family,
                                     struct loam_error *error)
{
    LOAM_TRY(loam_bytes_append_text(text, family->model_type, error));
    for (int i = 0; i < LOAM_FAMILY_CASES && family->cases[i].key != NULL; i++)
        LOAM_TRY(loam_bytes_format(text, error, "%s %s is %s", i == 0 ? ", where" : " and",
                                   family->cases[i].key, family->cases[i].value));
    LOAM_TRY(loam_bytes_format(text, error, " (%s)\n", family->architecture));
    LOAM_TRY(loam_inspect_traits(text, family, NULL, "  ", error));
    return loam_bytes_format(text, error, "  llama.cpp:  %s\n\n",
                             family->gguf_architecture == NULL ? "none" : family->gguf_architecture);
}

static enum loam_status format_text(struct loam_bytes *text, struct loam_error *error)
{
    const struct loam_multimodal *row;
    for (size_t i = 0; loam_family_at(i) != NULL; i++)
        LOAM_TRY(format_title(text, loam_family_at(i), error));
    LOAM_TRY(loam_bytes_append_text(text, "the text part of", error));
    for (size_t i = 0; (row = loam_multimodal_at(i)) != NULL; i++)
        LOAM_TRY(loam_bytes_format(text, error, "%s %s", i == 0 ? "" : ",", row->model_type));
    return loam_bytes_append_text(text, "\n", error);
}

// ---- JSON ----

static json_t *cases_json(const struct loam_family *family)
{
    json_t *cases = json_object();
    for (int i = 0; i < LOAM_FAMILY_CASES && family->cases[i].key != NULL; i++)
        loam_json_put(&cases, family->cases[i].key, json_string(family->cases[i].value));
    return cases;
}

static enum loam_status make_json(json_t **root, struct loam_error *error)
{
    const struct loam_multimodal *row;
    json_t *families = json_array(), *multimodal = json_array();
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; loam_family_at(i) != NULL && status == LOAM_OK; i++) {
        const struct loam_family *family = loam_family_at(i);
        json_t *object = json_pack("{s:s, s:s, s:o, s:s?}", "model_type", family->model_type, "architecture",
                                   family->architecture, "where", cases_json(family), "gguf_architecture",
                                   family->gguf_architecture);
        status = loam_inspect_traits_json(&object, family, NULL, error);
        loam_json_push(&families, object);
    }
    for (size_t i = 0; (row = loam_multimodal_at(i)) != NULL; i++)
        loam_json_push(&multimodal, json_string(row->model_type));
    *root = json_pack("{s:s, s:o, s:o}", "kind", "families", "families", families, "multimodal", multimodal);
    return status;
}

enum loam_status loam_inspect_families(const struct loam_settings *settings,
                                       const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct loam_bytes text = {0};
    if (settings->json) {
        json_t *root = NULL;
        const enum loam_status status = make_json(&root, error);
        if (status == LOAM_OK) return loam_output_json(callbacks, root, JSON_INDENT(2), error);
        json_decref(root);
        return status;
    }
    enum loam_status status = format_text(&text, error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}
