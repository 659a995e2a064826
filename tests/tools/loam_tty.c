// loam_tty COLUMNS TEXT KEYS COMMAND...: runs the command on a new terminal and copies its output there to
// standard output. Types KEYS once the command has written TEXT, unless TEXT is empty. The exit status is the
// command's, or 128 plus the number of the signal that ended it.
#include <pty.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OUTPUT_LIMIT = 1 << 20, // bytes
    LONGEST = 600,          // seconds until a command that waits for other keys is ended
};

static int fail(const char *what)
{
    perror(what);
    return 125;
}

// Reads all output until the terminal is closed.
static size_t read_all(int terminal, const char *text, const char *keys, char *output)
{
    size_t size = 0;
    bool waiting = text[0] != '\0';
    for (;;) {
        ssize_t count = read(terminal, output + size, OUTPUT_LIMIT - size);
        if (count <= 0) return size; // a closed terminal is an error of the read
        size += (size_t)count;
        if (waiting && memmem(output, size, text, strlen(text)) != NULL)
            waiting = write(terminal, keys, strlen(keys)) < 0;
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: loam_tty COLUMNS TEXT KEYS COMMAND...\n");
        return 125;
    }
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)atoi(argv[1])};
    char *output = malloc(OUTPUT_LIMIT);
    if (output == NULL) return fail("malloc");
    int terminal;
    pid_t child = forkpty(&terminal, NULL, NULL, &size);
    if (child < 0) return fail("forkpty");
    if (child == 0) {
        alarm(LONGEST);
        execvp(argv[4], argv + 4);
        _exit(127);
    }
    size_t count = read_all(terminal, argv[2], argv[3], output);
    int status;
    if (waitpid(child, &status, 0) != child) return fail("waitpid");
    if (fwrite(output, 1, count, stdout) != count || fflush(stdout) != 0) return fail("standard output");
    free(output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
