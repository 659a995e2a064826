// The text part of a multimodal config.json.
#include <string.h>

#include "base/json.h"
#include "model/config_parts.h"
#include "model/multimodal.h"

static bool ends_with(const char *text, const char *end)
{
    const size_t size = strlen(text), length = strlen(end);
    return size >= length && strcmp(text + size - length, end) == 0;
}

static enum loam_status check_architecture(const json_t *root, const char *name, struct loam_error *error)
{
    const char *text = json_string_value(json_array_get(json_object_get(root, "architectures"), 0));
    if (text == NULL || ends_with(text, "ForConditionalGeneration") || ends_with(text, "Model"))
        return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: \"architectures\" is %s; of a multimodal model only ...ForConditionalGeneration is "
                     "supported",
                     name, text);
}

enum loam_status loam_config_text_part(const struct loam_multimodal *multimodal, const json_t *root,
                                       const char *name, json_t **text, struct loam_error *error)
{
    static const char key[] = "text_config";
    const json_t *part = json_object_get(root, key);
    json_t *quantised = json_object_get(root, "quantization_config");
    LOAM_TRY(check_architecture(root, name, error));
    if (!json_is_object(part))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"%s\" is missing; loam uses the text part of a %s model, which that describes",
                         name, key, multimodal->model_type);
    *text = json_copy((json_t *)(uintptr_t)part);
    int failed = *text == NULL;
    if (multimodal->text_type_fixed || !loam_config_is_given(part, "model_type"))
        failed = failed || json_object_set_new(*text, "model_type", json_string(multimodal->text_type)) != 0;
    if (quantised != NULL) failed = failed || json_object_set(*text, "quantization_config", quantised) != 0;
    if (!failed) {
        (void)json_object_del(*text, "architectures");
        return LOAM_OK;
    }
    json_decref(*text);
    *text = NULL;
    return loam_fail(error, LOAM_ERROR_MEMORY, "%s: out of memory", name);
}

static enum loam_status read_tie(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    const enum loam_tie_rule rule = config->multimodal->tie;
    const bool text = config->tied_head;
    bool tied = rule == LOAM_TIE_UNLESS_FALSE;
    LOAM_TRY(loam_json_get_bool(root, name, "tie_word_embeddings", &tied, error));
    config->tied_head = tied || (rule == LOAM_TIE_IF_EITHER && text);
    return LOAM_OK;
}

static bool has_head_bias(const struct loam_family *family)
{
    for (size_t i = 0; i < family->row_count; i++)
        if (family->rows[i].role == LOAM_ROLE_HEAD && (family->rows[i].flags & LOAM_WEIGHT_BIAS) != 0)
            return true;
    return false;
}

// The head of a multimodal class is a matrix alone.
enum loam_status loam_config_complete_text_part(struct loam_config *config, const json_t *root,
                                                const char *name, struct loam_error *error)
{
    const char *type = config->multimodal->model_type, *text_type = config->family->model_type;
    const bool plain = config->logit_factor == 1 && config->logit_softcap == 0;
    if (strcmp(config->family->prefix, "model.") != 0 || !plain || has_head_bias(config->family))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: a %s model with a text part of the type %s%s is not supported: transformers "
                         "computes its logits otherwise than those of the text model",
                         name, type, text_type, plain ? "" : " that scales its logits");
    LOAM_TRY(read_tie(config, root, name, error));
    loam_config_tell(config,
                     "\"model_type\" is %s, a multimodal model: only its text part is used, a %s model", type,
                     text_type);
    return LOAM_OK;
}
