// The YAML file of --config: read into the options of train and written. Reading it again must give the same
// options.
#include <string.h>

#include "fuzz.h"
#include "options/run_file.h"

static struct loam_options *create(void)
{
    struct loam_error error;
    struct loam_options *options;
    fuzz_require(loam_options_create(&options, LOAM_COMMAND_TRAIN, &error) == LOAM_OK);
    return options;
}

static void check_written(const struct loam_options *options)
{
    struct loam_error error;
    struct loam_bytes first = {0}, second = {0};
    struct loam_options *again = create();
    fuzz_require(loam_run_file_write(options, &first, &error) == LOAM_OK);
    fuzz_require(loam_run_file_parse(again, first.data, first.size, "again", &error) == LOAM_OK);
    fuzz_require(loam_run_file_write(again, &second, &error) == LOAM_OK);
    fuzz_require(strcmp(first.data, second.data) == 0);
    loam_bytes_deinit(&first);
    loam_bytes_deinit(&second);
    loam_options_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_error error;
    struct loam_options *options = create();
    enum loam_status status = loam_run_file_parse(options, (const char *)data, size, "run.yaml", &error);
    fuzz_require_message(status, &error);
    if (status == LOAM_OK) check_written(options);
    loam_options_destroy(options);
    return 0;
}
