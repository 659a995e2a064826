#include "device/cpu/kernels/level.h"

void CPU_NAME(set_ops)(struct loam_op_table *ops);
void CPU_NAME(set_ops)(struct loam_op_table *ops)
{
#define CPU_SET_OPS(subject) CPU_NAME(subject)(ops);
    CPU_SUBJECTS(CPU_SET_OPS)
#undef CPU_SET_OPS
}
