#include "device/gpu/fiber/blocks.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/heap.h"
#include "device/gpu/fiber/switch.h"
#include "device/gpu/kernels/dialect.h"

enum { STACK = 64 * 1024, GUARD = 64 * 1024 }; // bytes of a fiber's stack, and unreadable ones below it
enum { MAX_COPIES = 64, NUMBERS = 12 };

enum stop { READY, DONE, AT_BARRIER, AT_SHUFFLE, AT_MMA, AT_LOAD };

struct copy {
    void *to;
    const void *from;
    i32 bytes; // of 16; the rest is zeroed
    i32 group;
};

struct thread {
    struct fiber fiber;
    enum stop stop;
    i32 line;      // of the barrier or the step at which it stopped
    i32 exchanges; // steps of the warp so far
    i32 copies;    // that are under way
    i32 group;     // of the next copy
    struct copy queue[MAX_COPIES];
};

// What a thread shows to its warp. Two places take turns, so that the next step does not overwrite what is read.
union shown {
    f32 value;
    f32 numbers[NUMBERS]; // of a and b, in pairs
    const void *row;
};

struct loam_fibers {
    enum loam_fiber_order order;
    u32 random; // state of the shuffled order
    struct fiber scheduler;
    struct thread threads[LOAM_FIBER_THREADS];
    i32 turn[LOAM_FIBER_THREADS];
    union shown shown[2][LOAM_FIBER_THREADS];
    struct loam_fiber_grid grid;
    const char *failure;
    char *stacks;
};

_Thread_local struct loam_fiber_ids loam_fiber_ids;
static _Thread_local struct loam_fibers *current;

// ---- threads ----

static struct thread *this_thread(void)
{
    return &current->threads[loam_fiber_ids.thread];
}

static void stop_at(enum stop stop, i32 line)
{
    struct thread *thread = this_thread();
    thread->stop = stop;
    thread->line = line;
    fiber_switch(&thread->fiber, &current->scheduler);
}

static void fail(const char *failure)
{
    if (current->failure == NULL) current->failure = failure;
}

static void run_thread(void)
{
    fiber_entered(&current->scheduler);
    for (;;) {
        current->grid.body(current->grid.context);
        if (this_thread()->copies > 0) fail("a thread ends before its asynchronous copies");
        stop_at(DONE, 0);
    }
}

static void reset_threads(struct loam_fibers *fibers)
{
    for (size_t t = 0; t < LOAM_FIBER_THREADS; t++) {
        char *const stack = fibers->stacks + t * (STACK + GUARD) + GUARD;
        if (fibers->threads[t].fiber.stack != NULL) fiber_forget(&fibers->threads[t].fiber);
        // Tops that differ in their low bits fall into different sets of the processor's caches.
        fiber_init(&fibers->threads[t].fiber, stack, STACK - t % 64 * 256, run_thread);
    }
}

// ---- what kernels call ----

void loam_fiber_barrier(i32 line)
{
    stop_at(AT_BARRIER, line);
}

// Shows `shown` to the warp; what all its threads show, once they do.
static const union shown *exchange(union shown shown, enum stop stop, i32 line)
{
    struct thread *thread = this_thread();
    union shown *const place = current->shown[thread->exchanges++ & 1];
    place[loam_fiber_ids.thread] = shown;
    stop_at(stop, line);
    return place + loam_fiber_ids.thread / LOAM_FIBER_WARP * LOAM_FIBER_WARP;
}

static i32 lane(void)
{
    return loam_fiber_ids.thread % LOAM_FIBER_WARP;
}

f32 loam_fiber_shuffle_xor(f32 value, i32 mask, i32 line)
{
    return exchange((union shown){.value = value}, AT_SHUFFLE, line)[lane() ^ mask].value;
}

// Lane l has rows l / 4 and l / 4 + 8 of a and c and row l / 4 of b, and of each run of 8 terms or columns the pair
// l % 4.
void loam_fiber_mma(f32 c[4], const u32 a[4], const u32 b[2], f32 (*widen)(u16 bits), i32 line)
{
    union shown own;
    for (i32 i = 0; i < NUMBERS; i++) {
        const u32 pair = i < 8 ? a[i / 2] : b[i / 2 - 4];
        own.numbers[i] = widen((u16)(i % 2 ? pair >> 16 : pair));
    }
    const union shown *warp = exchange(own, AT_MMA, line);
    for (i32 i = 0; i < 4; i++) {
        const union shown *row = warp + lane() / 4 * 4, *column = warp + (lane() % 4 * 2 + i % 2) * 4;
        for (i32 k = 0; k < 16; k++)
            c[i] += row[k % 8 / 2].numbers[i / 2 * 2 + k / 8 * 4 + k % 2] *
                    column[k % 8 / 2].numbers[8 + k / 8 * 2 + k % 2];
    }
}

