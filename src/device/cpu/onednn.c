#include "device/cpu/onednn.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

enum { WAYS = 4, SETS = 64 }; // WAYS primitives share a set; the longest unused of a full set is replaced

enum operand { OPERAND_A, OPERAND_B, OPERAND_C, OPERAND_BIAS, OPERAND_COUNT };
static const int operand_argument[OPERAND_COUNT] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST,
                                                    DNNL_ARG_BIAS};

struct matmul_entry {
    struct matmul_shape shape;
    dnnl_primitive_t primitive;          // NULL: a free entry
    dnnl_memory_t memory[OPERAND_COUNT]; // the addresses are set anew by every run
    uint64_t used;
};

struct matmul_cache {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int threads;
    uint64_t clock;
    struct matmul_entry entries[SETS][WAYS];
};

// ---- what differs between the major versions ----

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t memory_desc;
typedef const_dnnl_memory_desc_t memory_desc_view;

static dnnl_status_t desc_create(memory_desc *desc, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                                 const dnnl_dims_t strides)
{
    return dnnl_memory_desc_create_with_strides(desc, rank, dims, type, strides);
}
static dnnl_status_t desc_create_any(memory_desc *desc, int rank, const dnnl_dims_t dims,
                                     dnnl_data_type_t type)
{
    return dnnl_memory_desc_create_with_tag(desc, rank, dims, type, dnnl_format_tag_any);
}
static memory_desc_view desc_view(const memory_desc *desc)
{
    return *desc;
}
static void desc_destroy(memory_desc *desc)
{
    if (*desc != NULL) dnnl_memory_desc_destroy(*desc);
}
static dnnl_status_t append_sum(dnnl_post_ops_t post_ops)
{
    return dnnl_post_ops_append_sum(post_ops, 1.0f, 0, dnnl_data_type_undef);
}
static dnnl_status_t primitive_desc_create(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                           const memory_desc desc[OPERAND_COUNT], bool bias,
                                           const_dnnl_primitive_attr_t attributes)
{
    return dnnl_matmul_primitive_desc_create(out, engine, desc[OPERAND_A], desc[OPERAND_B],
                                             bias ? desc[OPERAND_BIAS] : NULL, desc[OPERAND_C], attributes);
}
#else
typedef dnnl_memory_desc_t memory_desc;
typedef const dnnl_memory_desc_t *memory_desc_view;

static dnnl_status_t desc_create(memory_desc *desc, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                                 const dnnl_dims_t strides)
{
    return dnnl_memory_desc_init_by_strides(desc, rank, dims, type, strides);
}
static dnnl_status_t desc_create_any(memory_desc *desc, int rank, const dnnl_dims_t dims,
                                     dnnl_data_type_t type)
{
    return dnnl_memory_desc_init_by_tag(desc, rank, dims, type, dnnl_format_tag_any);
}
static memory_desc_view desc_view(const memory_desc *desc)
{
    return desc;
}
static void desc_destroy(memory_desc *desc)
{
    (void)desc; // a plain struct
}
static dnnl_status_t append_sum(dnnl_post_ops_t post_ops)
{
    return dnnl_post_ops_append_sum(post_ops, 1.0f);
}
static dnnl_status_t primitive_desc_create(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                           const memory_desc desc[OPERAND_COUNT], bool bias,
                                           const_dnnl_primitive_attr_t attributes)
{
    dnnl_matmul_desc_t matmul;
    dnnl_status_t status = dnnl_matmul_desc_init(&matmul, &desc[OPERAND_A], &desc[OPERAND_B],
                                                 bias ? &desc[OPERAND_BIAS] : NULL, &desc[OPERAND_C]);
    if (status != dnnl_success) return status;
    return dnnl_primitive_desc_create(out, &matmul, attributes, engine, NULL);
}
#endif

// ---- threads ----

// oneDNN has no parameter for its threads: it takes what OpenMP would give the calling thread. That is set
// for the time of a call and put back; omp_set_num_threads changes the setting of the calling thread alone.
static int begin_call(const struct matmul_cache *cache)
{
    const int before = omp_get_max_threads();
    omp_set_num_threads(cache->threads);
    return before;
}

static void end_call(int before)
{
    omp_set_num_threads(before);
}

// ---- the cache ----

