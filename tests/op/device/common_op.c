#include "op/device/common_op.h"

#include <math.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#include "base/rng.h"
#include "device/contract.h"

enum { GUARD = 64 }; // bytes on each side of a buffer

static const char *const names[OP_COUNT] = {
#define LOAM_OP(name) [OP_##name] = #name,
#include "device/op_list.def"
#undef LOAM_OP
};

const char *op_name(enum op op)
{
    return names[op];
}

#define LOAM_OP(name)                                                                                        \
    static void dispatch_##name(struct loam_stream *stream, const union op_args *args)                       \
    {                                                                                                        \
        loam_##name(stream, &args->name);                                                                    \
    }
#include "device/op_list.def"
#undef LOAM_OP

static void (*const dispatchers[OP_COUNT])(struct loam_stream *stream, const union op_args *args) = {
#define LOAM_OP(name) [OP_##name] = dispatch_##name,
#include "device/op_list.def"
#undef LOAM_OP
};

void op_dispatch(struct loam_stream *stream, enum op op, const union op_args *args)
{
    dispatchers[op](stream, args);
}

bool op_flagged(const struct op_run *run, unsigned flag)
{
    return (run->test->flags & flag) != 0;
}

const char *op_describe(const struct op_run *run, char text[96])
{
    const struct op_case *c = run->test;
    const uintptr_t address = (uintptr_t)c, first = (uintptr_t)op_cases;
    if (address >= first && address < first + op_case_count * sizeof *c)
        snprintf(text, 96, "%s case %d (%s)", op_name(c->op), (int)(c - op_cases),
                 loam_dtype_name(run->dtype));
    else
        snprintf(text, 96, "%s t%d k%d n%d r%d h%d/%d d%d w%d %x (%s)", op_name(c->op), (int)c->t, (int)c->k,
                 (int)c->n, (int)c->r, (int)c->heads, (int)c->groups, (int)c->size, (int)c->window, c->flags,
                 loam_dtype_name(run->dtype));
    return text;
}

// ---- elements ----

static int64_t offset_of(const struct loam_tensor *tensor, int64_t index)
{
    int64_t offset = 0;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        offset += index % tensor->shape[axis] * tensor->stride[axis];
        index /= tensor->shape[axis];
    }
    return offset;
}

double op_get(const struct loam_tensor *tensor, int64_t index)
{
    int64_t offset = offset_of(tensor, index);
    switch (tensor->dtype) {
    case LOAM_F32:
        return ((const float *)tensor->data)[offset];
    case LOAM_F64:
        return ((const double *)tensor->data)[offset];
    case LOAM_BF16:
        return loam_bf16_to_f32(((const uint16_t *)tensor->data)[offset]);
    case LOAM_F16:
        return loam_f16_to_f32(((const uint16_t *)tensor->data)[offset]);
    case LOAM_I32:
        return ((const int32_t *)tensor->data)[offset];
    default:
        fail_msg("op_get of dtype %s", loam_dtype_name(tensor->dtype));
        return 0.0;
    }
}

void op_set(const struct loam_tensor *tensor, int64_t index, double value)
{
    int64_t offset = offset_of(tensor, index);
    switch (tensor->dtype) {
    case LOAM_F32:
        ((float *)tensor->data)[offset] = (float)value;
        break;
    case LOAM_F64:
        ((double *)tensor->data)[offset] = value;
        break;
    case LOAM_BF16:
        ((uint16_t *)tensor->data)[offset] = loam_f32_to_bf16((float)value);
        break;
    case LOAM_F16:
        ((uint16_t *)tensor->data)[offset] = loam_f32_to_f16((float)value);
        break;
    default:
        fail_msg("op_set of dtype %s", loam_dtype_name(tensor->dtype));
    }
}

// ---- buffers ----

static void *checked_malloc(size_t bytes)
{
    void *memory = malloc(bytes);
    assert_non_null(memory);
    return memory;
}

