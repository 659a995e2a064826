// What devices refuse while a step is planned: every tensor of every case with a dtype or a shape that does
// not fit, and the settings that no op takes. Also: scratch that was not planned for is a named failure, not
// a crash.
#include "op/device/common_op.h"

#include "device/contract.h"
#include "isa.h"

#include <math.h>

static struct loam_tensor *tensor_of(struct op_run *run, const struct loam_op_tensor *tensor)
{
    return (struct loam_tensor *)(void *)((char *)&run->args + tensor->offset);
}

static void check_refused(const struct loam_device *device, const struct op_run *run, const char *what)
{
    char text[96];
    struct loam_error error = {0};
    struct loam_stream stream;
    loam_stream_init_planning(&stream, device);
    op_dispatch(&stream, run->test->op, &run->args);
    size_t scratch = stream.scratch_needed;
    enum loam_status status = loam_stream_finish(&stream, &error);
    if (status != LOAM_ERROR_UNSUPPORTED || scratch != 0) {
        fail_msg("%s on %s: %s is not refused (status %d)", op_describe(run, text), device->name, what,
                 (int)status);
    }
    if (strstr(error.message, op_name(run->test->op)) == NULL ||
        strstr(error.message, device->name) == NULL) {
        fail_msg("%s: the refusal \"%s\" does not name op and device", op_describe(run, text), error.message);
    }
}

static struct loam_tensor one_longer(const struct loam_tensor *tensor)
{
    const int64_t *n = tensor->shape;
    switch (tensor->rank) {
    case 1:
        return loam_tensor_1d(tensor->data, tensor->dtype, n[0] + 1);
    case 2:
        return loam_tensor_2d(tensor->data, tensor->dtype, n[0], n[1] + 1);
    default:
        return loam_tensor_3d(tensor->data, tensor->dtype, n[0], n[1], n[2] + 1);
    }
}

// f64, which only scalars have.
static enum loam_dtype wrong_dtype(enum loam_dtype right)
{
    return right == LOAM_F64 ? LOAM_F16 : LOAM_F64;
}

// Whether a tensor may have one column or element more.
static bool is_of_any_size(const struct op_run *run, const char *name)
{
    static const struct {
        enum op op;
        const char *name;
    } free_sizes[] = {{OP_squared_norm, "x"},
                      {OP_cap_logits, "x"},
                      {OP_top_logits, "x"},
                      {OP_cross_entropy, "products"},
                      {OP_replace_columns_forward, "y"},
                      {OP_replace_columns_backward, "dy"}};
    const enum op op = run->test->op;
    // Without their gradient, the number and the length of the rows are free.
    if (op == OP_replace_rows_backward && run->args.replace_rows_backward.drows.data == NULL)
        return strcmp(name, "ids") != 0;
    for (size_t i = 0; i < sizeof free_sizes / sizeof *free_sizes; i++)
        if (op == free_sizes[i].op && strcmp(name, free_sizes[i].name) == 0) return true;
    return false;
}

static void check_case(const struct loam_device *device, const struct op_case *test)
{
    struct loam_op_tensor tensors[LOAM_MAX_OP_TENSORS];
    struct op_run run;
    op_build(&run, test, LOAM_F32);
    const size_t count = loam_op_tensors((enum loam_op_id)test->op, tensors);
    assert_true(count >= 1);
    for (size_t i = 0; i < count; i++) {
        struct loam_tensor *tensor = tensor_of(&run, &tensors[i]);
        const struct loam_tensor right = *tensor;
        if (right.data == NULL) continue; // optional, and absent
        tensor->dtype = wrong_dtype(right.dtype);
        check_refused(device, &run, "a tensor in a wrong dtype");
        *tensor = one_longer(&right);
        if (!is_of_any_size(&run, tensors[i].name))
            check_refused(device, &run, "a tensor with another shape");
        *tensor = right;
    }
    op_run_free(&run);
}

// A device without a half refuses each op that has a tensor in it, but for weights.
static void check_halves(const struct loam_device *device, const struct op_case *test, enum loam_dtype half)
{
    struct loam_op_tensor tensors[LOAM_MAX_OP_TENSORS];
    struct op_run run;
    bool has_half = false;
    op_build(&run, test, half);
    const size_t count = loam_op_tensors((enum loam_op_id)test->op, tensors);
    for (size_t i = 0; i < count; i++) {
        const struct loam_tensor *tensor = tensor_of(&run, &tensors[i]);
        has_half = has_half ||
                   (tensor->data != NULL && tensor->dtype == half && tensors[i].access != LOAM_READS_WEIGHT);
    }
    if (has_half) check_refused(device, &run, loam_dtype_name(half));
    op_run_free(&run);
}

