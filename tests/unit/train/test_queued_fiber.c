// The updates of a step that is queued, on the CPU and by the kernels of GPUs: skipped where a loss or the norm is not
// finite, scaled, and over spans of trainables.
#include "device/gpu/fiber/fiber.h"
#include "unit/train/common_set.h"

#include <math.h>

#include "train/optimiser.h"

// ---- a queued step with a scale of the loss ----

// torch.amp.GradScaler with AdamW and clip_grad_norm_ of PyTorch 2.13: the first and the fourth step have gradients that
// are not finite.
enum { SCALED_STEPS = 5 };
static const struct {
    double rate, norm, factor; // the factor after the step
    float spoil;               // in b's gradient; 0: nothing
    float a[6], b[4];
} scaled[SCALED_STEPS] = {
    {0.01, INFINITY, 32768, INFINITY, {0.5f, -1, 2, 0.25f, 0, -3}, {1, -2, 0.5f, 4}},
    {0.02,
     3.5440125465393066,
     32768,
     0,
     {0.479000002f, -0.978000045f, 1.97600007f, 0.249500006f, -0.0200000033f, -2.97399998f},
     {0.980000019f, -1.98000014f, 0.5f, 3.98000002f}},
    {0.005,
     5.136363983154297,
     32768,
     0,
     {0.473758906f, -0.972509444f, 1.97001052f, 0.249375254f, -0.0249915831f, -2.96751142f},
     {0.975362957f, -1.97536314f, 0.5f, 3.97536302f}},
    {0.01,
     NAN,
     16384,
     NAN,
     {0.473758906f, -0.972509444f, 1.97001052f, 0.249375254f, -0.0249915831f, -2.96751142f},
     {0.975362957f, -1.97536314f, 0.5f, 3.97536302f}},
    {0.01,
     8.495080947875977,
     16384,
     0,
     {0.463279366f, -0.961531162f, 1.95803475f, 0.249125883f, -0.0349723697f, -2.95453835f},
     {0.967213511f, -1.96721375f, 0.5f, 3.96721363f}},
};

static struct loam_device *create_device(const char *name)
{
    struct loam_error error;
    struct loam_device *device = NULL;
    if (strcmp(name, "fiber") == 0)
        assert_ok(loam_device_fiber_create(&device, LOAM_FIBER_SHUFFLED, &error));
    else
        assert_ok(loam_device_create(&device, name, 1, &error));
    return device;
}

static void scaled_as_torch(void **state)
{
    struct loam_error error;
    struct loam_device *device = create_device(*state);
    struct loam_trainables set;
    struct loam_optimiser optimiser;
    const struct loam_optimiser_settings settings = {.beta1 = 0.9,
                                                     .beta2 = 0.95,
                                                     .epsilon = 1e-8,
                                                     .weight_decay = 0.1,
                                                     .max_grad_norm = 1,
                                                     .scales_loss = true,
                                                     .loss_rows = 3};
    make_set(&set, device);
    assert_ok(loam_optimiser_init(&optimiser, &set, &settings, &error));
    assert_int_equal(optimiser.spans.count, 1);
    for (int step = 0; step < SCALED_STEPS; step++) {
        const float *losses;
        loam_optimiser_queue_clear(&optimiser);
        set_gradients(&set, step + 1);
        float *gradients = set.gradients.data;
        for (int64_t i = 0; i < loam_tensor_count(&set.gradients); i++)
            gradients[i] *= (float)optimiser.loss_scale.factor;
        if (scaled[step].spoil != 0) ((float *)set.items[1].grad.data)[2] = scaled[step].spoil;
        memcpy(optimiser.losses.data, (float[]){3, 2, (float)step}, 3 * sizeof(float));
        loam_optimiser_queue_losses(&optimiser, 3);
        loam_optimiser_queue_update(&optimiser, scaled[step].rate);
        assert_ok(loam_optimiser_wait(&optimiser, 3, &losses, &error));
        assert_true(losses[0] == 3 && losses[2] == (float)step);
        const double norm = loam_optimiser_settle(&optimiser);
        if (isfinite(scaled[step].norm))
            assert_true(fabs(norm / scaled[step].norm - 1) < 1e-6);
        else
            assert_true(!isfinite(norm));
        loam_loss_scale_update(&optimiser.loss_scale, isfinite(norm));
        assert_true(optimiser.loss_scale.factor == scaled[step].factor);
        check_values(set.items[0].value.data, scaled[step].a, 6);
        check_values(set.items[1].value.data, scaled[step].b, 4);
    }
    assert_int_equal(optimiser.step, 3);
    loam_optimiser_deinit(&optimiser);
    loam_trainables_deinit(&set);
    loam_device_destroy(device);
}

