#include "hub/base64.h"

#include <openssl/evp.h>

enum loam_status loam_base64_append(struct loam_bytes *text, const void *data, size_t size,
                                    struct loam_error *error)
{
    if (size > LOAM_BASE64_LIMIT)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%zu bytes are too many for a text", size);
    LOAM_TRY(loam_bytes_reserve(text, text->size + (size + 2) / 3 * 4 + 1, error));
    if (size == 0) return LOAM_OK;
    text->size += (size_t)EVP_EncodeBlock((unsigned char *)text->data + text->size, data, (int)size);
    return LOAM_OK;
}