static void check_mixed_dtypes(const struct loam_device *device)
{
    for (size_t i = 0; i < op_case_count; i++) {
        if (op_cases[i].op != OP_linear_forward || (op_cases[i].flags & OP_F32_OUTPUT) != 0) continue;
        struct op_run run;
        op_build(&run, &op_cases[i], LOAM_F32);
        run.args.linear_forward.y.dtype = LOAM_BF16;
        check_refused(device, &run, "f32 x with bf16 y");
        op_run_free(&run);
    }
}

static const struct op_case *first_case(enum op op)
{
    for (size_t i = 0; i < op_case_count; i++) {
        if (op_cases[i].op == op) return &op_cases[i];
    }
    fail_msg("%s has no case", op_name(op));
    return NULL;
}

// ---- settings that no op takes ----

static void full_dropout(union op_args *args)
{
    args->lora_forward.dropout.p = 1.0f;
}
static void full_dropout_backward(union op_args *args)
{
    args->lora_backward.dropout.p = 1.0f;
}
static void negative_dropout(union op_args *args)
{
    args->lora_forward.dropout.p = -0.5f;
}
static void full_dropout_alone(union op_args *args)
{
    args->dropout.dropout.p = 1.0f;
}
static void step_zero(union op_args *args)
{
    args->adamw.step = 0;
}
static void no_gradient_factor(union op_args *args)
{
    args->adamw.grad_factor = 0;
}
static void clipping_without_norm(union op_args *args)
{
    args->adamw.squared_norm = (struct loam_tensor){0};
}
static void negative_norm(union op_args *args)
{
    args->adamw.max_norm = -1;
}
static void groups_without_ranges(union op_args *args)
{
    args->adamw.groups = loam_tensor_1d(args->adamw.m.data, LOAM_I32, 1);
}
static void unknown_activation(union op_args *args)
{
    args->activation_forward.kind = (enum loam_activation)99;
}
static void unknown_gate_activation(union op_args *args)
{
    args->gated_activation_backward.kind = (enum loam_activation)99;
}
static void full_cache(union op_args *args)
{
    args->kv_append.first = 1;
}
static void negative_first(union op_args *args)
{
    args->kv_append.first = -1;
}
static void columns_apart(union op_args *args)
{
    args->linear_forward.x.stride[1] = 2;
}
static void head_columns_apart(union op_args *args)
{
    args->attention_forward.k.stride[2] = 2;
}
static void fewer_keys_than_queries(union op_args *args)
{
    args->attention_forward.shape.max_kv = args->attention_forward.shape.max_q - 1;
}
static void negative_window(union op_args *args)
{
    args->attention_forward.shape.window = -1;
}
static void endless_softcap(union op_args *args)
{
    args->attention_backward.shape.softcap = INFINITY;
}
static void softcap_with_slopes(union op_args *args)
{
    struct loam_attention_forward_args *a = &args->attention_forward;
    a->shape.slopes = loam_tensor_1d(a->lse.data, LOAM_F32, a->q.shape[1]);
    a->shape.softcap = 50;
}
static void added_in_place(union op_args *args)
{
    args->rmsnorm_backward.dx = args->rmsnorm_backward.dy;
    args->rmsnorm_backward.accumulate = true;
}
static void gapped_output(union op_args *args)
{
    // A single row is contiguous whatever its stride.
    args->linear_backward_input.dx.shape[0] = args->linear_backward_input.dy.shape[0] = 2;
    args->linear_backward_input.dx.stride[0] += 1;
}

