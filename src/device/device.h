// The device seam. Two tables: the first owns memory and time, the second has the ops (op_list.def). The host
// reaches device addresses only through the first table.
#ifndef LOAM_DEVICE_DEVICE_H
#define LOAM_DEVICE_DEVICE_H

#include "base/arena.h"
#include "device/probe.h"
#include "device/trace.h"

struct loam_device;
struct loam_stream;

// Memory that arenas may still take.
struct loam_free_memory {
    size_t bytes;   // SIZE_MAX: not known
    const char *by; // what bounds it: "this machine", "its control group"
};

struct loam_memory_table {
    // As loam_device_arena_init and loam_device_arena_deinit, which call them.
    enum loam_status (*arena_init)(const struct loam_device *device, struct loam_arena *arena, size_t bytes,
                                   bool populate, struct loam_error *error);
    void (*arena_deinit)(const struct loam_device *device, struct loam_arena *arena);
    struct loam_free_memory (*free_memory)(const struct loam_device *device);
    void (*upload)(struct loam_stream *stream, void *device_target, const void *host_source, size_t bytes);
    // Elements between f32, f16 and bf16; the source need not be aligned (file data).
    void (*upload_as)(struct loam_stream *stream, void *device_target, enum loam_dtype target_dtype,
                      const void *host_source, enum loam_dtype source_dtype, size_t count);
    void (*download)(struct loam_stream *stream, void *host_target, const void *device_source, size_t bytes);
    // Device to device.
    void (*copy)(struct loam_stream *stream, void *target, const void *source, size_t bytes);
    void (*zero)(struct loam_stream *stream, void *target, size_t bytes);
    void (*synchronise)(struct loam_stream *stream);
    // As the functions loam_device_host_arena_init, loam_fetch, ... below, which call them. A device without a second
    // queue has none of them: memory of the host is plain, a fetch is an upload, and its wait does nothing.
    enum loam_status (*host_arena_init)(const struct loam_device *device, struct loam_arena *arena,
                                        size_t bytes, struct loam_error *error);
    void (*host_arena_deinit)(const struct loam_device *device, struct loam_arena *arena);
    void (*fetch)(struct loam_stream *stream, int place, void *device_target, const void *host_source,
                  size_t bytes);
    void (*fetch_wait)(struct loam_stream *stream, int place);
};

