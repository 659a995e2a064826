// The table of all options: names, help, defaults, checks and the field that the value goes to.
#ifndef LOAM_OPTIONS_OPTION_TABLE_H
#define LOAM_OPTIONS_OPTION_TABLE_H

#include "options/settings.h"

#define LOAM_LORA_GROUP "LoRA"

// C type of the field that an option fills.
enum loam_option_type {
    LOAM_OPTION_BOOL,
    LOAM_OPTION_INT,
    LOAM_OPTION_INT64,
    LOAM_OPTION_UINT64,
    LOAM_OPTION_DOUBLE,
    LOAM_OPTION_STRING,
    LOAM_OPTION_ENUM,
    LOAM_OPTION_LIST,   // struct loam_text_list; each value is added to it
    LOAM_OPTION_FIELDS, // struct loam_field_list; each NAME=VALUE is added to it
};

struct loam_choice {
    const char *name; // NULL ends the list
    int value;
};

struct loam_option_row {
    unsigned commands; // bit 1 << enum loam_command
    struct loam_option_info info;
    enum loam_option_type type;
    size_t offset;                     // of the field in struct loam_settings
    const struct loam_choice *choices; // named values of an enum or a bool; NULL: none
    const char *range;                 // allowed interval of a number: "[0,1)", "(0,inf)"; NULL: any number
    bool single;      // the range must also hold after rounding to float, the type that loam computes in
    bool bytes;       // an int64_t that counts bytes: "6G", "1.5GiB", or "none"
    bool layers;      // an int64_t that counts layers: "layers=8", "none" (0) or "auto" (-1)
    bool of_call;     // affects one call only (progress, overwriting): left out of run files
    bool factored;    // the value may end in ":FACTOR" (lora/adapter_list.h)
    bool not_in_file; // allowed on the command line only
    // Additional check of a text; NULL: none.
    enum loam_status (*check)(const char *text, struct loam_error *error);
};

extern const struct loam_option_row loam_option_rows[];
extern const size_t loam_option_row_count;

#endif
