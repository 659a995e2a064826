// The filters, in files by subject. Tables end with a row without a name.
#ifndef LOAM_CHAT_FILTER_H
#define LOAM_CHAT_FILTER_H

#include "chat/run.h"

extern const struct chat_native chat_text_filters[];
extern const struct chat_native chat_sequence_filters[];
extern const struct chat_native chat_order_filters[];
extern const struct chat_native chat_value_filters[];
extern const struct chat_native chat_tests[];

#endif