enum loam_status loam_matmul_cache_create(struct matmul_cache **out, int threads, struct loam_error *error)
{
    *out = loam_calloc(1, sizeof **out, error);
    if (*out == NULL) return LOAM_ERROR_MEMORY;
    struct matmul_cache *cache = *out;
    cache->threads = threads;
    if (dnnl_engine_create(&cache->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&cache->stream, cache->engine, dnnl_stream_default_flags) == dnnl_success)
        return LOAM_OK;
    loam_matmul_cache_destroy(cache);
    *out = NULL;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "oneDNN offers no CPU engine on this machine");
}

static void entry_clear(struct matmul_entry *entry)
{
    if (entry->primitive != NULL) dnnl_primitive_destroy(entry->primitive);
    for (int i = 0; i < OPERAND_COUNT; i++)
        if (entry->memory[i] != NULL) dnnl_memory_destroy(entry->memory[i]);
    memset(entry, 0, sizeof *entry);
}

void loam_matmul_cache_destroy(struct matmul_cache *cache)
{
    if (cache == NULL) return;
    for (int set = 0; set < SETS; set++)
        for (int way = 0; way < WAYS; way++)
            entry_clear(&cache->entries[set][way]);
    if (cache->stream != NULL) dnnl_stream_destroy(cache->stream);
    if (cache->engine != NULL) dnnl_engine_destroy(cache->engine);
    free(cache);
}

size_t loam_matmul_cache_capacity(void)
{
    return (size_t)WAYS * SETS;
}

size_t loam_matmul_cache_count(const struct matmul_cache *cache)
{
    size_t count = 0;
    for (int set = 0; set < SETS; set++)
        for (int way = 0; way < WAYS; way++)
            count += cache->entries[set][way].primitive != NULL;
    return count;
}

static dnnl_data_type_t data_type(enum loam_dtype dtype)
{
    return dtype == LOAM_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_status_t describe(const struct matmul_shape *shape, memory_desc desc[OPERAND_COUNT])
{
    const dnnl_dims_t a = {shape->m, shape->k}, a_stride = {shape->a_stride[0], shape->a_stride[1]};
    const dnnl_dims_t b = {shape->k, shape->n}, b_stride = {shape->b_stride[0], shape->b_stride[1]};
    const dnnl_dims_t c = {shape->m, shape->n}, c_stride = {shape->c_stride, 1};
    const dnnl_dims_t bias = {1, shape->n}, bias_stride = {shape->n, 1};
    const dnnl_data_type_t ab = data_type(shape->ab_dtype);
    dnnl_status_t status = desc_create(&desc[OPERAND_A], 2, a, ab, a_stride);
    if (status == dnnl_success)
        status = shape->packed ? desc_create_any(&desc[OPERAND_B], 2, b, ab)
                               : desc_create(&desc[OPERAND_B], 2, b, ab, b_stride);
    if (status == dnnl_success)
        status = desc_create(&desc[OPERAND_C], 2, c, data_type(shape->c_dtype), c_stride);
    if (status == dnnl_success && shape->bias_dtype != LOAM_DTYPE_NONE)
        status = desc_create(&desc[OPERAND_BIAS], 2, bias, data_type(shape->bias_dtype), bias_stride);
    return status;
}

static dnnl_status_t attributes_create(dnnl_primitive_attr_t *attributes, bool accumulate)
{
    dnnl_status_t status = dnnl_primitive_attr_create(attributes);
    if (status != dnnl_success || !accumulate) return status;
    dnnl_post_ops_t post_ops;
    status = dnnl_post_ops_create(&post_ops);
    if (status != dnnl_success) return status;
    status = append_sum(post_ops);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*attributes, post_ops);
    dnnl_post_ops_destroy(post_ops);
    return status;
}

static dnnl_status_t entry_make(struct matmul_entry *entry, const struct matmul_shape *shape,
                                dnnl_engine_t engine)
{
    const bool bias = shape->bias_dtype != LOAM_DTYPE_NONE;
    memory_desc desc[OPERAND_COUNT];
    memset(desc, 0, sizeof desc);
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t primitive_desc = NULL;
    dnnl_status_t status = describe(shape, desc);
    if (status == dnnl_success) status = attributes_create(&attributes, shape->accumulate);
    if (status == dnnl_success)
        status = primitive_desc_create(&primitive_desc, engine, desc, bias, attributes);
    if (status == dnnl_success) status = dnnl_primitive_create(&entry->primitive, primitive_desc);
    for (int i = 0; i < OPERAND_COUNT && status == dnnl_success; i++) {
        if (i == OPERAND_BIAS && !bias) continue;
        // The primitive chooses the form of b where the description left it open.
        memory_desc_view view = i == OPERAND_B
                                    ? dnnl_primitive_desc_query_md(primitive_desc, dnnl_query_weights_md, 0)
                                    : desc_view(&desc[i]);
        status = dnnl_memory_create(&entry->memory[i], view, engine, DNNL_MEMORY_NONE);
    }
    if (primitive_desc != NULL) dnnl_primitive_desc_destroy(primitive_desc);
    if (attributes != NULL) dnnl_primitive_attr_destroy(attributes);
    for (int i = 0; i < OPERAND_COUNT; i++)
        desc_destroy(&desc[i]);
    entry->shape = *shape;
    return status;
}

