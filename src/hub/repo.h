// Names on the hub: repositories, revisions, and files within a repository.
//
// Names from outside are checked here before they become part of a path or a URL. The rules for ids are those
// of huggingface_hub.
#ifndef LOAM_HUB_REPO_H
#define LOAM_HUB_REPO_H

#include "base/bytes.h"

enum { LOAM_REPO_ID_SIZE = 194, LOAM_REVISION_SIZE = 256, LOAM_COMMIT_SIZE = 41 };

struct loam_repo {
    char id[LOAM_REPO_ID_SIZE];        // "namespace/name" or "name"
    char revision[LOAM_REVISION_SIZE]; // branch, tag or commit; "main" when none was given
};

// Reads "NAMESPACE/NAME[@REVISION]" or "NAME[@REVISION]".
enum loam_status loam_repo_parse(struct loam_repo *repo, const char *text, struct loam_error *error);

// Whether `text` is a full commit hash: 40 lower-case hexadecimal digits.
bool loam_is_commit(const char *text);
// Whether `text` is exactly `count` lower-case hexadecimal digits.
bool loam_is_hex(const char *text, size_t count);

// Whether a file's name in a repository may become a path below a directory. It must be relative and at most
// 1024 bytes long, and must not contain empty, "." or ".." parts, backslashes, colons or control characters.
bool loam_repo_file_is_safe(const char *name);

// Appends `text` percent-encoded. Letters, digits, "-._~" and the characters of `keep` stay as they are.
enum loam_status loam_url_append(struct loam_bytes *url, const char *text, const char *keep,
                                 struct loam_error *error);

#endif
