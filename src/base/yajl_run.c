#include "base/yajl_run.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/heap.h"

struct block {
    struct block *next;
    struct block **from; // the pointer to this block in the list
    alignas(max_align_t) unsigned char bytes[];
};

struct memory {
    struct block *first; // of a list of all blocks that yajl holds
    jmp_buf refused;
};

static struct block *block_of(void *bytes)
{
    return (struct block *)((unsigned char *)bytes - offsetof(struct block, bytes));
}

static void leave_list(struct block *block)
{
    *block->from = block->next;
    if (block->next != NULL) block->next->from = block->from;
}

static void *join_list(struct memory *memory, struct block *block)
{
    block->next = memory->first;
    block->from = &memory->first;
    if (block->next != NULL) block->next->from = &block->next;
    memory->first = block;
    return block->bytes;
}

static void give(void *context, void *bytes)
{
    (void)context;
    if (bytes == NULL) return;
    leave_list(block_of(bytes));
    free(block_of(bytes));
}

static void *take(void *context, size_t size)
{
    struct memory *memory = context;
    struct block *block = NULL;
    if (loam_add_size(size, sizeof *block, &size)) block = malloc(size);
    if (block == NULL) longjmp(memory->refused, 1);
    return join_list(memory, block);
}

static void *take_more(void *context, void *bytes, size_t size)
{
    if (bytes == NULL) return take(context, size);
    struct memory *memory = context;
    struct block *block = block_of(bytes), *grown = NULL;
    leave_list(block); // realloc may move the block, so its neighbours must not point to it
    if (loam_add_size(size, sizeof *block, &size)) grown = realloc(block, size);
    void *joined = join_list(memory, grown != NULL ? grown : block);
    if (grown == NULL) longjmp(memory->refused, 1);
    return joined;
}

// `memory` belongs to the caller: a local variable of this function that changes between setjmp and
// longjmp would have an indeterminate value.
static enum loam_status run(struct memory *memory, const yajl_callbacks *callbacks, loam_yajl_use *use,
                            void *user, struct loam_error *error)
{
    yajl_alloc_funcs functions = {.malloc = take, .realloc = take_more, .free = give, .ctx = memory};
    if (setjmp(memory->refused) != 0)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a JSON parser");
    return use(user, yajl_alloc(callbacks, &functions, user));
}

enum loam_status loam_yajl_run(const yajl_callbacks *callbacks, loam_yajl_use *use, void *user,
                               struct loam_error *error)
{
    struct memory memory = {.first = NULL};
    enum loam_status status = run(&memory, callbacks, use, user, error);
    for (struct block *block = memory.first, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    return status;
}
