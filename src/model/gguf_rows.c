#include "model/gguf_rows.h"

#include <string.h>

#include "base/heap.h"

char *loam_gguf_tensor_name(const struct loam_parameter *weight, struct loam_error *error)
{
    const char *name = weight->row->gguf;
    const char *gap = strstr(name, "%d");
    return loam_format(error, "%.*s%d%s", (int)(gap - name), name, weight->layer, gap + 2);
}

int64_t loam_gguf_source_row(const struct loam_config *config, enum loam_gguf_rows order, int64_t row)
{
    int64_t d = config->head_dim;
    int64_t block = row / d;  // [3, heads] or [heads]
    int64_t within = row % d; // of a head
    switch (order) {
    case LOAM_GGUF_ROWS_SAME:
        break;
    case LOAM_GGUF_ROWS_QKV: // [3, heads, D] of [heads, 3, D]
        return (block % config->heads * 3 + block / config->heads) * d + within;
    case LOAM_GGUF_ROWS_GROUPS: {
        const int64_t queries = config->heads / config->kv_heads, key = block - config->heads;
        const int64_t source = block < config->heads ? block / queries * (queries + 2) + block % queries
                               : key < config->kv_heads
                                   ? key * (queries + 2) + queries
                                   : (key - config->kv_heads) * (queries + 2) + queries + 1;
        return source * d + within;
    }
    case LOAM_GGUF_ROWS_ROPE: // [heads, D/2, 2] of [heads, 2, D/2]
        return block * d + within % 2 * (d / 2) + within / 2;
    }
    return row;
}
