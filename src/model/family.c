#include "model/family.h"

#include <string.h>

#define ENTRY(name) &loam_family_##name,
static const struct loam_family *const families[] = {LOAM_FAMILIES(ENTRY)};
#undef ENTRY

const struct loam_family *loam_family_at(size_t index)
{
    return index < sizeof families / sizeof families[0] ? families[index] : NULL;
}

size_t loam_family_index(const struct loam_family *family)
{
    size_t index = 0;
    while (loam_family_at(index) != NULL && loam_family_at(index) != family)
        index++;
    return index;
}

const struct loam_family *loam_family_find(const char *model_type)
{
    for (size_t i = 0; loam_family_at(i) != NULL; i++)
        if (strcmp(loam_family_at(i)->model_type, model_type) == 0) return loam_family_at(i);
    return NULL;
}

const struct loam_weight_row *loam_family_tied_row(const struct loam_family *family)
{
    const struct loam_weight_row *row = family->rows;
    while ((row->flags & LOAM_WEIGHT_TIED) == 0)
        row++;
    return row;
}

bool loam_family_is_parallel(const struct loam_family *family)
{
    for (int b = 1; b < family->branch_count; b++)
        if (family->branches[b].reads_layer_input) return true;
    return false;
}