static void transposed_head(union op_args *args)
{
    args->linear_cross_entropy.w.transposed = true;
}
static void no_logit_factor(union op_args *args)
{
    args->linear_cross_entropy.logit_factor = 0;
}
static void negative_softcap(union op_args *args)
{
    args->linear_cross_entropy.logit_softcap = -1;
}
static void bias_gradient_without_factors(union op_args *args)
{
    struct loam_linear_cross_entropy_args *loss = &args->linear_cross_entropy;
    loss->dbias = loam_tensor_1d(loss->losses.data, LOAM_F32, loss->w.tensor.shape[0]);
    loss->dh.data = loss->dw.data = loss->factors.data = NULL;
    loss->factors.dtype = LOAM_DTYPE_NONE;
}
static void infinite_row_factor(union op_args *args)
{
    args->replace_rows_forward.factor = INFINITY;
}
static void no_number_as_column_factor(union op_args *args)
{
    args->replace_columns_backward.factor = NAN;
}
static void no_product_factor(union op_args *args)
{
    args->cross_entropy.logit_factor = 0;
}
static void negative_product_cap(union op_args *args)
{
    args->cross_entropy.logit_softcap = -1;
}
static void infinite_factor(union op_args *args)
{
    args->cap_logits.factor = INFINITY;
}
static void not_a_cap(union op_args *args)
{
    args->cap_logits.softcap = NAN;
}
static void no_candidates(union op_args *args)
{
    args->top_logits.limit = 0;
}
static void candidates_past_the_end(union op_args *args)
{
    args->top_logits.limit = args->top_logits.x.shape[1] + 1;
}
static void more_than_the_most(union op_args *args)
{
    struct loam_top_logits_args *a = &args->top_logits;
    a->values = loam_tensor_2d(a->values.data, LOAM_F32, 1, LOAM_MOST_TOP_LOGITS + 1);
    a->ids = loam_tensor_2d(a->ids.data, LOAM_I32, 1, LOAM_MOST_TOP_LOGITS + 1);
}
static void answers_to_nothing(union op_args *args)
{
    args->top_logits.asked.data = NULL;
}
static void no_linears(union op_args *args)
{
    args->linears_forward.count = 0;
}

static void four_linears(union op_args *args)
{
    args->linears_forward.count = LOAM_LINEARS_MOST + 1;
}

static void no_linears_backward(union op_args *args)
{
    args->linears_backward.count = 0;
}

static void key_of_other_tokens(union op_args *args)
{
    args->ropes.key.x.shape[0] = 0;
    args->ropes.key.table.shape[0] = 0;
}

static void no_table_factor(union op_args *args)
{
    args->rope_table.factor = 0;
}
static void negative_context(union op_args *args)
{
    args->rope_table.query_context = -1;
}
static void infinite_beta(union op_args *args)
{
    args->rope_table.query_beta = INFINITY;
}
static void infinite_offset(union op_args *args)
{
    args->rmsnorm_forward.offset = INFINITY;
}
static void infinite_offset_backward(union op_args *args)
{
    args->rmsnorm_backward.offset = INFINITY;
}
// 17 inputs and 33 outputs: no square.
static void transposed_where_it_is_not(union op_args *args)
{
    args->linear_forward.w.tensor = loam_tensor_2d(args->linear_forward.w.tensor.data, LOAM_F32, 33, 17);
    args->linear_forward.x = loam_tensor_2d(args->linear_forward.x.data, LOAM_F32, 1, 17);
    args->linear_forward.y = loam_tensor_2d(args->linear_forward.y.data, LOAM_F32, 1, 33);
    args->linear_forward.bias.data = args->linear_forward.residual.data = NULL;
    args->linear_forward.w.transposed = true;
}
static void transposed_gradient(union op_args *args)
{
    args->linear_backward_weight.dw.shape[1] = 2;
    args->linear_backward_weight.x.shape[1] = 2;
    args->linear_backward_weight.transposed = true;
}
static void gate_columns_apart(union op_args *args)
{
    args->gated_activation_forward.gate.stride[1] = 2;
}
static void residual_columns_apart(union op_args *args)
{
    args->add_scaled.residual.stride[1] = 2;
}

