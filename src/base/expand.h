// Paths in environment variables, as huggingface_hub reads them.
#ifndef LOAM_BASE_EXPAND_H
#define LOAM_BASE_EXPAND_H

#include "base/status.h"

// Expands a path as Python's os.path.expandvars(os.path.expanduser(path)): "~" and "~user" at the beginning
// become home directories, $NAME and ${NAME} the values of variables. An unknown user or variable stays as it
// is, and a value is not expanded again. The caller frees the result. NULL and a filled error on failure.
char *loam_path_expand(const char *path, struct loam_error *error);

#endif
