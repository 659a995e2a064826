// Values of options: from text into the settings, and back.
#ifndef LOAM_OPTIONS_OPTION_VALUES_H
#define LOAM_OPTIONS_OPTION_VALUES_H

#include "base/bytes.h"
#include "options/option_table.h"

// `settings` is the struct that row->offset counts in: struct loam_settings for the rows of the table.

// Checks the text and stores its value in the row's field. A string field keeps the pointer; a list copies
// the text.
enum loam_status loam_option_store(void *settings, const struct loam_option_row *row, const char *text,
                                   struct loam_error *error);
// Releases the items of a list and leaves it empty. A field of another type owns nothing.
void loam_option_release(void *settings, const struct loam_option_row *row);

bool loam_option_is_list(const struct loam_option_row *row);
size_t loam_option_item_count(const void *settings, const struct loam_option_row *row);
// Appends item `index` of a list, as it is written on the command line.
enum loam_status loam_option_append_item(const void *settings, const struct loam_option_row *row,
                                         size_t index, struct loam_bytes *out, struct loam_error *error);

// Whether two texts are the same value of the option: 0 and 0.0 are the same number.
bool loam_option_values_equal(const struct loam_option_row *row, const char *left, const char *right);
// Whether `word` is one of the alternatives in the option's argument: DIR of DIR|NAME[:FACTOR].
bool loam_option_takes(const struct loam_option_info *info, const char *word);

#endif
