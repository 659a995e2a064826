// The filters, in files by subject. Tables end with a row without a name.
#ifndef LOAM_CHAT_FILTER_H
#define LOAM_CHAT_FILTER_H

#include "chat/run.h"

// A filter that is a generator in Python. It does nothing, and so cannot fail, before its result is read.
#define CHAT_GENERATOR(filter, read)                                                                         \
    static enum loam_status filter(struct chat_run *run, const struct chat_call *call,                       \
                                   struct chat_value *result)                                                \
    {                                                                                                        \
        return chat_defer(run, call, read, result);                                                          \
    }

extern const struct chat_native chat_text_filters[];
extern const struct chat_native chat_sequence_filters[];
extern const struct chat_native chat_order_filters[];
extern const struct chat_native chat_value_filters[];
extern const struct chat_native chat_tests[];

#endif
