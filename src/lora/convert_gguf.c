// GGUF LoRA files, as llama.cpp loads them.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "lora/conversion.h"
#include "model/gguf_rows.h"

static const char *metadata_of(const struct loam_conversion *conversion, const char *key)
{
    const char *text = loam_container_metadata(conversion->file, key);
    return text != NULL ? text : "";
}

static enum loam_status check_metadata(const struct loam_conversion *conversion, struct loam_error *error)
{
    const struct loam_family *family = conversion->model->config.family;
    const char *const wanted[][2] = {{"general.type", "adapter"},
                                     {"adapter.type", "lora"},
                                     {"general.architecture", family->gguf_architecture}};
    if (family->gguf_architecture == NULL)
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "llama.cpp has no architecture for a %s model (--model): no GGUF file is an adapter of it",
            family->model_type);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const char *text = metadata_of(conversion, wanted[i][0]);
        if (strcmp(text, wanted[i][1]) == 0) continue;
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" is \"%s\"; expected \"%s\"%s",
                         conversion->settings->path, wanted[i][0], text, wanted[i][1],
                         i < 2 ? ", a LoRA adapter" : " for this model (--model)");
    }
    return LOAM_OK;
}

// The reader of the format scales by alpha / rank, and by 1 where alpha is 0 or missing.
static enum loam_status read_alpha(const struct loam_conversion *conversion, double *alpha,
                                   struct loam_error *error)
{
    const char *text = loam_container_metadata(conversion->file, "adapter.lora.alpha");
    char *end;
    *alpha = 0;
    if (text == NULL) return LOAM_OK;
    *alpha = strtod(text, &end);
    if (*text != '\0' && *end == '\0' && isfinite(*alpha) && *alpha >= 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: \"adapter.lora.alpha\" is \"%.40s\"; expected a number of 0 or more",
                     conversion->settings->path, text);
}

static enum loam_status read_module(struct loam_conversion *conversion, const struct loam_linear *linear,
                                    double alpha, bool *used, struct loam_error *error)
{
    static const char *const ends[] = {".lora_a", ".lora_b"};
    struct loam_converted_part part = {.linear = linear};
    char *name = loam_gguf_tensor_name(linear->weight, error);
    if (name == NULL) return error->status;
    enum loam_status status = loam_conversion_find_pair(conversion, name, ends, used, &part, error);
    free(name);
    if (status != LOAM_OK || part.a == NULL) return status;
    part.rank = part.a->rank == 2 ? part.a->shape[0] : 0;
    return loam_conversion_add(conversion, &part, alpha == 0 ? 1 : alpha / (double)part.rank, error);
}

enum loam_status loam_conversion_read_gguf(struct loam_conversion *conversion, struct loam_error *error)
{
    const struct loam_linear *linear;
    double alpha;
    LOAM_TRY(loam_container_open_file(&conversion->file, conversion->settings->path, error));
    LOAM_TRY(check_metadata(conversion, error));
    LOAM_TRY(read_alpha(conversion, &alpha, error));
    bool *used = loam_calloc(loam_container_count(conversion->file), sizeof *used, error);
    if (used == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; status == LOAM_OK && (linear = loam_model_linear_at(conversion->model, i)) != NULL;
         i++)
        status = read_module(conversion, linear, alpha, used, error);
    if (status == LOAM_OK) status = loam_conversion_check_used(conversion, used, error);
    free(used);
    return status;
}