// Gives `tensor`, whose strides are set, memory of its own.
static struct loam_tensor add_buffer(struct op_run *run, const char *name, enum op_role role,
                                     struct loam_tensor tensor)
{
    assert_true(run->count < OP_MAX_BUFFERS);
    struct op_buffer *buffer = &run->buffers[run->count];
    size_t element = loam_dtype_size(tensor.dtype), shift = run->test->pad > 0 ? element : 0;
    size_t extent = (size_t)(tensor.shape[0] * tensor.stride[0]) * element;
    buffer->name = name;
    buffer->role = role;
    buffer->bytes = GUARD + shift + extent + GUARD;
    buffer->memory = checked_malloc(buffer->bytes);
    memset(buffer->memory, 0xff, buffer->bytes); // NaN in f32, f64, bf16 and f16; -1 in i32
    tensor.data = buffer->memory + GUARD + shift;
    buffer->tensor = tensor;
    if (role != OP_OUTPUT && tensor.dtype != LOAM_I32) {
        for (int64_t i = 0; i < loam_tensor_count(&tensor); i++) {
            op_set(&tensor, i, 2.0 * (double)loam_rng_uniform(7, run->count, (uint64_t)i) - 1.0);
        }
    }
    run->count++;
    return tensor;
}

struct loam_tensor op_vector(struct op_run *run, const char *name, enum op_role role, enum loam_dtype dtype,
                             int64_t count)
{
    return add_buffer(run, name, role, loam_tensor_1d(NULL, dtype, count));
}

struct loam_tensor op_matrix(struct op_run *run, const char *name, enum op_role role, enum loam_dtype dtype,
                             int64_t rows, int64_t columns, int64_t pad)
{
    struct loam_tensor tensor = loam_tensor_2d(NULL, dtype, rows, columns);
    tensor.stride[0] += pad;
    return add_buffer(run, name, role, tensor);
}

struct loam_tensor op_heads(struct op_run *run, const char *name, enum op_role role, enum loam_dtype dtype,
                            int64_t rows, int64_t heads, int64_t size, int64_t pad)
{
    struct loam_tensor tensor = loam_tensor_3d(NULL, dtype, rows, heads, size);
    tensor.stride[1] = size + pad;
    tensor.stride[0] = heads * tensor.stride[1] + pad;
    return add_buffer(run, name, role, tensor);
}

struct loam_tensor op_indices(struct op_run *run, const char *name, const int32_t *values, int64_t count)
{
    struct loam_tensor tensor = op_vector(run, name, OP_INPUT, LOAM_I32, count);
    memcpy(tensor.data, values, (size_t)count * sizeof *values);
    return tensor;
}

void op_mark_exact(struct op_run *run)
{
    run->buffers[run->count - 1].exact = true;
}

void op_run_free(struct op_run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        free(run->buffers[i].memory);
        free(run->buffers[i].before);
        free(run->buffers[i].expected);
    }
    *run = (struct op_run){0};
}

static char *copy_of(const struct op_buffer *buffer, char *old)
{
    char *copy = old != NULL ? old : checked_malloc(buffer->bytes);
    memcpy(copy, buffer->memory, buffer->bytes);
    return copy;
}

void op_snapshot(struct op_run *run)
{
    for (size_t i = 0; i < run->count; i++)
        run->buffers[i].before = copy_of(&run->buffers[i], run->buffers[i].before);
}

void op_expect(struct op_run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        run->buffers[i].expected = copy_of(&run->buffers[i], run->buffers[i].expected);
    }
}

void op_restore(struct op_run *run)
{
    for (size_t i = 0; i < run->count; i++)
        memcpy(run->buffers[i].memory, run->buffers[i].before, run->buffers[i].bytes);
}

// ---- running ----

static size_t planned_scratch(const struct loam_device *device, enum op op, const union op_args *args)
{
    struct loam_error error = {0};
    struct loam_stream planning;
    loam_stream_init_planning(&planning, device);
    op_dispatch(&planning, op, args);
    const size_t scratch = planning.scratch_needed;
    assert_ok(loam_stream_finish(&planning, &error));
    loam_stream_deinit(&planning);
    return scratch;
}

// Scratch of exactly `bytes` bytes that hold NaN, and a guard behind it.
static struct loam_arena make_scratch(struct loam_stream *stream, size_t bytes, char *pattern)
{
    struct loam_error error = {0};
    struct loam_arena arena;
    assert_ok(loam_device_arena_init(stream->device, &arena, bytes + GUARD, false, &error));
    memset(pattern, 0xff, bytes + GUARD);
    loam_upload(stream, arena.base, pattern, bytes + GUARD);
    stream->scratch = arena;
    stream->scratch.capacity = bytes;
    stream->scratch.align = LOAM_ARENA_ALIGN;
    return arena;
}

