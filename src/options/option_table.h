// The one table of options: names, help, --help, defaults, checks and where the value goes.
#ifndef LOAM_OPTIONS_OPTION_TABLE_H
#define LOAM_OPTIONS_OPTION_TABLE_H

#include "options/settings.h"

#define LOAM_LORA_GROUP "LoRA"

// The C type of the field that an option fills.
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
    const struct loam_choice *choices; // named values, of an enum or a bool; NULL: none
    const char *range;                 // of a number, as an interval: "[0,1)", "(0,inf)"; NULL: any
    bool single; // the range must also hold after rounding to float, in which loam computes
    bool one_of; // a text that is one of the words of info.argument
    enum loam_status (*check)(const char *text,
                              struct loam_error *error); // a further check of the text; NULL: none
    bool bytes;       // an int64_t that counts bytes: "6G", "1.5GiB", or "none"
    bool of_call;     // about one call and how it shows itself: no part of the run that is written down
    bool not_in_file; // for the command line alone
};

extern const struct loam_option_row loam_option_rows[];
extern const size_t loam_option_row_count;

#endif