// One op: `run` does it, `scratch` gives the workspace that a case needs (NULL: none), `refuses` the reason
// why the device cannot do a case that keeps the op's contract (NULL: it does all of them). A backend starts
// from an empty table. An op without `run` is refused by name, when a step is planned and when it is run.
struct loam_op_table {
#define LOAM_OP(name)                                                                                        \
    struct {                                                                                                 \
        enum loam_status (*run)(struct loam_stream * stream, const struct loam_##name##_args *args);         \
        size_t (*scratch)(const struct loam_device *device, const struct loam_##name##_args *args);          \
        const char *(*refuses)(const struct loam_device *device, const struct loam_##name##_args *args);     \
    } name;
#include "device/op_list.def"
#undef LOAM_OP
    const struct loam_limits *limits; // of the instructions that the ops are made of; NULL: not known
};

// Sets of dtypes, a bit 1 << dtype each.
struct loam_formats {
    unsigned compute;   // activations that its ops take
    unsigned preferred; // those of `compute` whose products the hardware computes at full speed
    unsigned master;    // trained values, their gradients and the optimiser's state
};
static inline bool loam_formats_have(unsigned formats, enum loam_dtype dtype)
{
    return (formats >> dtype & 1) != 0;
}

struct loam_device {
    const char *name;      // "ref", "cpu", "cuda:0"
    const char *model;     // of the hardware, "NVIDIA H200"; NULL: the machine's own processor
    const char *code_from; // where the code of its kernels comes from; NULL: it is part of loam
    const char *isa;       // level of instructions that its ops are compiled for, "avx2"; NULL: has no levels
    int threads;
    int threads_wanted; // more than `threads` where the system did not let them be started
    // "cuda:0 cannot be used: REASON" where "auto" found a GPU that cannot be used; empty: it found none, or was not asked.
    char passed_over[1120];
    struct loam_formats formats;
    bool host_memory;      // device addresses are host addresses: mapped weights are used where they are
    bool queues;           // ops and uploads return at once: the host is free until it waits for the stream
    bool planning;         // its memory is only counted, and its streams only plan
    size_t alignment;      // bytes: what an arena's allocations are aligned to
    size_t largest_buffer; // bytes of the largest arena; SIZE_MAX: no bound but the memory that is free
    const struct loam_memory_table *memory;
    struct loam_op_table ops;
    // NULL: the device has no description.
    void (*describe)(const struct loam_device *device, struct loam_machine *machine);
    const struct loam_probe_table *probes; // NULL: none
    void *state;                           // the backend's own
    void (*destroy)(struct loam_device *device);
};

// A stream runs ops in order. A planning stream runs none: it checks each op's contract and asks the device
// for support and scratch, so that a dry run of a step sizes everything that the step needs. The first
// failure sticks, later ops do nothing, and loam_stream_finish reports it.
struct loam_stream {
    const struct loam_device *device;
    bool planning;
    const char *op;            // the one being run or planned
    struct loam_arena scratch; // reset by every op
    size_t scratch_needed;     // planning: the largest request so far
    struct loam_error failure; // status LOAM_OK until an op fails
    struct loam_trace *trace;  // receives what the ops cost; NULL: nothing is measured
    bool checked;     // ops check contract and memory when they run, too; planning has checked the same calls
    bool recomputing; // the ops repeat an earlier computation, so their operations do not count
};

// `name` is "ref" or "cpu"; "cuda", "opencl", "cuda:N" or "opencl:N"; or "auto": the first NVIDIA GPU that can be used, or
// else the CPU. `threads` 0 means one for each core that the process may use.
enum loam_status loam_device_create(struct loam_device **out, const char *name, int threads,
                                    struct loam_error *error);
// A device to plan with: what is set up on it counts the memory that it would take on `real`, which must outlive it.
enum loam_status loam_device_create_planning(struct loam_device **out, const struct loam_device *real,
                                             struct loam_error *error);
// The most bytes that the arenas of a planning device would have taken at a time.
size_t loam_device_planned_peak(const struct loam_device *device);
void loam_device_destroy(struct loam_device *device);
// The dtype of activations where the user names none: bf16 where the device prefers it, else f16 where it prefers that,
// else f32.
enum loam_dtype loam_device_default_dtype(const struct loam_device *device);
// The devices that every machine has, "cpu" and "ref"; NULL past the end. device/registry.h has all kinds.
const char *loam_device_name(size_t index);

// Arenas of the device's memory. An arena of `bytes` zeroed bytes, in huge pages where there are any;
// `populate` faults it in at once. More than the device's largest buffer is LOAM_ERROR_MEMORY.
enum loam_status loam_device_arena_init(const struct loam_device *device, struct loam_arena *arena,
                                        size_t bytes, bool populate, struct loam_error *error);
// A counting arena: it finds out the bytes for loam_device_arena_init.
void loam_device_arena_init_counting(const struct loam_device *device, struct loam_arena *arena);
void loam_device_arena_deinit(const struct loam_device *device, struct loam_arena *arena);
struct loam_free_memory loam_device_free_memory(const struct loam_device *device);

// Arenas of the host's memory that the device reads by itself (pinned), for loam_fetch. Zeroed, aligned as those of the
// device.
enum loam_status loam_device_host_arena_init(const struct loam_device *device, struct loam_arena *arena,
                                             size_t bytes, struct loam_error *error);
void loam_device_host_arena_deinit(const struct loam_device *device, struct loam_arena *arena);

void loam_stream_init_planning(struct loam_stream *stream, const struct loam_device *device);
enum loam_status loam_stream_init(struct loam_stream *stream, const struct loam_device *device,
                                  size_t scratch_bytes, struct loam_error *error);
void loam_stream_deinit(struct loam_stream *stream);
// Waits for the work so far; the first failure of any op since the last finish, which is cleared.
enum loam_status loam_stream_finish(struct loam_stream *stream, struct loam_error *error);

// For backends: scratch of the op being run, LOAM_ARENA_ALIGN aligned; fails the stream (and returns NULL)
// when it was not planned for. An op may call it several times: its table's `scratch` then sums
// loam_scratch_bytes of each.
void *loam_stream_scratch(struct loam_stream *stream, size_t bytes);
static inline size_t loam_scratch_bytes(int64_t count, size_t element)
{
    size_t align = LOAM_ARENA_ALIGN;
    return ((size_t)count * element + align - 1) / align * align;
}
// Records a failure with the op's name in front, unless one is recorded already.
void loam_stream_fail(struct loam_stream *stream, enum loam_status status, const char *op,
                      const char *reason);

// The ops as functions: loam_linear_forward(stream, &(struct loam_linear_forward_args){...}).
#define LOAM_OP(name) void loam_##name(struct loam_stream *stream, const struct loam_##name##_args *args);
#include "device/op_list.def"
#undef LOAM_OP

// Memory, skipped by a planning or failed stream.
void loam_upload(struct loam_stream *stream, void *device_target, const void *host_source, size_t bytes);
void loam_upload_as(struct loam_stream *stream, void *device_target, enum loam_dtype target_dtype,
                    const void *host_source, enum loam_dtype source_dtype, size_t count);
void loam_download(struct loam_stream *stream, void *host_target, const void *device_source, size_t bytes);
void loam_zero(struct loam_stream *stream, void *target, size_t bytes);

// Copies beside the ops. A fetch copies from an arena of loam_device_host_arena_init after everything that was queued before
// it. What is queued after the wait for its place sees the copy. So many can be under way at a time, each in a place.
enum { LOAM_FETCHES = 3 };
void loam_fetch(struct loam_stream *stream, int place, void *device_target, const void *host_source,
                size_t bytes);
void loam_fetch_wait(struct loam_stream *stream, int place);

// The backends' constructors.
enum loam_status loam_device_ref_create(struct loam_device **out, int threads, struct loam_error *error);
enum loam_status loam_device_cpu_create(struct loam_device **out, int threads, struct loam_error *error);
extern const struct loam_memory_table loam_host_memory;
extern const struct loam_probe_table loam_cpu_probes;

#endif