void loam_fiber_load_matrices(u32 out[4], const void *row, i32 transposed, i32 line)
{
    const union shown *warp = exchange((union shown){.row = row}, AT_LOAD, line);
    for (i32 i = 0; i < 4; i++)
        for (i32 half = 0; half < 2; half++) {
            const i32 along = lane() / 4, across = lane() % 4 * 2 + half;
            const union shown *shown = &warp[i * 8 + (transposed ? across : along)];
            u16 bits;
            memcpy(&bits, (const char *)shown->row + (transposed ? along : across) * 2, sizeof bits);
            out[i] = half ? out[i] | (u32)bits << 16 : bits;
        }
}

// The first `bytes` of 16, and zeros.
static void copy_piece(void *to, const void *from, i32 bytes)
{
    memcpy(to, from, (size_t)bytes);
    memset((char *)to + bytes, 0, (size_t)(16 - bytes));
}

static void queue_copy(void *to, const void *from, i32 bytes)
{
    struct thread *thread = this_thread();
    if (((uintptr_t)to | (uintptr_t)(bytes > 0 ? from : NULL)) % 16 != 0)
        fail("an asynchronous copy is not aligned to 16 bytes");
    else if (thread->copies == MAX_COPIES)
        fail("a thread has too many asynchronous copies under way");
    else
        thread->queue[thread->copies++] = (struct copy){to, from, bytes, thread->group};
}

void loam_fiber_copy_async(void *to, const void *from)
{
    queue_copy(to, from, 16);
}

void loam_fiber_copy_start(struct piece *held, void *to, const void *from, i32 bytes)
{
    if (current->grid.holds_copies)
        copy_piece(held, from, bytes);
    else
        queue_copy(to, from, bytes);
}

void loam_fiber_copy_finish(const struct piece *held, void *to)
{
    if (current->grid.holds_copies) memcpy(to, held, sizeof *held);
}

void loam_fiber_copy_async_commit(void)
{
    this_thread()->group++;
}

void loam_fiber_copy_async_wait(i32 groups)
{
    struct thread *thread = this_thread();
    i32 left = 0;
    for (i32 i = 0; i < thread->copies; i++) {
        const struct copy copy = thread->queue[i];
        if (copy.group < thread->group - groups)
            copy_piece(copy.to, copy.from, copy.bytes);
        else
            thread->queue[left++] = copy;
    }
    thread->copies = left;
}

// ---- blocks ----

static void order_threads(struct loam_fibers *fibers)
{
    const i32 count = fibers->grid.threads;
    for (i32 i = 0; i < count; i++)
        fibers->turn[i] = fibers->order == LOAM_FIBER_REVERSED ? count - 1 - i : i;
    if (fibers->order != LOAM_FIBER_SHUFFLED) return;
    for (i32 i = count - 1; i > 0; i--) {
        fibers->random = fibers->random * 1664525u + 1013904223u;
        const i32 j = (i32)((fibers->random >> 8) % (u32)(i + 1)), swap = fibers->turn[i];
        fibers->turn[i] = fibers->turn[j];
        fibers->turn[j] = swap;
    }
}

// Runs each thread that is ready until it stops.
static void run_ready(struct loam_fibers *fibers)
{
    order_threads(fibers);
    for (i32 i = 0; i < fibers->grid.threads; i++) {
        struct thread *thread = &fibers->threads[fibers->turn[i]];
        if (thread->stop != READY) continue;
        loam_fiber_ids.thread = fibers->turn[i];
        fiber_switch(&fibers->scheduler, &thread->fiber);
    }
}

static bool stopped_alike(const struct thread *threads, i32 count)
{
    for (i32 i = 1; i < count; i++)
        if (threads[i].stop != threads[0].stop || threads[i].line != threads[0].line) return false;
    return true;
}

static void make_ready(struct thread *threads, i32 count)
{
    for (i32 i = 0; i < count; i++)
        threads[i].stop = READY;
}