void op_run_on(const struct loam_device *device, enum op op, const union op_args *args)
{
    struct loam_error error = {0};
    struct loam_stream stream;
    const size_t scratch = planned_scratch(device, op, args);
    char *pattern = checked_malloc(scratch + GUARD);
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    struct loam_arena arena = make_scratch(&stream, scratch, pattern);
    stream.checked = true;
    op_dispatch(&stream, op, args);
    loam_download(&stream, pattern, arena.base, scratch + GUARD);
    assert_ok(loam_stream_finish(&stream, &error));
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal((unsigned char)pattern[scratch + i], 0xff);
    stream.scratch = (struct loam_arena){0};
    loam_device_arena_deinit(device, &arena);
    loam_stream_deinit(&stream);
    free(pattern);
}

// The same arguments with every tensor in the device's copy of its block.
static union op_args place(enum op op, const union op_args *args, const struct op_block *blocks,
                           char *const *copies, size_t count)
{
    struct loam_op_tensor tensors[LOAM_MAX_OP_TENSORS];
    union op_args placed = *args;
    const size_t tensor_count = loam_op_tensors((enum loam_op_id)op, tensors);
    for (size_t i = 0; i < tensor_count; i++) {
        struct loam_tensor *tensor = (struct loam_tensor *)(void *)((char *)&placed + tensors[i].offset);
        if (tensor->data == NULL) continue;
        size_t b = 0;
        while (b < count && !((char *)tensor->data >= blocks[b].memory &&
                              (char *)tensor->data < blocks[b].memory + blocks[b].bytes))
            b++;
        if (b == count) fail_msg("%s: %s is in no block", op_name(op), tensors[i].name);
        tensor->data = (void *)((uintptr_t)copies[b] + (uintptr_t)((char *)tensor->data - blocks[b].memory));
    }
    return placed;
}

void op_run_blocks(const struct loam_device *device, enum op op, const union op_args *args,
                   const struct op_block *blocks, size_t count)
{
    struct loam_error error = {0};
    struct loam_arena arena;
    struct loam_stream stream;
    char *copies[OP_MAX_BUFFERS];
    size_t bytes = 0;
    assert_true(count <= OP_MAX_BUFFERS);
    for (size_t i = 0; i < count; i++)
        bytes += blocks[i].bytes + device->alignment;
    assert_ok(loam_device_arena_init(device, &arena, bytes, false, &error));
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    for (size_t i = 0; i < count; i++) {
        copies[i] = loam_arena_alloc(&arena, blocks[i].bytes);
        assert_non_null(copies[i]);
        loam_upload(&stream, copies[i], blocks[i].memory, blocks[i].bytes);
        if (!device->host_memory) continue;
        ASAN_POISON_MEMORY_REGION(copies[i], blocks[i].guard_before);
        ASAN_POISON_MEMORY_REGION(copies[i] + blocks[i].bytes - blocks[i].guard_after, blocks[i].guard_after);
    }
    const union op_args placed = place(op, args, blocks, copies, count);
    op_run_on(device, op, &placed);
    for (size_t i = 0; i < count; i++) {
        if (device->host_memory) ASAN_UNPOISON_MEMORY_REGION(copies[i], blocks[i].bytes);
        loam_download(&stream, blocks[i].memory, copies[i], blocks[i].bytes);
    }
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
    loam_device_arena_deinit(device, &arena);
}

void op_run_case(const struct loam_device *device, struct op_run *run)
{
    struct op_block blocks[OP_MAX_BUFFERS];
    for (size_t i = 0; i < run->count; i++) {
        const struct op_buffer *buffer = &run->buffers[i];
        blocks[i] = (struct op_block){buffer->memory, buffer->bytes,
                                      (size_t)((char *)buffer->tensor.data - buffer->memory), GUARD};
    }
    op_run_blocks(device, run->test->op, &run->args, blocks, run->count);
}

void op_prepare(enum op op, const union op_args *args)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_device_create(&device, "ref", 1, &error));
    op_run_on(device, op, args);
    loam_device_destroy(device);
}

