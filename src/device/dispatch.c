// The ops as functions: one body for all of them, written out by the op list.
#include "base/clock.h"
#include "device/device.h"

// A planning stream has asked about a case; `reason` is why the device cannot do it.
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

static void trace(struct loam_stream *stream, enum loam_op_id op, double start, struct loam_op_cost cost,
                  const void *args)
{
    struct loam_trace *trace = stream->trace;
    struct loam_op_total *total = &trace->ops[op];
    stream->device->memory->synchronise(stream);
    total->seconds += loam_clock_seconds() - start;
    total->calls++;
    total->bytes += cost.bytes;
    if (stream->recomputing) return;
    total->flops += cost.flops;
    if (trace->watch != NULL) trace->watch(trace->user, op, args);
}

#define LOAM_OP(name, group)                                                                                 \
    void loam_##name(struct loam_stream *stream, const struct loam_##name##_args *args)                      \
    {                                                                                                        \
        const struct loam_device *device = stream->device;                                                   \
        if (!begin(stream, #name)) return;                                                                   \
        if (!stream->planning) {                                                                             \
            const double start = trace_start(stream);                                                        \
            end(stream, device->ops.name.run(stream, args));                                                 \
            if (stream->trace != NULL)                                                                       \
                trace(stream, LOAM_OP_ID_##name, start, loam_##name##_cost(args), args);                     \
            return;                                                                                          \
        }                                                                                                    \
        const char *reason = device->ops.name.run == NULL       ? "the device does not have this op"         \
                             : device->ops.name.refuses != NULL ? device->ops.name.refuses(device, args)     \
                                                                : NULL;                                      \
        bool has_scratch = reason == NULL && device->ops.name.scratch != NULL;                               \
        plan(stream, reason, has_scratch ? device->ops.name.scratch(device, args) : 0);                      \
    }
#include "device/op_list.def"
#undef LOAM_OP
