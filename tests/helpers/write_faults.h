// Whether memory is protected from writing.
#ifndef TEST_WRITE_FAULTS_H
#define TEST_WRITE_FAULTS_H

#include <signal.h>
#include <sys/wait.h>

#include "test.h"

// Whether writing to an address kills the process that does it.
static inline bool test_write_faults(volatile unsigned char *address)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); // avoids the sanitiser's report
        signal(SIGBUS, SIG_DFL);
        *address = *address;
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

#endif
