// The memory of each op: which tensors it reads and writes, and whether they overlap.
#include <stddef.h>

#include "device/contract.h"

static const struct {
    enum loam_op_id op;
    struct loam_op_tensor tensor;
} rows[] = {
#define LOAM_OP_TENSOR(op, member, access)                                                                   \
    {LOAM_OP_ID_##op, {#member, access, offsetof(struct loam_##op##_args, member)}},
#include "device/op_tensors.def"
#undef LOAM_OP_TENSOR
};
enum { ROWS = sizeof rows / sizeof rows[0] };

size_t loam_op_tensors(enum loam_op_id op, struct loam_op_tensor tensors[LOAM_MAX_OP_TENSORS])
{
    size_t count = 0;
    for (size_t i = 0; i < ROWS && count < LOAM_MAX_OP_TENSORS; i++)
        if (rows[i].op == op) tensors[count++] = rows[i].tensor;
    return count;
}

static const struct loam_tensor *tensor_at(const void *args, const struct loam_op_tensor *tensor)
{
    return (const struct loam_tensor *)(const void *)((const char *)args + tensor->offset);
}

const char *loam_check_formats(enum loam_op_id op, const void *args, unsigned formats)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].op != op || rows[i].tensor.access == LOAM_READS_WEIGHT) continue;
        const struct loam_tensor *tensor = tensor_at(args, &rows[i].tensor);
        const bool half = tensor->data != NULL && (tensor->dtype == LOAM_F16 || tensor->dtype == LOAM_BF16);
        if (half && (formats >> tensor->dtype & 1) == 0)
            return tensor->dtype == LOAM_F16 ? "the device does not compute in f16"
                                             : "the device does not compute in bf16";
    }
    return NULL;
}

// Bytes from the first element to the end of the last one.
static uintptr_t extent(const struct loam_tensor *tensor)
{
    int64_t last = 0;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] == 0) return 0;
        last += (tensor->shape[i] - 1) * tensor->stride[i];
    }
    return (uintptr_t)(last + 1) * loam_dtype_size(tensor->dtype);
}

// Columns of one matrix, [T, a] and [T, b] with the same distance from row to row, which share no column.
static bool are_other_columns(const struct loam_tensor *a, const struct loam_tensor *b)
{
    const int64_t size = (int64_t)loam_dtype_size(a->dtype), row = a->stride[0] * size;
    if (a->dtype != b->dtype || a->stride[0] != b->stride[0] || row <= 0) return false;
    const int64_t distance = (int64_t)((intptr_t)b->data - (intptr_t)a->data);
    const int64_t after = (distance % row + row) % row; // from a column of a to the next that b begins with
    return after >= a->shape[1] * size && after + b->shape[1] * size <= row;
}

// Views of one fused matrix lie between each other: [T, heads, D] with the same distance from row to row, or
// blocks of its columns.
static bool interleaved(const struct loam_tensor *a, const struct loam_tensor *b)
{
    if (a->rank == 2 && b->rank == 2) return are_other_columns(a, b);
    return a->rank == 3 && b->rank == 3 && a->data != b->data && a->stride[0] == b->stride[0] &&
           !loam_tensor_contiguous(a) && !loam_tensor_contiguous(b);
}

static bool overlap(const struct loam_tensor *a, const struct loam_tensor *b)
{
    const uintptr_t first = (uintptr_t)a->data, second = (uintptr_t)b->data;
    if (a->data == NULL || b->data == NULL || interleaved(a, b)) return false;
    return first < second + extent(b) && second < first + extent(a);
}

// One tensor: rows that begin together and are as far apart.
static bool is_same(const struct loam_tensor *a, const struct loam_tensor *b)
{
    if (a->data != b->data) return false;
    if (loam_tensor_contiguous(a) && loam_tensor_contiguous(b)) return true;
    return a->rank == b->rank && a->stride[0] == b->stride[0];
}

const char *loam_check_memory(enum loam_op_id op, const void *args)
{
    struct loam_op_tensor tensors[LOAM_MAX_OP_TENSORS];
    const size_t count = loam_op_tensors(op, tensors);
    for (size_t i = 0; i < count; i++) {
        const struct loam_tensor *output = tensor_at(args, &tensors[i]);
        if (tensors[i].access < LOAM_WRITES) continue;
        for (size_t j = 0; j < count; j++) {
            const struct loam_tensor *other = tensor_at(args, &tensors[j]);
            const bool same = tensors[j].access == LOAM_READS_IN_PLACE && is_same(other, output);
            if (i != j && !same && overlap(output, other)) return "an output overlaps another tensor";
        }
    }
    return NULL;
}