// A loss that is not finite leaves everything as it is, although the gradients are finite.
static void losses_are_looked_at(void **state)
{
    struct loam_error error;
    struct loam_device *device = create_device(*state);
    struct loam_trainables set;
    struct loam_optimiser optimiser;
    const struct loam_optimiser_settings settings = {
        .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .loss_rows = 2};
    make_set(&set, device);
    assert_ok(loam_optimiser_init(&optimiser, &set, &settings, &error));
    for (int step = 0; step < 4; step++) {
        const float *losses, bad[] = {INFINITY, -INFINITY, NAN, 1};
        loam_optimiser_queue_clear(&optimiser);
        set_gradients(&set, 1);
        memcpy(optimiser.losses.data, (float[]){1, bad[step]}, 2 * sizeof(float));
        loam_optimiser_queue_losses(&optimiser, 2);
        loam_optimiser_queue_update(&optimiser, 0.01);
        assert_ok(loam_optimiser_wait(&optimiser, 2, &losses, &error));
        assert_true(isfinite(loam_optimiser_settle(&optimiser)));
        assert_int_equal(optimiser.step, step == 3);
        assert_true((((float *)set.items[1].value.data)[0] == 1) == (step < 3));
        assert_true((((float *)set.items[1].m.data)[0] == 0) == (step < 3));
    }
    loam_optimiser_deinit(&optimiser);
    loam_trainables_deinit(&set);
    loam_device_destroy(device);
}

// ---- spans ----

enum { ITEMS = 26, SHARED = 15, OWNER = 3, OUTSIDE = 7 };

static int64_t size_of_item(int i)
{
    return i == SHARED ? size_of_item(OWNER) : 1 + i * 7 % 41;
}

// Items of many sizes and rates: one has the value of another, one has its value elsewhere.
static void make_items(struct loam_trainables *set, const struct loam_device *device, float *outside)
{
    struct loam_error error;
    *set = (struct loam_trainables){0};
    for (int i = 0; i < ITEMS; i++) {
        float *const data = i == OUTSIDE ? outside : NULL;
        assert_ok(loam_trainables_add(set, "item", loam_tensor_1d(data, LOAM_F32, size_of_item(i)),
                                      i % 3 != 0, NULL, &error));
        set->items[i].rate = i < 12 ? 1 + i % 2 : i;
    }
    loam_trainables_share(set, SHARED, OWNER);
    assert_ok(loam_trainables_allocate(set, device, &error));
    for (int i = 0; i < ITEMS; i++)
        for (int64_t j = 0; j < size_of_item(i); j++) {
            ((float *)set->items[i].value.data)[j] = (float)(i + j) / 16;
            ((float *)set->items[i].grad.data)[j] = (float)((i * 5 + j) % 13 - 6) / 8;
        }
}

// The bits of an update of every item by an op of its own.
static void spans_change_no_bits(void **state)
{
    struct loam_error error;
    struct loam_device *device = create_device(*state);
    struct loam_trainables together, apart;
    struct loam_optimiser optimiser;
    struct loam_stream stream;
    float outside[2][64] = {{0}};
    double norm;
    const struct loam_optimiser_settings settings = {
        .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .max_grad_norm = 1};
    make_items(&together, device, outside[0]);
    make_items(&apart, device, outside[1]);
    assert_ok(loam_optimiser_init(&optimiser, &together, &settings, &error));
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    // Before and after the item outside; at the shared one and after it; of more than eight kinds.
    assert_int_equal(optimiser.spans.count, 6);
    assert_ok(loam_optimiser_gradient_norm(&optimiser, &norm, &error));
    for (int step = 1; step <= 2; step++) {
        assert_ok(loam_optimiser_update(&optimiser, 0.01, &error));
        for (int i = 0; i < ITEMS; i++) {
            const struct loam_trainable *item = &apart.items[i];
            loam_adamw(&stream, &(struct loam_adamw_args){
                                    .param = item->value,
                                    .grad = item->grad,
                                    .m = item->m,
                                    .v = item->v,
                                    .squared_norm = optimiser.squared_norm,
                                    .rates = {{(float)(0.01 * item->rate), item->decayed ? 0.1f : 0}},
                                    .grad_factor = 1,
                                    .max_norm = 1,
                                    .beta1 = 0.9f,
                                    .beta2 = 0.95f,
                                    .eps = 1e-8f,
                                    .step = step});
        }
    }
    assert_ok(loam_stream_finish(&stream, &error));
    for (int i = 0; i < ITEMS; i++) {
        const struct loam_trainable *one = &together.items[i], *other = &apart.items[i];
        const size_t bytes = loam_tensor_bytes(&one->value);
        assert_memory_equal(one->value.data, other->value.data, bytes);
        assert_memory_equal(one->m.data, other->m.data, bytes);
        assert_memory_equal(one->v.data, other->v.data, bytes);
    }
    loam_stream_deinit(&stream);
    loam_optimiser_deinit(&optimiser);
    loam_trainables_deinit(&together);
    loam_trainables_deinit(&apart);
    loam_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"scaled_as_torch, ref", scaled_as_torch, NULL, NULL, "ref"},
        {"scaled_as_torch, cpu", scaled_as_torch, NULL, NULL, "cpu"},
        {"scaled_as_torch, fiber", scaled_as_torch, NULL, NULL, "fiber"},
        {"losses_are_looked_at, ref", losses_are_looked_at, NULL, NULL, "ref"},
        {"losses_are_looked_at, cpu", losses_are_looked_at, NULL, NULL, "cpu"},
        {"losses_are_looked_at, fiber", losses_are_looked_at, NULL, NULL, "fiber"},
        {"spans_change_no_bits, ref", spans_change_no_bits, NULL, NULL, "ref"},
        {"spans_change_no_bits, cpu", spans_change_no_bits, NULL, NULL, "cpu"},
        {"spans_change_no_bits, fiber", spans_change_no_bits, NULL, NULL, "fiber"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
