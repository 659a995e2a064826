// DoRA where PEFT draws other random numbers, or has no counterpart: with dropout, on some rows, with a factor. With
// magnitudes that equal the norms it is LoRA, and the gradients of other magnitudes are finite differences.
#include "parity/run/common_golden.h"

#include <math.h>

#include "isa.h"

// How a run goes through its adapter.
struct way {
    float dropout;
    float factor;
    int32_t first, rows;
};
static const struct way ways[] = {
    {0.0f, 1.0f, 0, LOAM_ALL_ROWS},
    {0.4f, 1.0f, 0, LOAM_ALL_ROWS},
    {0.0f, -0.7f, 0, LOAM_ALL_ROWS},
    {0.3f, 0.5f, 0, LOAM_ALL_ROWS},
    {0.0f, 1.0f, 3, 11},
    {0.4f, 1.3f, 5, LOAM_ALL_ROWS},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

// Linears of layers; an embedding.
static const char *const names[] = {"modules-dora", "modules-dora-embedding"};
static struct CMUnitTest of_golden(const char *label, CMUnitTestFunction test, size_t name)
{
    return (struct CMUnitTest){
        .name = label, .test_func = test, .initial_state = (void *)(uintptr_t)names[name]};
}

// The slots are those of the adapter, which shares them with the decoder.
static struct loam_adapter_slots *slots_of(struct golden_run *run)
{
    return (struct loam_adapter_slots *)(uintptr_t)loam_adapter_slots(run->adapter);
}

static void start(struct golden_run *run, const struct golden *golden, const char *device,
                  const struct way *way)
{
    struct loam_error error;
    golden_run_start(run, golden,
                     &(struct golden_run_options){.device = device, .dtype = LOAM_F32, .adapter = "adapter"});
    struct loam_adapter_slots *slots = slots_of(run);
    for (size_t i = 0; i < slots->count; i++)
        slots->slots[i].dropout = way->dropout;
    const struct loam_segment segment = {slots, way->first, way->rows, way->factor};
    assert_ok(loam_decoder_adapt(run->decoder, &(struct loam_segments){&segment, 1}, &error));
}

static float *gradients_of(struct golden_run *run)
{
    golden_run_zero_gradients(run);
    (void)golden_run_train(run, 1 / run->batch.labels.weight);
    return golden_run_download(run, &run->set.gradients);
}

// ---- magnitudes that equal the norms ----

static void take_norms(struct golden_run *run)
{
    struct loam_error error;
    struct loam_stream stream;
    const struct loam_linear *linear;
    assert_ok(loam_stream_init(&stream, run->device, 0, &error));
    for (size_t i = 0; (linear = loam_model_module_at(run->model, i)) != NULL; i++) {
        const struct loam_lora_slot *slot = &slots_of(run)->slots[linear->index];
        if (slot->rank == 0) continue;
        assert_true(slot->dora);
        loam_dora_norm(&stream, &(struct loam_dora_norm_args){.w = linear->weight->handle.weight,
                                                              .a = slot->a,
                                                              .b = slot->b,
                                                              .scale = slot->scale,
                                                              .columns = linear == &run->model->embedder,
                                                              .norms = slot->magnitude});
    }
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
}

static void check_is_lora(const struct golden *golden, const char *device, const struct way *way)
{
    struct golden_run dora, lora;
    start(&dora, golden, device, way);
    start(&lora, golden, device, way);
    take_norms(&dora);
    for (size_t i = 0; i < slots_of(&lora)->count; i++)
        slots_of(&lora)->slots[i].dora = false;
    const int64_t logit_count = dora.batch.tokens * dora.model->config.vocabulary;
    float *dora_logits = golden_run_logits(&dora), *lora_logits = golden_run_logits(&lora);
    assert_true(golden_error(dora_logits, lora_logits, logit_count) < 2e-6);
    float *dora_gradients = gradients_of(&dora), *lora_gradients = gradients_of(&lora);
    for (size_t i = 0; i < dora.set.count; i++) {
        const struct loam_tensor *grad = &dora.set.items[i].grad;
        const ptrdiff_t at = (float *)grad->data - (float *)dora.set.gradients.data;
        if (strstr(dora.set.items[i].name, "magnitude") != NULL) continue;
        const double difference =
            golden_error(dora_gradients + at, lora_gradients + at, loam_tensor_count(grad));
        if (!(difference < 2e-5))
            fail_msg("%s on %s: the gradient is %g from LoRA's", dora.set.items[i].name, device, difference);
    }
    free(dora_logits);
    free(lora_logits);
    free(dora_gradients);
    free(lora_gradients);
    golden_run_end(&dora);
    golden_run_end(&lora);
}

static void test_is_lora(void **state)
{
    struct golden golden;
    golden_open(&golden, *state);
    for (size_t i = 0; i < WAYS; i++) {
        check_is_lora(&golden, "ref", &ways[i]);
        check_is_lora(&golden, "cpu", &ways[i]);
    }
    golden_close(&golden);
}

// ---- other magnitudes ----

// The weighted loss with element `index` of a value set to `value`.
static double loss_with(struct golden_run *run, const struct loam_tensor *tensor, int64_t index, float value)
{
    ((float *)tensor->data)[index] = value;
    return golden_run_train(run, 1 / run->batch.labels.weight) / run->batch.labels.weight;
}

static double difference_of(struct golden_run *run, const struct loam_tensor *tensor, int64_t index)
{
    const float value = ((float *)tensor->data)[index], step = 0x1p-6f;
    const double near =
        loss_with(run, tensor, index, value + step) - loss_with(run, tensor, index, value - step);
    const double far =
        loss_with(run, tensor, index, value + 2 * step) - loss_with(run, tensor, index, value - 2 * step);
    ((float *)tensor->data)[index] = value;
    return (8 * near - far) / (12 * (double)step);
}

// On the reference device, whose sums are exact. The lowest layer's gradients come through all linears above.
static void check_differences(const struct golden *golden, const struct way *way)
{
    struct golden_run run;
    start(&run, golden, "ref", way);
    float *gradients = gradients_of(&run);
    for (size_t i = 0; i < run.set.count; i++) {
        const struct loam_trainable *item = &run.set.items[i];
        const ptrdiff_t at = (float *)item->grad.data - (float *)run.set.gradients.data;
        if (strstr(item->name, "magnitude") == NULL) continue;
        const int64_t index = (int64_t)(i * 5) % loam_tensor_count(&item->value);
        const double difference = difference_of(&run, &item->value, index),
                     gradient = (double)gradients[at + index];
        if (fabs(difference - gradient) > 1e-4 + 1e-3 * fabs(difference))
            fail_msg("%s[%d]: the gradient is %g, finite differences give %g", item->name, (int)index,
                     gradient, difference);
    }
    free(gradients);
    golden_run_end(&run);
}

static void test_differences(void **state)
{
    struct golden golden;
    golden_open(&golden, *state);
    for (size_t i = 0; i < WAYS; i++)
        check_differences(&golden, &ways[i]);
    golden_close(&golden);
}

// Both devices draw the same dropout.
static void test_devices_agree(void **state)
{
    struct golden golden;
    golden_open(&golden, *state);
    for (size_t i = 0; i < WAYS; i++) {
        struct golden_run ref, cpu;
        start(&ref, &golden, "ref", &ways[i]);
        start(&cpu, &golden, "cpu", &ways[i]);
        float *expected = gradients_of(&ref), *gradients = gradients_of(&cpu);
        const double difference = golden_error(gradients, expected, loam_tensor_count(&ref.set.gradients));
        if (!(difference < 1e-5)) fail_msg("way %zu: the gradients are %g apart", i, difference);
        free(expected);
        free(gradients);
        golden_run_end(&ref);
        golden_run_end(&cpu);
    }
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        of_golden("linears are LoRA", test_is_lora, 0),
        of_golden("an embedding is LoRA", test_is_lora, 1),
        of_golden("differences of linears", test_differences, 0),
        of_golden("differences of an embedding", test_differences, 1),
        of_golden("devices agree on linears", test_devices_agree, 0),
        of_golden("devices agree on an embedding", test_devices_agree, 1),
    };
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