static bool same_shape(const struct matmul_shape *x, const struct matmul_shape *y)
{
    return x->m == y->m && x->n == y->n && x->k == y->k && x->a_stride[0] == y->a_stride[0] &&
           x->a_stride[1] == y->a_stride[1] && x->b_stride[0] == y->b_stride[0] &&
           x->b_stride[1] == y->b_stride[1] && x->c_stride == y->c_stride && x->ab_dtype == y->ab_dtype &&
           x->c_dtype == y->c_dtype && x->bias_dtype == y->bias_dtype && x->accumulate == y->accumulate &&
           x->packed == y->packed;
}

static size_t hash_shape(const struct matmul_shape *shape)
{
    const int64_t fields[] = {
        shape->m,           shape->n,           shape->k,        shape->a_stride[0],       shape->a_stride[1],
        shape->b_stride[0], shape->b_stride[1], shape->c_stride, (int64_t)shape->ab_dtype, shape->c_dtype,
        shape->bias_dtype,  shape->accumulate,  shape->packed};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        hash = (hash ^ (uint64_t)fields[i]) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    return (size_t)(hash % SETS);
}

// Finds or makes the entry of the shape; NULL when oneDNN cannot do it.
static struct matmul_entry *entry_find(struct matmul_cache *cache, const struct matmul_shape *shape)
{
    struct matmul_entry *set = cache->entries[hash_shape(shape)], *oldest = set;
    for (int way = 0; way < WAYS; way++) {
        if (set[way].primitive != NULL && same_shape(&set[way].shape, shape)) return &set[way];
        if (set[way].used < oldest->used) oldest = &set[way];
    }
    entry_clear(oldest);
    const int before = begin_call(cache);
    const dnnl_status_t status = entry_make(oldest, shape, cache->engine);
    end_call(before);
    if (status == dnnl_success) return oldest;
    entry_clear(oldest);
    return NULL;
}

const char *loam_matmul_run(struct matmul_cache *cache, const struct matmul_shape *shape, const void *a,
                            const void *b, const void *bias, void *c)
{
    struct matmul_entry *entry = entry_find(cache, shape);
    if (entry == NULL) return "oneDNN has no matrix product for these shapes and dtypes";
    entry->used = ++cache->clock;
    // oneDNN takes every operand as void *; it writes to c alone.
    void *const data[OPERAND_COUNT] = {(void *)(uintptr_t)a, (void *)(uintptr_t)b, c,
                                       (void *)(uintptr_t)bias};
    dnnl_exec_arg_t arguments[OPERAND_COUNT];
    int count = 0;
    for (int i = 0; i < OPERAND_COUNT; i++) {
        if (entry->memory[i] == NULL) continue;
        if (dnnl_memory_set_data_handle(entry->memory[i], data[i]) != dnnl_success)
            return "oneDNN refused an operand's address";
        arguments[count++] = (dnnl_exec_arg_t){operand_argument[i], entry->memory[i]};
    }
    const int before = begin_call(cache);
    dnnl_status_t status = dnnl_primitive_execute(entry->primitive, cache->stream, count, arguments);
    if (status == dnnl_success) status = dnnl_stream_wait(cache->stream);
    end_call(before);
    return status == dnnl_success ? NULL : "a matrix product by oneDNN failed";
}

// ---- what oneDNN may use ----

// A level's bits include those of the levels below it.
static bool uses_no_more_than(dnnl_cpu_isa_t isa)
{
    return (dnnl_get_effective_cpu_isa() & ~(unsigned)isa) == 0;
}

bool loam_matmul_limit_isa(enum matmul_isa isa)
{
    static const dnnl_cpu_isa_t limits[] = {[MATMUL_LEAST_ISA] = dnnl_cpu_isa_sse41,
                                            [MATMUL_AVX2] = dnnl_cpu_isa_avx2,
                                            [MATMUL_AVX512] = dnnl_cpu_isa_avx512_core};
    if (isa == MATMUL_ANY_ISA) return true;
    const dnnl_cpu_isa_t most = limits[isa];
    // oneDNN refuses a second limit; the effective instructions decide whether the first one was low enough.
    (void)dnnl_set_max_cpu_isa(most);
    return uses_no_more_than(most);
}

