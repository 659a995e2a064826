// Out of memory anywhere in a pull or a push, against the server of the other tests of the hub: one clear
// line, nothing lost, a cache and a repository that the next attempt makes whole. LOAM_FAULTS=all refuses
// every allocation, loam's own and jansson's, one a time; without it every so many.
#include "test.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "hub/pull.h"
#include "hub/push.h"
#include "property/train/heap_watch.h"

static char root[256];
static pid_t server;
static int server_input;

static const struct {
    const char *name;
    const char *text;
} files[] = {
    {"config.json", "{\"model_type\": \"bloom\"}"},
    {"tokenizer.json", "{\"version\": \"1.0\"}"},
    {"tokenizer_config.json", "{}"},
    {"model.safetensors", "no weights, but as many bytes as it takes to be one file of the store's"},
};
enum { FILES = sizeof files / sizeof files[0] };

// ---- the hub ----

static void start_server(void)
{
    char hub[300], log[300];
    int ends[2];
    snprintf(hub, sizeof hub, "%s/hub", root);
    snprintf(log, sizeof log, "%s/server.log", root);
    assert_int_equal(pipe(ends), 0);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        // It ends when the other end of its standard input is closed.
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        close(ends[1]);
        if (freopen(log, "w", stdout) == NULL) _exit(127);
        dup2(STDOUT_FILENO, STDERR_FILENO);
        execlp("python3", "python3", LOAM_TESTS "/hub/server.py", hub, (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    server_input = ends[1];
}

// Its address, once it listens.
static bool find_address(char address[128])
{
    char path[300];
    snprintf(path, sizeof path, "%s/hub/address", root);
    for (int i = 0; i < 1200; i++) {
        FILE *file = fopen(path, "rb");
        if (file != NULL) {
            bool read = fgets(address, 128, file) != NULL;
            fclose(file);
            address[strcspn(address, "\n")] = '\0';
            return read;
        }
        if (waitpid(server, NULL, WNOHANG) == server) return false;
        usleep(50 * 1000);
    }
    return false;
}

static void make_files(const char *directory)
{
    char path[600];
    for (size_t i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, files[i].name);
        test_write_file(path, files[i].text, strlen(files[i].text));
    }
}

static void assert_files(const char *directory, const char *what, long n)
{
    char path[600], text[256];
    for (size_t i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, files[i].name);
        FILE *file = fopen(path, "rb");
        if (file == NULL) fail_msg("%s %ld: %s is not there", what, n, path);
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
        if (strcmp(text, files[i].text) != 0) fail_msg("%s %ld: %s is \"%s\"", what, n, path, text);
    }
}

static int setup(void **state)
{
    (void)state;
    char path[600], address[128];
    if (test_make_directory(root) == NULL) return 1;
    static const char *const directories[] = {"hub", "hub/repos", "hub/repos/org", "hub/repos/org/tiny",
                                              "adapter"};
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", root, directories[i]);
        if (mkdir(path, 0777) != 0) return 1;
    }
    snprintf(path, sizeof path, "%s/hub/repos/org/tiny", root);
    make_files(path);
    snprintf(path, sizeof path, "%s/adapter", root);
    make_files(path);
    snprintf(path, sizeof path, "%s/hub/settings", root);
    static const char settings[] = "{\"token\": \"hf_SecretSecretSecret\"}";
    test_write_file(path, settings, sizeof settings - 1);
    start_server();
    if (!find_address(address)) return 1;
    snprintf(path, sizeof path, "%s/cache", root);
    setenv("HF_ENDPOINT", address, 1);
    setenv("HF_HUB_CACHE", path, 1);
    setenv("HF_HOME", path, 1);
    setenv("HF_TOKEN", "hf_SecretSecretSecret", 1);
    setenv("LOAM_HUB_DELAY_SCALE", "0.001", 1);
    unsetenv("HF_HUB_OFFLINE");
    unsetenv("TRANSFORMERS_OFFLINE");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(server_input);
    waitpid(server, NULL, 0);
    test_remove_directory(root);
    return 0;
}

// ---- what is done ----

static const struct loam_callbacks nobody;

static void forget_cache(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/cache", root);
    test_remove_directory(path);
}

static enum loam_status pull_to(char **directory, bool offline, struct loam_error *error)
{
    struct loam_repo repo;
    struct loam_hub hub;
    struct loam_pull pull = {.kind = LOAM_PULL_MODEL};
    *directory = NULL;
    LOAM_TRY(loam_repo_parse(&repo, "org/tiny", error));
    LOAM_TRY(loam_hub_open(&hub, &nobody, error));
    if (offline) hub.settings.offline = true;
    enum loam_status status = loam_hub_pull(&hub, &repo, &pull, directory, error);
    loam_hub_close(&hub);
    return status;
}

static enum loam_status pull_once(long n, struct loam_error *error)
{
    char *directory;
    enum loam_status status = pull_to(&directory, false, error);
    if (status == LOAM_OK) assert_files(directory, "pull", n);
    free(directory);
    return status;
}

