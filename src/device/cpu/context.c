// The contexts, one for each level that is compiled in (cmake/LoamCpu.cmake), and the choice between them:
// what the processor has, and what LOAM_ISA asks for.
#include "device/cpu/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/cpu/kernels/sizes.h"

#if defined(LOAM_CPU_X86)
#include <cpuid.h>
#endif

// ---- what the processor has ----

#if defined(LOAM_CPU_X86)
bool loam_cpu_has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && loam_cpu_has_f16c();
}
static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
static bool has_avx512_bf16(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512bf16");
}
#endif
static bool has_portable(void)
{
    return true;
}

// ---- the contexts ----

// What every level exports.
#define CPU_LEVEL_SIZES(level, ...)                                                                          \
    extern const struct gemm_kernel loam_cpu_gemm_f32_##level, loam_cpu_gemm_block_float_##level;            \
    extern const struct lora_kernel loam_cpu_lora_f32_##level;                                               \
    extern const struct few_kernel loam_cpu_few_##level;                                                     \
    extern const struct loam_limits loam_cpu_limits_##level;                                                 \
    cpu_convert loam_cpu_convert_##level;                                                                    \
    void loam_cpu_set_ops_##level(struct loam_op_table *ops);                                                \
    void loam_cpu_gemm_finish_##level(const struct gemm *gemm, const struct gemm_tile *tile);
#include "device/cpu/kernels/sizes.def"
#undef CPU_LEVEL_SIZES
// What AVX-512 BF16 adds (kernels/bf16).
extern const struct gemm_kernel loam_cpu_gemm_bf16_avx512_bf16;
extern const struct lora_kernel loam_cpu_lora_bf16_avx512_bf16;
extern const struct attention_forward_kernel loam_cpu_attention_forward_bf16_avx512_bf16;
extern const struct attention_backward_kernel loam_cpu_attention_backward_bf16_avx512_bf16;

// What a level's files give to its context.
#define OF_LEVEL(level)                                                                                      \
    .set_ops = loam_cpu_set_ops_##level, .convert = loam_cpu_convert_##level, .few = &loam_cpu_few_##level,  \
    .gemm = {.lanes = level##_LANES,                                                                         \
             .rows = level##_GEMM_ROWS,                                                                      \
             .columns = level##_GEMM_COLUMNS,                                                                \
             .depth = level##_GEMM_DEPTH,                                                                    \
             .task_columns = level##_GEMM_TASK_COLUMNS,                                                      \
             .tasks_each = level##_GEMM_TASKS_EACH},                                                         \
    .gemm_mixed = &loam_cpu_gemm_block_float_##level, .lora = &loam_cpu_lora_f32_##level,                    \
    .gemm_finish = loam_cpu_gemm_finish_##level, .limits = &loam_cpu_limits_##level

// Best first. oneDNN multiplies f32 as fast as gemm_f32 below AVX-512.
static const struct cpu_context contexts[] = {
#if defined(LOAM_CPU_X86)
    {
        .name = "avx512_bf16",
        .runs_here = has_avx512_bf16,
        .matmul = MATMUL_ANY_ISA,
        .gemm_f32 = &loam_cpu_gemm_f32_avx512_bf16,
        .gemm_bf16 = &loam_cpu_gemm_bf16_avx512_bf16,
        .lora_bf16 = &loam_cpu_lora_bf16_avx512_bf16,
        .attention_forward_bf16 = &loam_cpu_attention_forward_bf16_avx512_bf16,
        .attention_backward_bf16 = &loam_cpu_attention_backward_bf16_avx512_bf16,
        OF_LEVEL(avx512_bf16),
    },
    {
        .name = "avx512",
        .runs_here = has_avx512,
        .matmul = MATMUL_AVX512,
        .gemm_f32 = &loam_cpu_gemm_f32_avx512,
        .gemm_bf16 = &loam_cpu_gemm_block_float_avx512,
        OF_LEVEL(avx512),
    },
    {
        .name = "avx2",
        .runs_here = has_avx2,
        .matmul = MATMUL_AVX2,
        .gemm_bf16 = &loam_cpu_gemm_block_float_avx2,
        OF_LEVEL(avx2),
    },
#endif
    {
        .name = "portable",
        .runs_here = has_portable,
        .matmul = MATMUL_LEAST_ISA,
        .gemm_bf16 = &loam_cpu_gemm_block_float_portable,
        OF_LEVEL(portable),
    },
};
enum { LEVELS = sizeof contexts / sizeof contexts[0] };

// ---- the choice ----

void loam_cpu_list_levels(bool all, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < LEVELS && used < size; i++)
        if (all || contexts[i].runs_here())
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s", used == 0 ? "" : ", ", contexts[i].name);
}

static enum loam_status force(const struct cpu_context **out, const char *name, struct loam_error *error)
{
    char names[64];
    const struct cpu_context *level = NULL;
    for (size_t i = 0; i < LEVELS && level == NULL; i++)
        if (strcmp(contexts[i].name, name) == 0) level = &contexts[i];
    if (level == NULL) {
        loam_cpu_list_levels(true, names, sizeof names);
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "LOAM_ISA=%s: expected one of %s", name, names);
    }
    if (!level->runs_here()) {
        loam_cpu_list_levels(false, names, sizeof names);
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "LOAM_ISA=%s: this processor does not have these instructions; it can run %s", name,
                         names);
    }
    if (!loam_matmul_limit_isa(level->matmul))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "LOAM_ISA=%s: oneDNN uses %s in this process and can no longer be limited; set it "
                         "before the first device is made",
                         name, loam_matmul_isa());
    *out = level;
    return LOAM_OK;
}

enum loam_status loam_cpu_choose_context(const struct cpu_context **out, struct loam_error *error)
{
    const char *name = getenv("LOAM_ISA");
    if (name != NULL && name[0] != '\0') return force(out, name, error);
    size_t best = 0;
    while (!contexts[best].runs_here())
        best++; // the last one runs everywhere
    *out = &contexts[best];
    return LOAM_OK;
}
