#include "device/cpu/simd/level.h"

void CPU_OVERRIDES(overrides)(struct loam_op_table *ops)
{
#define CPU_OVERRIDE(subject) CPU_OVERRIDES(subject)(ops);
    CPU_SUBJECTS(CPU_OVERRIDE)
#undef CPU_OVERRIDE
}
