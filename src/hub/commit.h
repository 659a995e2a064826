// The commit at the end of a push: one line of JSON for each file.
#ifndef LOAM_HUB_COMMIT_H
#define LOAM_HUB_COMMIT_H

#include "hub/folder.h"
#include "hub/hub.h"

// Writes the request's body: a header line, then a line for each new or changed file. `*files` counts them.
enum loam_status loam_commit_format(struct loam_bytes *body, const struct loam_folder *folder,
                                    const char *message, size_t *files, struct loam_error *error);

// Makes the commit, unless no file is new or changed. `*files` counts those files. `commit` receives the
// hash; it stays as it was where no commit was made or the answer names none.
enum loam_status loam_commit_send(struct loam_hub *hub, const struct loam_repo *repo,
                                  const struct loam_folder *folder, const char *message, size_t *files,
                                  char commit[LOAM_COMMIT_SIZE], struct loam_error *error);

#endif
