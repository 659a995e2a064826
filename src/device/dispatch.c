// The ops as functions, all made from the op list: each is planned or run.
#include "base/clock.h"
#include "device/contract.h"
#include "device/device.h"
#include "device/fused.h"

static const char MISSING[] = "the device does not have this op";

// Records the result of planning an op: its scratch, or `reason`, why the device cannot do it.
static void plan(struct loam_stream *stream, const char *reason, size_t scratch)
{
    if (reason != NULL) {
        loam_stream_fail(stream, LOAM_ERROR_UNSUPPORTED, stream->op, reason);
    } else if (scratch > stream->scratch_needed) {
        stream->scratch_needed = scratch;
    }
}

static bool begin(struct loam_stream *stream, const char *op)
{
    if (stream->failure.status != LOAM_OK) return false;
    stream->op = op;
    if (!stream->planning) loam_arena_release(&stream->scratch, 0);
    return true;
}

static void end(struct loam_stream *stream, enum loam_status status)
{
    if (status != LOAM_OK) loam_stream_fail(stream, status, stream->op, "the op failed");
}

static double trace_start(const struct loam_stream *stream)
{
    return stream->trace != NULL ? loam_clock_seconds() : 0;
}

// Adds what an op costs, without its time.
static void count(struct loam_stream *stream, enum loam_op_id op, struct loam_op_cost cost)
{
    struct loam_op_total *total = &stream->trace->ops[op];
    total->calls++;
    total->bytes += cost.bytes;
    if (!stream->recomputing) total->flops += cost.flops;
}

static void trace(struct loam_stream *stream, enum loam_op_id op, double start, struct loam_op_cost cost,
                  const void *args)
{
    struct loam_trace *trace = stream->trace;
    if (!trace->queued) {
        stream->device->memory->synchronise(stream);
        trace->ops[op].seconds += loam_clock_seconds() - start;
    }
    count(stream, op, cost);
    if (stream->recomputing) return;
    if (trace->watch != NULL) trace->watch(trace->user, op, args);
}

// Whether the op may run; fails the stream otherwise. `broken`: why its contract is broken, or NULL.
static bool may_run(struct loam_stream *stream, bool has_op, const char *broken)
{
    if (has_op && broken == NULL) return true;
    loam_stream_fail(stream, LOAM_ERROR_UNSUPPORTED, stream->op, has_op ? broken : MISSING);
    return false;
}

static const char *first(const char *one, const char *other)
{
    return one != NULL ? one : other;
}

// What runs a fused op on a device without it; NULL: the others.
static const struct {
#define LOAM_OP(name) void (*name)(struct loam_stream * stream, const struct loam_##name##_args *args);
#include "device/op_list.def"
#undef LOAM_OP
} decompositions = {.lora_linear_forward = loam_decompose_lora_linear_forward,
                    .lora_linear_backward = loam_decompose_lora_linear_backward,
                    .linears_forward = loam_decompose_linears_forward,
                    .linears_backward = loam_decompose_linears_backward,
                    .ropes = loam_decompose_ropes};

// Whether the parts of a fused op may run in its place: its contract names the op itself.
static bool decomposes(struct loam_stream *stream, bool lacks_op, const char *broken)
{
    if (!lacks_op) return false;
    if (broken != NULL) loam_stream_fail(stream, LOAM_ERROR_UNSUPPORTED, stream->op, broken);
    return true;
}

#define LOAM_OP(name)                                                                                        \
    static void run_##name(struct loam_stream *stream, const struct loam_##name##_args *args)                \
    {                                                                                                        \
        const struct loam_device *device = stream->device;                                                   \
        const char *broken =                                                                                 \
            stream->checked ? first(loam_check_##name(args), loam_check_memory(LOAM_OP_ID_##name, args))     \
                            : NULL;                                                                          \
        if (!may_run(stream, device->ops.name.run != NULL, broken)) return;                                  \
        const double start = trace_start(stream);                                                            \
        end(stream, device->ops.name.run(stream, args));                                                     \
        if (stream->trace != NULL) trace(stream, LOAM_OP_ID_##name, start, loam_##name##_cost(args), args);  \
    }                                                                                                        \
    static void plan_##name(struct loam_stream *stream, const struct loam_##name##_args *args)               \
    {                                                                                                        \
        const struct loam_device *device = stream->device;                                                   \
        const char *reason = device->ops.name.run == NULL ? MISSING : loam_check_##name(args);               \
        if (reason == NULL) reason = loam_check_formats(LOAM_OP_ID_##name, args, device->formats.compute);   \
        if (reason == NULL && device->ops.name.refuses != NULL)                                              \
            reason = device->ops.name.refuses(device, args);                                                 \
        const bool has_scratch = reason == NULL && device->ops.name.scratch != NULL;                         \
        plan(stream, reason, has_scratch ? device->ops.name.scratch(device, args) : 0);                      \
        if (reason == NULL && stream->trace != NULL)                                                         \
            count(stream, LOAM_OP_ID_##name, loam_##name##_cost(args));                                      \
    }                                                                                                        \
    void loam_##name(struct loam_stream *stream, const struct loam_##name##_args *args)                      \
    {                                                                                                        \
        if (!begin(stream, #name)) return;                                                                   \
        const bool fused = stream->device->ops.name.run == NULL && decompositions.name != NULL;              \
        const bool checks = stream->planning || stream->checked;                                             \
        const char *broken = fused && checks ? loam_check_##name(args) : NULL;                               \
        if (fused && checks && broken == NULL)                                                               \
            broken = loam_check_formats(LOAM_OP_ID_##name, args, stream->device->formats.compute);           \
        if (decomposes(stream, fused, broken))                                                               \
            decompositions.name(stream, args);                                                               \
        else if (stream->planning)                                                                           \
            plan_##name(stream, args);                                                                       \
        else                                                                                                 \
            run_##name(stream, args);                                                                        \
    }
#include "device/op_list.def"
#undef LOAM_OP
