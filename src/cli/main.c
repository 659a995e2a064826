// The command: `loam COMMAND [options]`.
#include <loam.h>

int main(void)
{
    return loam_version() == NULL;
}
