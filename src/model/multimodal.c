#include "model/multimodal.h"

#include <string.h>

#include "base/heap.h"

// Models whose class computes the same as their text model where a batch holds text alone (transformers'
// modeling files; scripts/parity multimodal). Left out are those that attend otherwise (paligemma), that leave
// out a factor of their text model (aya_vision, cohere2_vision), or that hold a model with its own head.
static const struct loam_multimodal multimodals[] = {
    {"gemma3", "gemma3_text", true, "language_model.", LOAM_TIE_UNLESS_FALSE},
    {"mistral3", "mistral", false, "language_model.", LOAM_TIE_UNLESS_FALSE},
    {"llava", "llama", false, "language_model.", LOAM_TIE_IF_EITHER},
    {"llava_next", "llama", false, "language_model.", LOAM_TIE_IF_TRUE},
    {"llava_next_video", "llama", false, "language_model.", LOAM_TIE_IF_EITHER},
    {"llava_onevision", "qwen2", false, "language_model.", LOAM_TIE_IF_EITHER},
    {"vipllava", "llama", false, "language_model.", LOAM_TIE_IF_TRUE},
    {"video_llava", "llama", false, "language_model.", LOAM_TIE_IF_TRUE},
    {"internvl", "qwen2", false, "language_model.", LOAM_TIE_UNLESS_FALSE},
    {"lighton_ocr", "qwen3", false, "language_model.", LOAM_TIE_UNLESS_FALSE},
    {"idefics2", "mistral", false, "text_model.", LOAM_TIE_IF_TRUE},
    {"idefics3", "llama", false, "text_model.", LOAM_TIE_IF_TRUE},
    {"smolvlm", "llama", false, "text_model.", LOAM_TIE_IF_TRUE},
};

static const char root_path[] = "model.";

const struct loam_multimodal *loam_multimodal_at(size_t index)
{
    return index < sizeof multimodals / sizeof multimodals[0] ? &multimodals[index] : NULL;
}

const struct loam_multimodal *loam_multimodal_find(const char *model_type)
{
    const struct loam_multimodal *row;
    for (size_t i = 0; (row = loam_multimodal_at(i)) != NULL; i++)
        if (strcmp(row->model_type, model_type) == 0) return row;
    return NULL;
}

// ---- names ----

char *loam_multimodal_module_path(const struct loam_multimodal *multimodal, const char *path,
                                  struct loam_error *error)
{
    const size_t size = strlen(root_path);
    if (multimodal == NULL || strncmp(path, root_path, size) != 0) return loam_strdup(path, error);
    return loam_format(error, "%s%s%s", root_path, multimodal->part, path + size);
}

// Skips `prefix` at the start of a name.
static bool skip(const char **name, const char *prefix)
{
    const size_t size = strlen(prefix);
    if (strncmp(*name, prefix, size) != 0) return false;
    *name += size;
    return true;
}

bool loam_is_of_other_part(const char *name)
{
    static const char *const parts[] = {
        "vision_tower.", "vision_model.", "visual.",      "multi_modal_projector.", "connector.",
        "audio_tower.",  "image_tower.",  "video_tower.", "vision_encoder.",        "vision_projection.",
    };
    (void)skip(&name, root_path);
    if (strcmp(name, "image_newline") == 0) return true;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (skip(&name, parts[i])) return true;
    return false;
}

// Skips what leads to the text part, "model.language_model." or, in transformers 4, "language_model.model.".
// Returns the name of the part with its dot; NULL: the path is not in a part.
static const char *skip_part(const char **path)
{
    static const char *const parts[] = {"language_model.", "text_model."};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const char *rest = *path;
        (void)skip(&rest, root_path);
        if (!skip(&rest, parts[i])) continue;
        (void)skip(&rest, root_path);
        *path = rest;
        return parts[i];
    }
    return NULL;
}

char *loam_multimodal_path(const char *path, struct loam_error *error)
{
    const char *rest = path;
    const char *part = skip_part(&rest);
    if (part == NULL || strncmp(rest, "lm_head", strlen("lm_head")) == 0) return loam_strdup(rest, error);
    return loam_format(error, "%s%s%s", root_path, part, rest);
}

const char *loam_multimodal_rest(const char *path)
{
    return skip_part(&path) == NULL ? NULL : path;
}

bool loam_same_module(const char *a, const char *b)
{
    if (skip_part(&a) == NULL) (void)skip(&a, root_path);
    if (skip_part(&b) == NULL) (void)skip(&b, root_path);
    return strcmp(a, b) == 0;
}
