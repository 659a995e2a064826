// Uploads large files to the hub's LFS store.
#ifndef LOAM_HUB_LFS_H
#define LOAM_HUB_LFS_H

#include "hub/folder.h"
#include "hub/hub.h"

// Uploads the files of mode LOAM_UPLOAD_LFS that the store does not hold yet.
enum loam_status loam_lfs_upload(struct loam_hub *hub, const struct loam_repo *repo,
                                 const struct loam_folder *folder, struct loam_error *error);

#endif
