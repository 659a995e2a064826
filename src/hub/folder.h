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
    // What the hub says of it (preupload.h).
    enum loam_upload_mode mode;
    bool ignored;                  // by the repository's .gitignore
    char remote[LOAM_DIGEST_SIZE]; // hash of the file of that name that is there; empty: none
    char local[LOAM_DIGEST_SIZE];  // hash of this one, of the kind that the mode asks for
};

struct loam_folder {
    struct loam_folder_file *files; // by name, a directory's files where the directory stands
    size_t count;
    size_t capacity;
};

// Regular files and links to such, at any depth; not what is below .git, .cache and checkpoint-N directories.
enum loam_status loam_folder_read(struct loam_folder *folder, const char *directory,
                                  struct loam_error *error);
void loam_folder_deinit(struct loam_folder *folder);

struct loam_folder_file *loam_folder_find(const struct loam_folder *folder, const char *name);

#endif
