// The settings that the options of a command fill (options/option_table.c).
#ifndef LOAM_OPTIONS_SETTINGS_H
#define LOAM_OPTIONS_SETTINGS_H

#include "bench/bench.h"
#include "evaluate/run.h"
#include "lora/combine.h"
#include "lora/convert.h"
#include "run/settings.h"

struct loam_generate_settings {
    // The prompt is a text, a file, a conversation, or a template with its fields (struct loam_settings).
    const char *prompt;      // NULL: not given
    const char *prompt_file; // NULL: not given
    const char *messages;    // a file with a conversation, or "-"; NULL: not given
    const char *tools;       // a file; NULL: not given
    const char *system;      // chat: the system message; NULL: none
    struct loam_text_list stop;
    int max_new_tokens;
    struct loam_sampling sampling;
};

struct loam_tokenize_settings {
    bool decode;
    bool lines; // each line of the input is one text
    bool special_tokens;
    const char *messages; // a file of conversations, or "-"; NULL: a text is encoded
    bool add_generation_prompt;
};

// When text has colours. The command line decides "auto"; the library writes none for it.
enum loam_color { LOAM_COLOR_AUTO, LOAM_COLOR_ALWAYS, LOAM_COLOR_NEVER };

struct loam_data_options {
    int64_t limit;    // examples to show; 0: the default of the form
    bool tokens;      // show where tokens begin
    bool summary;     // no examples on standard output
    const char *html; // file; NULL: none
    unsigned color;   // enum loam_color
};

struct loam_merge_options {
    const char *max_shard_size; // a size as text (options/size.h)
    bool check;
    const char *prompt; // for the check
};

struct loam_combine_options {
    unsigned type; // enum loam_combination
    int rank;      // 0: the largest of the adapters
};

struct loam_hub_options {
    const char *repository; // "ORG/NAME[@REVISION]"
    const char *directory;  // push
    const char *message;    // of the commit; NULL: the default
    const char *push_to;    // train: repository for the result; NULL: none
    bool private_if_new;
    struct loam_text_list include; // patterns of files
    bool update;
    bool yes; // download large models without asking
};

enum loam_bench_what { LOAM_BENCH_STEP, LOAM_BENCH_MATMUL, LOAM_BENCH_GENERATE };

struct loam_settings {
    // Options of train, and of other commands where they mean the same (model, adapter, data, device, LoRA,
    // template, output).
    struct loam_train_settings train;
    struct loam_generate_settings generate;
    struct loam_evaluate_settings eval; // options of eval alone
    struct loam_tokenize_settings tokenize;
    struct loam_data_options data; // options of data alone
    struct loam_merge_options merge;
    struct loam_combine_options combine;
    struct loam_hub_options hub;      // pull and push; `yes` in other commands too
    struct loam_bench_settings bench; // options of bench alone
    unsigned bench_what;              // enum loam_bench_what
    const char *gguf;                 // export: the file to write
    const char *path;                 // inspect, convert
    bool families;                    // inspect: list the families instead
    unsigned convert_to;              // convert: enum loam_adapter_form
    const char *config_file;          // --config: the YAML file of options; NULL: none
    bool print_config;
    const char *config;    // init
    const char *tokenizer; // init; NULL: none
    bool with_lora;        // inspect: an option of the LoRA group was given
    bool json;
    bool quiet; // for the caller of the library: it need not listen to progress
    struct loam_field_list fields;
    struct loam_text_list adapters;     // generate, eval, merge, combine: NAME[:FACTOR] as given
    struct loam_adapter_choices chosen; // the same with directories, once located
};

#endif
