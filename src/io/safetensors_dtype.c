#include "io/safetensors_dtype.h"

#include <string.h>

static const struct loam_safetensors_dtype table[] = {
    {"BOOL", 1, LOAM_DTYPE_NONE},
    {"U8", 1, LOAM_DTYPE_NONE},
    {"I8", 1, LOAM_DTYPE_NONE},
    {"F8_E5M2", 1, LOAM_DTYPE_NONE},
    {"F8_E4M3", 1, LOAM_DTYPE_NONE},
    {"F8_E8M0", 1, LOAM_DTYPE_NONE},
    {"I16", 2, LOAM_DTYPE_NONE},
    {"U16", 2, LOAM_DTYPE_NONE},
    {"F16", 2, LOAM_F16},
    {"BF16", 2, LOAM_BF16},
    {"I32", 4, LOAM_I32},
    {"U32", 4, LOAM_DTYPE_NONE},
    {"F32", 4, LOAM_F32},
    {"C64", 8, LOAM_DTYPE_NONE},
    {"F64", 8, LOAM_F64},
    {"I64", 8, LOAM_DTYPE_NONE},
    {"U64", 8, LOAM_DTYPE_NONE},
};
enum { TABLE_COUNT = sizeof table / sizeof table[0] };

const struct loam_safetensors_dtype *loam_safetensors_dtype_by_name(const char *name)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

const struct loam_safetensors_dtype *loam_safetensors_dtype_of(enum loam_dtype dtype)
{
    for (size_t i = 0; i < TABLE_COUNT && dtype != LOAM_DTYPE_NONE; i++)
        if (table[i].dtype == dtype) return &table[i];
    return NULL;
}
