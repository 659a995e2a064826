// A list of texts, such as the values of an option that may be given several times, in the order given.
#ifndef LOAM_BASE_TEXT_LIST_H
#define LOAM_BASE_TEXT_LIST_H

#include "base/status.h"

// A zeroed list is empty.
struct loam_text_list {
    const char **items; // [count]
    size_t count;
    size_t capacity;
};

// Appends a copy of `text`.
enum loam_status loam_text_list_add(struct loam_text_list *list, const char *text, struct loam_error *error);
// Sorts the texts from index `first` on by their bytes.
void loam_text_list_sort(struct loam_text_list *list, size_t first);
// Releases a list whose items are copies.
void loam_text_list_deinit(struct loam_text_list *list);

#endif
