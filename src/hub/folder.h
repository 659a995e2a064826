// The files of a directory that is to be pushed.
#ifndef LOAM_HUB_FOLDER_H
#define LOAM_HUB_FOLDER_H

#include "hub/repo.h"
#include "io/digest.h"

enum loam_upload_mode { LOAM_UPLOAD_REGULAR, LOAM_UPLOAD_LFS };

struct loam_folder_file {
    char *name; // in the repository: relative, parts joined by slashes
    char *path;
    int64_t size;
    // From the hub's answer (preupload.h).
    enum loam_upload_mode mode;
    bool ignored;                  // by the repository's .gitignore
    char remote[LOAM_DIGEST_SIZE]; // hash of the file that the repository holds under this name; empty: none
    char local[LOAM_DIGEST_SIZE];  // hash of this file, of the kind that the mode requires
};

struct loam_folder {
    const char *directory;
    struct loam_folder_file *files; // sorted by the parts of their names
    size_t count;
    size_t capacity;
    char **left_out; // names that are not pushed, sorted; a directory's name covers all files in it
    size_t left_out_count;
};

// Lists regular files at any depth, and links to files of the directory. A link to a file elsewhere is
// refused, except from a snapshot of the hub's cache to its blobs. Left out are:
//   - hidden names, except .gitattributes and .gitignore
//   - unfinished files (NAME.tmp-N)
//   - files with the name of a token
//   - checkpoint-N and run.yaml at the top
//   - everything that is neither a file nor a directory, which includes links to directories
enum loam_status loam_folder_read(struct loam_folder *folder, const char *directory,
                                  struct loam_error *error);
void loam_folder_deinit(struct loam_folder *folder);

// Lists the names that were left out: "a, b and 3 more".
enum loam_status loam_folder_format_left_out(const struct loam_folder *folder, struct loam_bytes *text,
                                             struct loam_error *error);

struct loam_folder_file *loam_folder_find(const struct loam_folder *folder, const char *name);

#endif
