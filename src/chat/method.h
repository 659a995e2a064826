// Methods of strings, dicts, lists and other types.
#ifndef LOAM_CHAT_METHOD_H
#define LOAM_CHAT_METHOD_H

#include "chat/run.h"

// Tables end with a row without a name. A row whose function is NULL is a method that loam does not have.
extern const struct chat_native chat_string_methods[];
extern const struct chat_native chat_split_methods[]; // of strings, too

// The operations that methods and filters share. All keep the provenance.
enum chat_case { CHAT_UPPER, CHAT_LOWER, CHAT_TITLE, CHAT_CAPITALIZE, CHAT_SWAPCASE, CHAT_CASEFOLD };
enum loam_status chat_change_case(struct chat_run *run, const struct chat_string *string, enum chat_case to,
                                  struct chat_value *result);
// Without the characters of `chars` (a missing one or none: white space) at the sides.
enum { CHAT_LEFT = 1, CHAT_RIGHT = 2 };
enum loam_status chat_strip(struct chat_run *run, const struct chat_string *string, struct chat_value chars,
                            int sides, struct chat_value *result);
// Replaces `old` at most `count` times; all if negative.
enum loam_status chat_replace(struct chat_run *run, const struct chat_string *string,
                              const struct chat_string *old, const struct chat_string *new, int64_t count,
                              struct chat_value *result);
enum loam_status chat_center(struct chat_run *run, const struct chat_string *string, int64_t width,
                             const struct chat_string *fill, struct chat_value *result);
enum loam_status chat_split_lines(struct chat_run *run, const struct chat_string *string, bool keep_ends,
                                  struct chat_value *result);

#endif
