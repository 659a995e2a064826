// The description of the processor and oneDNN in `loam --version --verbose`.
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "device/cpu/cpu.h"

#if defined(LOAM_CPU_X86)
#include <cpuid.h>
#endif

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
        {"f16c", loam_cpu_has_f16c()},
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

// "AMD EPYC 7B13"; empty where the processor has no name.
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
    loam_cpu_list_levels(false, machine->levels, sizeof machine->levels);
    snprintf(machine->level, sizeof machine->level, "%s", device->isa);
    loam_matmul_version(machine->onednn, sizeof machine->onednn);
    snprintf(machine->onednn_isa, sizeof machine->onednn_isa, "%s", loam_matmul_isa());
    machine->native_bf16 = loam_formats_have(device->formats.preferred, LOAM_BF16);
    machine->threads = device->threads;
    machine->cores = omp_get_num_procs();
}
