// Which instructions the CPU device uses: what the processor has, what this build has code for, and what
// LOAM_ISA asks for.
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/cpu/cpu.h"

#if defined(LOAM_CPU_X86)
#include <cpuid.h>
#endif

// The levels that are compiled in (cmake/LoamCpu.cmake), best first.
void loam_cpu_overrides_portable(struct loam_op_table *ops);
cpu_convert loam_cpu_convert_portable;
#if defined(LOAM_CPU_X86)
void loam_cpu_overrides_avx2(struct loam_op_table *ops);
void loam_cpu_overrides_avx512(struct loam_op_table *ops);
cpu_convert loam_cpu_convert_avx2, loam_cpu_convert_avx512;

// The compilers' __builtin_cpu_supports does not know this one everywhere.
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
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

static const struct cpu_level levels[] = {
#if defined(LOAM_CPU_X86)
    {"avx512_bf16", has_avx512_bf16, loam_cpu_overrides_avx512, loam_cpu_convert_avx512, MATMUL_ANY_ISA},
    {"avx512", has_avx512, loam_cpu_overrides_avx512, loam_cpu_convert_avx512, MATMUL_AVX512},
    {"avx2", has_avx2, loam_cpu_overrides_avx2, loam_cpu_convert_avx2, MATMUL_AVX2},
#endif
    {"portable", has_portable, loam_cpu_overrides_portable, loam_cpu_convert_portable, MATMUL_LEAST_ISA},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

// "avx2, portable": every level, or those that run here.
static void list_levels(bool all, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < LEVELS && used < size; i++)
        if (all || levels[i].runs_here())
            used += (size_t)snprintf(text + used, size - used, "%s%s", used == 0 ? "" : ", ", levels[i].name);
}

static enum loam_status force(const struct cpu_level **out, const char *name, struct loam_error *error)
{
    char names[64];
    const struct cpu_level *level = NULL;
    for (size_t i = 0; i < LEVELS && level == NULL; i++)
        if (strcmp(levels[i].name, name) == 0) level = &levels[i];
    if (level == NULL) {
        list_levels(true, names, sizeof names);
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "LOAM_ISA=%s: expected one of %s", name, names);
    }
    if (!level->runs_here()) {
        list_levels(false, names, sizeof names);
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

enum loam_status loam_cpu_choose_level(const struct cpu_level **out, struct loam_error *error)
{
    const char *name = getenv("LOAM_ISA");
    if (name != NULL && name[0] != '\0') return force(out, name, error);
    size_t best = 0;
    while (!levels[best].runs_here())
        best++; // the last one runs everywhere
    *out = &levels[best];
    return LOAM_OK;
}

// ---- for people ----

static void list_instructions(char *text, size_t size)
{
    text[0] = '\0';
#if defined(LOAM_CPU_X86)
    const struct {
        const char *name;
        bool there;
    } features[] = {
        {"avx2", __builtin_cpu_supports("avx2")},
        {"fma", __builtin_cpu_supports("fma")},
        {"f16c", has_f16c()},
        {"avx512f", __builtin_cpu_supports("avx512f")},
        {"avx512bw", __builtin_cpu_supports("avx512bw")},
        {"avx512dq", __builtin_cpu_supports("avx512dq")},
        {"avx512vl", __builtin_cpu_supports("avx512vl")},
        {"avx512vnni", __builtin_cpu_supports("avx512vnni")},
        {"avx512bf16", __builtin_cpu_supports("avx512bf16")},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof features / sizeof features[0] && used < size; i++)
        if (features[i].there)
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s", used == 0 ? "" : " ", features[i].name);
#else
    (void)size;
#endif
}

// "AMD EPYC 7B13"; empty where the processor does not say.
static void name_processor(char *text, size_t size)
{
    text[0] = '\0';
#if defined(LOAM_CPU_X86)
    enum { FIRST_LEAF = 0x80000002u, LEAVES = 3 };
    unsigned words[LEAVES][4];
    for (unsigned i = 0; i < LEAVES; i++)
        if (__get_cpuid(FIRST_LEAF + i, &words[i][0], &words[i][1], &words[i][2], &words[i][3]) == 0) return;
    char name[sizeof words + 1] = {0};
    memcpy(name, words, sizeof words);
    snprintf(text, size, "%s", name + strspn(name, " "));
    for (size_t end = strlen(text); end > 0 && text[end - 1] == ' '; end--)
        text[end - 1] = '\0';
#else
    (void)size;
#endif
}

void loam_cpu_describe(const struct loam_device *device, struct loam_machine *machine)
{
    name_processor(machine->processor, sizeof machine->processor);
    list_instructions(machine->instructions, sizeof machine->instructions);
    list_levels(false, machine->levels, sizeof machine->levels);
    snprintf(machine->level, sizeof machine->level, "%s", device->isa);
    loam_matmul_version(machine->onednn, sizeof machine->onednn);
    snprintf(machine->onednn_isa, sizeof machine->onednn_isa, "%s", loam_matmul_isa());
    machine->native_bf16 = loam_formats_have(device->formats.preferred, LOAM_BF16);
    machine->threads = device->threads;
    machine->cores = omp_get_num_procs();
}