// ---- checks ----

// 1 for each byte of the buffer that is part of an element
static char *element_bytes(const struct op_buffer *buffer)
{
    char *mask = checked_malloc(buffer->bytes);
    memset(mask, 0, buffer->bytes);
    size_t element = loam_dtype_size(buffer->tensor.dtype);
    size_t first = (size_t)((const char *)buffer->tensor.data - buffer->memory);
    for (int64_t i = 0; i < loam_tensor_count(&buffer->tensor); i++) {
        memset(mask + first + (size_t)offset_of(&buffer->tensor, i) * element, 1, element);
    }
    return mask;
}

void op_check_untouched(const struct op_run *run)
{
    char text[96];
    for (size_t i = 0; i < run->count; i++) {
        const struct op_buffer *buffer = &run->buffers[i];
        char *mask = element_bytes(buffer);
        for (size_t byte = 0; byte < buffer->bytes; byte++) {
            bool may_change = mask[byte] && buffer->role != OP_INPUT;
            if (may_change || buffer->memory[byte] == buffer->before[byte]) continue;
            fail_msg("%s: %s byte %zd of %s changed", op_describe(run, text),
                     mask[byte] ? "input" : "guard or gap at",
                     (ssize_t)byte - ((const char *)buffer->tensor.data - buffer->memory), buffer->name);
        }
        free(mask);
    }
}

// f32: a sum of n terms of magnitude m, taken in any order, is off by about n m 2^-24; twice that is allowed,
// and 2^-23 of the value for the rounding of the result. bf16: 2^-8 of the value for the rounding of the
// result, and one rounding of an operand of each product, m 2^-9, which add up as random errors do: sqrt(n) m
// 2^-9. Accumulating in bf16 is off by about n m 2^-9 and does not pass. What is rounded to bf16 may
// also be the neighbour of the reference, which is rounded itself. f16: the same with 2^-11 and 2^-12, since its
// significand has 3 bits more; its numbers are multiples of 2^-24. A sum in f32 of products of halves, which
// may be made in block floating point: as f32, and both operands of each product off by m 2^-13 (see
// tests/unit/device/test_gemm.c for its bound).
static double tolerance(const struct op_run *run, const struct op_buffer *buffer, double value)
{
    const enum loam_dtype dtype = buffer->tensor.dtype;
    const bool halves =
        run->dtype != LOAM_F32 || op_flagged(run, OP_HALF_WEIGHT) || op_flagged(run, OP_F16_WEIGHT);
    const double f32 = 0x1p-23 * (fabs(value) + run->reduction * run->magnitude);
    if (dtype == LOAM_I32) return 0.0;
    const bool rounded = dtype == LOAM_BF16 || dtype == LOAM_F16;
    if (buffer->exact || (!halves && !rounded)) return f32;
    if (!rounded) return f32 + 0x1p-12 * sqrt(run->reduction) * run->magnitude;
    int exponent;
    (void)frexp(value, &exponent);
    const int bits = dtype == LOAM_BF16 ? 8 : 11; // of the significand
    const double unit = ldexp(1.0, -bits);
    // From the value to the next.
    const double step = fmax(ldexp(unit, exponent), dtype == LOAM_F16 ? 0x1p-24 : 0);
    return fmax(step, unit * fabs(value) + unit / 2 * sqrt(run->reduction) * run->magnitude);
}

void op_check_expected(const struct op_run *run)
{
    char text[96];
    for (size_t b = 0; b < run->count; b++) {
        const struct op_buffer *buffer = &run->buffers[b];
        if (buffer->role == OP_INPUT) continue;
        struct loam_tensor expected = buffer->tensor;
        expected.data = buffer->expected + ((const char *)buffer->tensor.data - buffer->memory);
        for (int64_t i = 0; i < loam_tensor_count(&expected); i++) {
            double want = op_get(&expected, i), have = op_get(&buffer->tensor, i);
            double allowed = tolerance(run, buffer, want);
            // Written so that a NaN on either side fails.
            if (have == want || fabs(have - want) <= allowed) continue;
            fail_msg("%s: %s element %d is %.9g, the reference says %.9g, allowed %.3g",
                     op_describe(run, text), buffer->name, (int)i, have, want, allowed);
        }
    }
}
