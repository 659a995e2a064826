// Base64 encoding of bytes that are sent inside JSON.
#ifndef LOAM_HUB_BASE64_H
#define LOAM_HUB_BASE64_H

#include "base/bytes.h"

enum { LOAM_BASE64_LIMIT = 16 << 20 }; // largest number of bytes in one call

enum loam_status loam_base64_append(struct loam_bytes *text, const void *data, size_t size,
                                    struct loam_error *error);

#endif