static const struct {
    enum op op;
    const char *what;
    void (*change)(union op_args *args);
} settings[] = {
    {OP_lora_forward, "dropout of everything", full_dropout},
    {OP_lora_backward, "dropout of everything", full_dropout_backward},
    {OP_lora_forward, "negative dropout", negative_dropout},
    {OP_dropout, "dropout of everything", full_dropout_alone},
    {OP_adamw, "step 0", step_zero},
    {OP_adamw, "a factor of 0", no_gradient_factor},
    {OP_adamw, "clipping without a norm", clipping_without_norm},
    {OP_adamw, "a negative norm", negative_norm},
    {OP_adamw, "groups without ranges", groups_without_ranges},
    {OP_activation_forward, "an unknown activation", unknown_activation},
    {OP_gated_activation_backward, "an unknown activation", unknown_gate_activation},
    {OP_kv_append, "a row past the cache", full_cache},
    {OP_kv_append, "a row before the cache", negative_first},
    {OP_linear_forward, "strided columns", columns_apart},
    {OP_attention_forward, "strided head elements", head_columns_apart},
    {OP_attention_forward, "fewer keys than queries", fewer_keys_than_queries},
    {OP_attention_forward, "a negative window", negative_window},
    {OP_attention_backward, "a soft cap that is not finite", endless_softcap},
    {OP_attention_forward, "a soft cap with slopes", softcap_with_slopes},
    {OP_linear_backward_input, "a strided dx", gapped_output},
    {OP_rmsnorm_backward, "dx that is dy and is added to", added_in_place},
    {OP_rmsnorm_forward, "an infinite offset", infinite_offset},
    {OP_rmsnorm_backward, "an infinite offset", infinite_offset_backward},
    {OP_linear_forward, "a weight that is not transposed", transposed_where_it_is_not},
    {OP_linear_backward_weight, "a gradient that is not transposed", transposed_gradient},
    {OP_gated_activation_forward, "strided gate elements", gate_columns_apart},
    {OP_add_scaled, "strided residual elements", residual_columns_apart},
    {OP_linears_forward, "no linears", no_linears},
    {OP_linears_forward, "four linears", four_linears},
    {OP_linears_backward, "no linears", no_linears_backward},
    {OP_ropes, "a key of other tokens", key_of_other_tokens},
    {OP_rope_table, "a factor of 0", no_table_factor},
    {OP_rope_table, "a negative context", negative_context},
    {OP_rope_table, "an infinite beta", infinite_beta},
    {OP_linear_cross_entropy, "a transposed head", transposed_head},
    {OP_linear_cross_entropy, "a factor of 0", no_logit_factor},
    {OP_linear_cross_entropy, "a negative cap", negative_softcap},
    {OP_linear_cross_entropy, "a bias gradient without factors", bias_gradient_without_factors},
    {OP_cap_logits, "an infinite factor", infinite_factor},
    {OP_replace_rows_forward, "an infinite factor", infinite_row_factor},
    {OP_replace_columns_backward, "a factor that is not a number", no_number_as_column_factor},
    {OP_cross_entropy, "a factor of 0", no_product_factor},
    {OP_cross_entropy, "a negative cap", negative_product_cap},
    {OP_cap_logits, "a cap that is not a number", not_a_cap},
    {OP_top_logits, "a limit of 0", no_candidates},
    {OP_top_logits, "a limit past the vocabulary", candidates_past_the_end},
    {OP_top_logits, "257 candidates", more_than_the_most},
    {OP_top_logits, "answers without ids", answers_to_nothing},
};

static void check_settings(const struct loam_device *device)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        struct op_run run;
        op_build(&run, first_case(settings[i].op), LOAM_F32);
        settings[i].change(&run.args);
        check_refused(device, &run, settings[i].what);
        op_run_free(&run);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct loam_error error = {0};
    for (size_t d = 0; loam_device_name(d) != NULL; d++) {
        struct loam_device *device = NULL;
        assert_ok(loam_device_create(&device, loam_device_name(d), 2, &error));
        for (size_t i = 0; i < op_case_count; i++)
            check_case(device, &op_cases[i]);
        if (!loam_formats_have(device->formats.compute, LOAM_F16))
            for (size_t i = 0; i < op_case_count; i++)
                check_halves(device, &op_cases[i], LOAM_F16);
        check_mixed_dtypes(device);
        check_settings(device);
        loam_device_destroy(device);
    }
}

// Of tensors whose rows start together.
static bool is_as_far_apart(const struct loam_tensor *a, const struct loam_tensor *b)
{
    return (loam_tensor_contiguous(a) && loam_tensor_contiguous(b)) || a->stride[0] == b->stride[0];
}

// Every tensor of a case, once in the place of each output: refused unless the op reads it in place, or the
// two are views of one fused matrix.
static void check_memory(const struct op_case *test)
{
    struct loam_op_tensor tensors[LOAM_MAX_OP_TENSORS];
    struct op_run run;
    op_build(&run, test, LOAM_F32);
    const enum loam_op_id op = (enum loam_op_id)test->op;
    const size_t count = loam_op_tensors(op, tensors);
    assert_null(loam_check_memory(op, &run.args));
    for (size_t i = 0; i < count; i++) {
        struct loam_tensor *output = tensor_of(&run, &tensors[i]);
        if (tensors[i].access < LOAM_WRITES || output->data == NULL) continue;
        for (size_t j = 0; j < count; j++) {
            void *const before = output->data;
            const struct loam_tensor *other = tensor_of(&run, &tensors[j]);
            if (i == j || other->data == NULL) continue;
            const bool may = tensors[j].access == LOAM_READS_IN_PLACE && is_as_far_apart(output, other);
            output->data = other->data;
            if ((loam_check_memory(op, &run.args) == NULL) != may)
                fail_msg("%s: %s in the memory of %s is %s", op_name(test->op), tensors[i].name,
                         tensors[j].name, may ? "refused" : "accepted");
            output->data = before;
        }
    }
    op_run_free(&run);
}