// Lets the warps go on that have made a step; whether there are any.
static bool release_warps(struct loam_fibers *fibers)
{
    bool released = false;
    for (i32 first = 0; first < fibers->grid.threads; first += LOAM_FIBER_WARP) {
        struct thread *warp = &fibers->threads[first];
        bool steps = false;
        for (i32 i = 0; i < LOAM_FIBER_WARP; i++)
            steps = steps || warp[i].stop > AT_BARRIER;
        if (!steps) continue;
        if (!stopped_alike(warp, LOAM_FIBER_WARP)) {
            fibers->failure = "the threads of a warp do not make the same step";
            return false;
        }
        make_ready(warp, LOAM_FIBER_WARP);
        released = true;
    }
    return released;
}

static bool any_done(const struct loam_fibers *fibers)
{
    for (i32 t = 0; t < fibers->grid.threads; t++)
        if (fibers->threads[t].stop == DONE) return true;
    return false;
}

static void begin_block(struct loam_fibers *fibers)
{
    for (i32 t = 0; t < fibers->grid.threads; t++) {
        struct thread *thread = &fibers->threads[t];
        thread->exchanges = thread->copies = thread->group = 0;
    }
    make_ready(fibers->threads, fibers->grid.threads);
    memset(loam_fiber_ids.shared, 0xff, fibers->grid.shared);
}

static void run_block(struct loam_fibers *fibers)
{
    struct thread *threads = fibers->threads;
    const i32 count = fibers->grid.threads;
    begin_block(fibers);
    while (fibers->failure == NULL) {
        run_ready(fibers);
        if (fibers->failure != NULL || release_warps(fibers) || fibers->failure != NULL) continue;
        if (!stopped_alike(threads, count))
            fibers->failure = any_done(fibers) ? "some threads of a block end before a barrier of the others"
                                               : "the threads of a block wait at two barriers";
        else if (threads[0].stop == DONE)
            return;
        else
            make_ready(threads, count);
    }
}

const char *loam_fibers_run(struct loam_fibers *fibers, const struct loam_fiber_grid *grid)
{
    // AddressSanitizer guards its end.
    char *const shared = malloc(grid->shared > 0 ? grid->shared : 1);
    if (shared == NULL) return "no memory for what a block shares";
    fibers->grid = *grid;
    fibers->failure = NULL;
    current = fibers;
    loam_fiber_ids.shared = shared;
    const int64_t *blocks = grid->blocks;
    for (int64_t b = 0; b < blocks[0] * blocks[1] * blocks[2] && fibers->failure == NULL; b++) {
        loam_fiber_ids.block[0] = (i32)(b % blocks[0]);
        loam_fiber_ids.block[1] = (i32)(b / blocks[0] % blocks[1]);
        loam_fiber_ids.block[2] = (i32)(b / blocks[0] / blocks[1]);
        run_block(fibers);
    }
    if (fibers->failure != NULL) reset_threads(fibers); // some are in the middle of the kernel
    current = NULL;
    loam_fiber_ids = (struct loam_fiber_ids){0};
    free(shared);
    return fibers->failure;
}

// ---- life ----

enum loam_status loam_fibers_create(struct loam_fibers **out, enum loam_fiber_order order,
                                    struct loam_error *error)
{
    const size_t bytes = (size_t)LOAM_FIBER_THREADS * (STACK + GUARD);
    struct loam_fibers *fibers = loam_calloc(1, sizeof *fibers, error);
    if (fibers == NULL) return LOAM_ERROR_MEMORY;
    void *const stacks =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) {
        free(fibers);
        return loam_fail(error, LOAM_ERROR_MEMORY, "%zu bytes for the stacks of fibers", bytes);
    }
    for (size_t t = 0; t < LOAM_FIBER_THREADS; t++)
        (void)mprotect((char *)stacks + t * (STACK + GUARD), GUARD, PROT_NONE);
    fibers->order = order;
    fibers->random = 1;
    fibers->stacks = stacks;
    reset_threads(fibers);
    *out = fibers;
    return LOAM_OK;
}

void loam_fibers_destroy(struct loam_fibers *fibers)
{
    if (fibers == NULL) return;
    for (size_t t = 0; t < LOAM_FIBER_THREADS; t++)
        fiber_forget(&fibers->threads[t].fiber);
    (void)munmap(fibers->stacks, (size_t)LOAM_FIBER_THREADS * (STACK + GUARD));
    free(fibers);
}
