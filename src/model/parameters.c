// The parameters of a pass: those of the model, or of the adapter that replaces them.
#include "model/pass.h"

static size_t place_of(const struct loam_model *model, const struct loam_parameter *parameter)
{
    return (size_t)(parameter - model->parameters);
}

// The weight of a tied head has a place of its own, after all parameters.
static size_t weight_place(const struct loam_model *model, const struct loam_linear *linear)
{
    const bool tied = linear == &model->head && linear->weight == model->embedding;
    return tied ? model->parameter_count : place_of(model, linear->weight);
}

static const struct loam_replacement *replacement_of(const struct loam_adapter_slots *adapter, size_t place)
{
    return place < adapter->replaced_count ? adapter->replaced[place] : NULL;
}

// The replacement of a parameter in a pass; NULL: none. At most one adapter of a pass has any
// (loam_decoder_check_segments).
static const struct loam_replacement *find_replacement(const struct loam_pass *pass, size_t place)
{
    const struct loam_replacement *found = NULL;
    for (size_t i = 0; i < pass->decoder->segment_count && found == NULL; i++)
        if (pass->decoder->of_rows[i].rows > 0)
            found = replacement_of(pass->decoder->of_rows[i].adapter, place);
    return found;
}

static struct loam_tensor gradient_of_model(const struct loam_decoder *decoder,
                                            const struct loam_parameter *parameter)
{
    if (decoder->limits.gradients == NULL) return (struct loam_tensor){0};
    return decoder->limits.gradients[place_of(decoder->model, parameter)];
}

// ---- of a pass ----

struct loam_tensor loam_pass_value(const struct loam_pass *pass, const struct loam_parameter *parameter)
{
    if (parameter == NULL) return (struct loam_tensor){0};
    const struct loam_replacement *replacement = find_replacement(pass, place_of(pass->model, parameter));
    return replacement != NULL ? replacement->value : parameter->value;
}

const struct loam_weight_handle *loam_pass_weight(const struct loam_pass *pass,
                                                  const struct loam_linear *linear)
{
    const struct loam_replacement *replacement = find_replacement(pass, weight_place(pass->model, linear));
    return replacement != NULL ? &replacement->handle : &linear->weight->handle;
}

static struct loam_tensor pass_gradient(const struct loam_pass *pass, const struct loam_parameter *parameter,
                                        size_t place)
{
    const struct loam_replacement *replacement = find_replacement(pass, place);
    return replacement != NULL ? replacement->gradient : gradient_of_model(pass->decoder, parameter);
}

struct loam_tensor loam_pass_gradient(const struct loam_pass *pass, const struct loam_parameter *parameter)
{
    if (parameter == NULL) return (struct loam_tensor){0};
    return pass_gradient(pass, parameter, place_of(pass->model, parameter));
}

struct loam_tensor loam_pass_weight_gradient(const struct loam_pass *pass, const struct loam_linear *linear)
{
    return pass_gradient(pass, linear->weight, weight_place(pass->model, linear));
}

// ---- of any pass ----

static struct loam_tensor decoder_gradient(const struct loam_decoder *decoder,
                                           const struct loam_parameter *parameter, size_t place)
{
    for (size_t i = 0; i < decoder->adapter_count; i++) {
        const struct loam_replacement *replacement = replacement_of(decoder->adapters[i], place);
        if (replacement != NULL && replacement->gradient.data != NULL) return replacement->gradient;
    }
    return gradient_of_model(decoder, parameter);
}

struct loam_tensor loam_decoder_gradient(const struct loam_decoder *decoder,
                                         const struct loam_parameter *parameter)
{
    if (parameter == NULL) return (struct loam_tensor){0};
    return decoder_gradient(decoder, parameter, place_of(decoder->model, parameter));
}

struct loam_tensor loam_decoder_weight_gradient(const struct loam_decoder *decoder,
                                                const struct loam_linear *linear)
{
    return decoder_gradient(decoder, linear->weight, weight_place(decoder->model, linear));
}
