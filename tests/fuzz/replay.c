// fuzz_X DIRECTORY: runs every file of a corpus through a fuzz target once, without libFuzzer.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/heap.h"
#include "fuzz.h"

enum { INPUT_LIMIT = 1 << 20 }; // bytes

// Allocates exactly the size of the file, so that a sanitizer detects a read past its end.
static enum loam_status run_input(const char *path, struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = loam_file_read(path, INPUT_LIMIT, &text, error);
    uint8_t *exact = status == LOAM_OK ? malloc(text.size) : NULL;
    for (size_t i = 0; exact != NULL && i < text.size; i++)
        exact[i] = (uint8_t)text.data[i];
    if (status == LOAM_OK) (void)LLVMFuzzerTestOneInput(exact, text.size);
    free(exact);
    loam_bytes_deinit(&text);
    return status;
}

static int run_directory(DIR *directory, const char *name)
{
    struct loam_error error;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char *path = loam_path_join(name, entry->d_name, &error);
        if (path == NULL) return -1;
        bool is_input = loam_file_exists(path);
        if (is_input) fprintf(stderr, "%s\n", path); // after a crash, the last line names the input
        enum loam_status status = is_input ? run_input(path, &error) : LOAM_OK;
        free(path);
        if (status != LOAM_OK) {
            fprintf(stderr, "%s\n", error.message);
            return -1;
        }
        count += is_input;
    }
    return count;
}

int main(int argc, char **argv)
{
    DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
    if (directory == NULL) {
        fprintf(stderr, "usage: %s DIRECTORY of inputs\n", argv[0]);
        return 2;
    }
    int count = run_directory(directory, argv[1]);
    closedir(directory);
    printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
