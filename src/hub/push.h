// Pushes a directory to a repository of the hub as one commit.
#ifndef LOAM_HUB_PUSH_H
#define LOAM_HUB_PUSH_H

#include "hub/hub.h"

struct loam_push {
    const char *directory;
    const char *message; // of the commit
    bool private_if_new; // a repository that has to be created is private
};

struct loam_pushed {
    char *address;                 // of the repository's page
    char commit[LOAM_COMMIT_SIZE]; // hash; empty: the hub's answer does not name it
    size_t files;                  // new or changed files; 0: no commit was made
};

// Checks what is known before there is anything to push: the repository's name and a token.
enum loam_status loam_hub_check_push(const struct loam_hub *hub, const struct loam_repo *repo,
                                     struct loam_error *error);

// Creates the repository if it does not exist. Files that the hub already holds with the same bytes are not
// sent, so a failed push can be repeated.
enum loam_status loam_hub_push(struct loam_hub *hub, const struct loam_repo *repo,
                               const struct loam_push *push, struct loam_pushed *pushed,
                               struct loam_error *error);
void loam_pushed_deinit(struct loam_pushed *pushed);

#endif
