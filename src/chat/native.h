// Filters, tests, functions and methods of the language: rows with names, parameters and a C function.
#ifndef LOAM_CHAT_NATIVE_H
#define LOAM_CHAT_NATIVE_H

#include "chat/value.h"

struct chat_run;

struct chat_named {
    const struct chat_string *name;
    struct chat_value value;
};
struct chat_arguments {
    struct chat_value *items; // [count]
    size_t count;
    struct chat_named *named; // [named_count]
    size_t named_count;
};

enum { CHAT_PARAMETERS = 6 };
struct chat_call {
    struct chat_value self;                    // what the filter, test or method is applied to
    struct chat_value values[CHAT_PARAMETERS]; // by parameter; absent ones are missing
    struct chat_arguments all;                 // for rows whose parameters are "*"
};
typedef enum loam_status chat_native_function(struct chat_run *run, const struct chat_call *call,
                                              struct chat_value *result);
struct chat_native {
    const char *name;
    const char *parameters; // names with blanks between them; "*": any arguments
    size_t required;        // the first so many parameters must be given
    chat_native_function *function;
};

// NULL: there is none of that name.
const struct chat_native *chat_filter_find(const struct chat_string *name);
const struct chat_native *chat_test_find(const struct chat_string *name);

// The functions that every template has. `index` counts from 0; NULL beyond the last.
const struct chat_native *chat_function_at(size_t index);

// Calls a native with its arguments bound to its parameters.
enum loam_status chat_native_call(struct chat_run *run, const struct chat_native *native,
                                  struct chat_value self, const struct chat_arguments *arguments,
                                  struct chat_value *result);

#endif