static void test_outputs_in_the_memory_of_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < op_case_count; i++)
        // Where one tensor is in place already, it would be compared with itself.
        if ((op_cases[i].flags & OP_IN_PLACE) == 0) check_memory(&op_cases[i]);
}

// Heads that do not divide, and a head of odd size: shapes that agree with each other and still cannot be
// computed.
static void test_impossible_heads(void **state)
{
    (void)state;
    static const struct op_case grouped = {OP_attention_forward, .heads = 5, .groups = 2, .size = 4,
                                           .q_lengths = {3}};
    static const struct op_case odd = {OP_rope, .t = 2, .heads = 1, .size = 3};
    struct loam_error error = {0};
    for (size_t d = 0; loam_device_name(d) != NULL; d++) {
        struct loam_device *device = NULL;
        struct op_run run;
        assert_ok(loam_device_create(&device, loam_device_name(d), 2, &error));
        op_build(&run, &grouped, LOAM_F32);
        check_refused(device, &run, "5 query heads over 2 key/value heads");
        op_run_free(&run);
        op_build(&run, &odd, LOAM_F32);
        check_refused(device, &run, "rotation of 3 elements");
        op_run_free(&run);
        loam_device_destroy(device);
    }
}

// Whether the reference runs other ops in the place of this one; they take the scratch.
static bool is_fused(enum op op)
{
    static const bool fused[OP_COUNT] = {
#define LOAM_OP(name) [OP_##name] = false,
#define LOAM_FUSED_OP(name) [OP_##name] = true,
#include "device/op_list.def"
#undef LOAM_OP
    };
    return fused[op];
}

static void test_scratch_that_was_not_planned(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    size_t checked = 0;
    assert_ok(loam_device_create(&device, "ref", 1, &error));
    for (size_t i = 0; i < op_case_count; i++) {
        struct op_run run;
        struct loam_stream stream;
        op_build(&run, &op_cases[i], LOAM_F32);
        loam_stream_init_planning(&stream, device);
        op_dispatch(&stream, op_cases[i].op, &run.args);
        size_t needed = stream.scratch_needed;
        assert_ok(loam_stream_finish(&stream, &error));
        if (needed > 0 && !is_fused(op_cases[i].op)) {
            assert_ok(loam_stream_init(&stream, device, 0, &error));
            op_dispatch(&stream, op_cases[i].op, &run.args);
            assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_INTERNAL,
                         "more scratch than was planned");
            assert_non_null(strstr(error.message, op_name(op_cases[i].op)));
            op_check_untouched(&run);
            loam_stream_deinit(&stream);
            checked++;
        }
        op_run_free(&run);
    }
    assert_true(checked > 0);
    loam_device_destroy(device);
}

// Offsets are on the device and cannot be seen by the plan: the reference does not trust them.
static void test_longer_sequence_than_planned(void **state)
{
    (void)state;
    static const struct op_case test = {OP_attention_forward, .heads = 1, .groups = 1, .size = 4,
                                        .q_lengths = {9}};
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    struct loam_stream stream;
    struct op_run run;
    assert_ok(loam_device_create(&device, "ref", 1, &error));
    assert_ok(loam_stream_init(&stream, device, 4096, &error));
    op_build(&run, &test, LOAM_F32);
    run.args.attention_forward.shape.max_q = 8;
    run.args.attention_forward.shape.max_kv = 8;
    op_dispatch(&stream, OP_attention_forward, &run.args);
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_ARGUMENT, "longer than max_kv");
    op_check_untouched(&run);
    op_run_free(&run);
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_outputs_in_the_memory_of_others),
        cmocka_unit_test(test_impossible_heads),
        cmocka_unit_test(test_scratch_that_was_not_planned),
        cmocka_unit_test(test_longer_sequence_than_planned),
    };
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