// What the cache says that it has it has: whole, and by its hash.
static void assert_cache(long n)
{
    struct loam_error error = {0};
    char *directory;
    char command[700];
    if (pull_to(&directory, true, &error) == LOAM_OK) assert_files(directory, "offline", n);
    free(directory);
    snprintf(command, sizeof command,
             "cd '%s/cache/models--org--tiny/blobs' 2>/dev/null || exit 0; for name in *; do case $name in "
             "'*' | *.incomplete) continue ;; esac; [ ${#name} -eq 40 ] || "
             "echo \"$name  $name\" | sha256sum --status -c || exit 1; done",
             root);
    if (system(command) != 0) fail_msg("%ld: a blob that is not what its name says", n);
}

static enum loam_status push_once(long n, struct loam_error *error)
{
    char name[64], directory[300];
    struct loam_repo repo;
    struct loam_hub hub;
    struct loam_pushed pushed = {0};
    snprintf(name, sizeof name, "me/adapter-%ld", n + 10);
    snprintf(directory, sizeof directory, "%s/adapter", root);
    struct loam_push push = {.directory = directory, .message = "as it is"};
    LOAM_TRY(loam_repo_parse(&repo, name, error));
    LOAM_TRY(loam_hub_open(&hub, &nobody, error));
    enum loam_status status = loam_hub_push(&hub, &repo, &push, &pushed, error);
    loam_pushed_deinit(&pushed);
    loam_hub_close(&hub);
    return status;
}

static void assert_repository(long n)
{
    char path[400];
    snprintf(path, sizeof path, "%s/hub/repos/me/adapter-%ld", root, n + 10);
    assert_files(path, "push", n);
}

// ---- the walk ----

static bool refused_json; // the one that was refused was jansson's

static void *json_malloc(size_t size)
{
    refused_json = refused_json || heap.asked == heap.fails;
    return __wrap_malloc(size);
}

static void assert_clear(const char *what, long n, enum loam_status status, const struct loam_error *error)
{
    const char *message = error->message;
    bool clear = error->status == status && message[0] != '\0' && strchr(message, '\n') == NULL &&
                 strstr(message, "hf_Secret") == NULL;
    bool memory = status == LOAM_ERROR_MEMORY && strstr(message, "memory") != NULL;
    bool system = status == LOAM_ERROR_IO && strstr(message, "Cannot allocate memory") != NULL;
    // What jansson's parser has no memory for it takes for a syntax error, or leaves out, and cannot tell.
    bool parser = refused_json && status == LOAM_ERROR_FORMAT;
    if (!clear || (!memory && !system && !parser))
        fail_msg("%s %ld: status %d \"%s\"", what, n, (int)status, message);
}

static long stride(long n, long total)
{
    return getenv("LOAM_FAULTS") != NULL || n < 20 ? 1 : total / 60 + 1;
}

static void pull(void **state)
{
    (void)state;
    struct loam_error error = {0};
    for (int twice = 0; twice < 2; twice++) { // what libraries keep they have then
        forget_cache();
        heap.asked = 0;
        assert_ok(pull_once(-1, &error));
    }
    long total = heap.asked, failed = 0, tried = 0;
    for (long n = 0; n < total; n += stride(n, total), tried++) {
        forget_cache();
        long live = heap.live;
        refused_json = false;
        error = (struct loam_error){0};
        heap.asked = 0;
        heap.fails = n;
        enum loam_status status = pull_once(n, &error);
        heap.fails = -1;
        if (heap.live != live) fail_msg("pull %ld: %ld blocks lost", n, heap.live - live);
        assert_cache(n);
        if (status == LOAM_OK) continue;
        failed++;
        assert_clear("pull", n, status, &error);
        assert_ok(pull_once(n, &error));
    }
    printf("pull: %ld of %ld allocations refused, %ld attempts failed\n", tried, total, failed);
    assert_true(failed > 20);
}

static void push(void **state)
{
    (void)state;
    struct loam_error error = {0};
    for (int twice = 0; twice < 2; twice++) {
        heap.asked = 0;
        assert_ok(push_once(-2 - twice, &error));
    }
    long total = heap.asked, failed = 0, tried = 0;
    for (long n = 0; n < total; n += stride(n, total), tried++) {
        long live = heap.live;
        refused_json = false;
        error = (struct loam_error){0};
        heap.asked = 0;
        heap.fails = n;
        enum loam_status status = push_once(n, &error);
        heap.fails = -1;
        if (heap.live != live) fail_msg("push %ld: %ld blocks lost", n, heap.live - live);
        if (status != LOAM_OK) {
            failed++;
            assert_clear("push", n, status, &error);
            assert_ok(push_once(n, &error));
        }
        assert_repository(n);
    }
    printf("push: %ld of %ld allocations refused, %ld attempts failed\n", tried, total, failed);
    assert_true(failed > 20);
}

int main(void)
{
    if (system("command -v python3 >/dev/null") != 0) {
        puts("python3 is not there, in which the server of these tests is written");
        return 77;
    }
    signal(SIGPIPE, SIG_IGN);
    json_set_alloc_funcs(json_malloc, __wrap_free);
    const struct CMUnitTest tests[] = {cmocka_unit_test(pull), cmocka_unit_test(push)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
