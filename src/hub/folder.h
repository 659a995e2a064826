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
    const char *directory;
    struct loam_folder_file *files; // by name, a directory's files where the directory stands
    size_t count;
    size_t capacity;
    char **left_out; // names that are not pushed, sorted; a directory's own name stands for all that is in it
    size_t left_out_count;
};

// Regular files at any depth, and links to files of the directory. A link to a file elsewhere is refused,
// except from a snapshot of the hub's cache to its blobs. Left out are hidden names but .gitattributes and
// .gitignore, files that are being written (NAME.tmp-N), files named as a token is, checkpoint-N and run.yaml
// at the top, and what is neither file nor directory, links to directories among them.
enum loam_status loam_folder_read(struct loam_folder *folder, const char *directory,
                                  struct loam_error *error);
void loam_folder_deinit(struct loam_folder *folder);

// "a, b and 3 more": what was left out.
enum loam_status loam_folder_format_left_out(const struct loam_folder *folder, struct loam_bytes *text,
                                             struct loam_error *error);

struct loam_folder_file *loam_folder_find(const struct loam_folder *folder, const char *name);

#endif
