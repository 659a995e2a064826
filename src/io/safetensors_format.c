#include "io/safetensors_format.h"

#include <string.h>

static const struct loam_safetensors_format table[] = {
    {"BOOL", 1, LOAM_FORMAT_NONE},    {"U8", 1, LOAM_FORMAT_NONE},      {"I8", 1, LOAM_FORMAT_NONE},
    {"F8_E5M2", 1, LOAM_FORMAT_NONE}, {"F8_E4M3", 1, LOAM_FORMAT_NONE}, {"F8_E8M0", 1, LOAM_FORMAT_NONE},
    {"I16", 2, LOAM_FORMAT_NONE},     {"U16", 2, LOAM_FORMAT_NONE},     {"F16", 2, LOAM_FORMAT_F16},
    {"BF16", 2, LOAM_FORMAT_BF16},    {"I32", 4, LOAM_FORMAT_I32},      {"U32", 4, LOAM_FORMAT_NONE},
    {"F32", 4, LOAM_FORMAT_F32},      {"C64", 8, LOAM_FORMAT_NONE},     {"F64", 8, LOAM_FORMAT_F64},
    {"I64", 8, LOAM_FORMAT_NONE},     {"U64", 8, LOAM_FORMAT_NONE},
};
enum { TABLE_COUNT = sizeof table / sizeof table[0] };

const struct loam_safetensors_format *loam_safetensors_format_by_name(const char *name)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

const struct loam_safetensors_format *loam_safetensors_format_of(enum loam_format format)
{
    for (size_t i = 0; i < TABLE_COUNT && format != LOAM_FORMAT_NONE; i++)
        if (table[i].format == format) return &table[i];
    return NULL;
}