const char *loam_matmul_isa(void)
{
    static const char prefix[] = "cpu_isa_";
    const char *name = dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa());
    return strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
}

void loam_matmul_version(char *text, size_t size)
{
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, size, "%d.%d.%d", version->major, version->minor, version->patch);
}

// ---- packing ----

static memory_desc_view packed_desc(const struct matmul_entry *entry)
{
    memory_desc_view view = NULL;
    return dnnl_memory_get_memory_desc(entry->memory[OPERAND_B], &view) == dnnl_success ? view : NULL;
}

size_t loam_matmul_packed_bytes(struct matmul_cache *cache, const struct matmul_shape *shape)
{
    const struct matmul_entry *entry = entry_find(cache, shape);
    memory_desc_view view = entry != NULL ? packed_desc(entry) : NULL;
    return view != NULL ? dnnl_memory_desc_get_size(view) : 0;
}

struct packing {
    memory_desc plain;
    dnnl_primitive_desc_t primitive_desc;
    dnnl_primitive_t primitive;
    dnnl_memory_t from;
    dnnl_memory_t to;
};

static dnnl_status_t packing_run(struct packing *packing, struct matmul_cache *cache,
                                 const struct matmul_shape *shape, memory_desc_view packed_view,
                                 const void *b, void *packed)
{
    const dnnl_dims_t dims = {shape->k, shape->n}, strides = {shape->b_stride[0], shape->b_stride[1]};
    dnnl_engine_t engine = cache->engine;
    dnnl_status_t status = desc_create(&packing->plain, 2, dims, data_type(shape->ab_dtype), strides);
    if (status != dnnl_success) return status;
    memory_desc_view plain_view = desc_view(&packing->plain);
    status = dnnl_reorder_primitive_desc_create(&packing->primitive_desc, plain_view, engine, packed_view,
                                                engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&packing->primitive, packing->primitive_desc);
    // oneDNN takes both as void *; it writes to the second alone.
    if (status == dnnl_success)
        status = dnnl_memory_create(&packing->from, plain_view, engine, (void *)(uintptr_t)b);
    if (status == dnnl_success) status = dnnl_memory_create(&packing->to, packed_view, engine, packed);
    if (status != dnnl_success) return status;
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, packing->from}, {DNNL_ARG_TO, packing->to}};
    status = dnnl_primitive_execute(packing->primitive, cache->stream, 2, arguments);
    return status == dnnl_success ? dnnl_stream_wait(cache->stream) : status;
}

const char *loam_matmul_pack(struct matmul_cache *cache, const struct matmul_shape *shape, const void *b,
                             void *packed)
{
    const struct matmul_entry *entry = entry_find(cache, shape);
    memory_desc_view view = entry != NULL ? packed_desc(entry) : NULL;
    if (view == NULL) return "oneDNN has no matrix product for these shapes and dtypes";
    struct packing packing;
    memset(&packing, 0, sizeof packing);
    const int before = begin_call(cache);
    const dnnl_status_t status = packing_run(&packing, cache, shape, view, b, packed);
    end_call(before);
    if (packing.from != NULL) dnnl_memory_destroy(packing.from);
    if (packing.to != NULL) dnnl_memory_destroy(packing.to);
    if (packing.primitive != NULL) dnnl_primitive_destroy(packing.primitive);
    if (packing.primitive_desc != NULL) dnnl_primitive_desc_destroy(packing.primitive_desc);
    desc_destroy(&packing.plain);
    return status == dnnl_success ? NULL : "oneDNN could not pack a weight";
}

static bool has_instructions(unsigned isa)
{
    return (dnnl_get_effective_cpu_isa() & isa) == isa;
}

bool loam_matmul_has_tiles(void)
{
    return has_instructions(dnnl_cpu_isa_avx512_core_amx);
}

bool loam_matmul_native_bf16(struct matmul_cache *cache)
{
    const struct matmul_shape shape = {.m = 16,
                                       .n = 16,
                                       .k = 16,
                                       .a_stride = {16, 1},
                                       .b_stride = {1, 16},
                                       .c_stride = 16,
                                       .ab_dtype = LOAM_BF16,
                                       .c_dtype = LOAM_BF16,
                                       .bias_dtype = LOAM_BF16,
                                       .accumulate = true};
    return has_instructions(dnnl_cpu_isa_avx512_core_bf16) && entry_find(cache, &shape) != NULL;
}
