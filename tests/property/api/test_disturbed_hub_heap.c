// loam pull and loam push against the hub of tests/hub, with one allocation of loam, jansson, libcurl or
// libcrypto that fails. The command succeeds or ends with one clear line. Nothing is lost or left unfinished
// on either side, and the next command completes the work. LOAM_FAULTS=all tries every allocation; without it
// some are skipped.
#include "test.h"

#include <curl/curl.h>
#include <dirent.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/wait.h>

#include "property/run/heap_watch.h"

enum { SECONDS = 60 }; // a command that takes longer hangs

// ---- Allocations that fail ----

static enum owner { LOAM, JANSSON, CURL_LIBRARY, CRYPTO } refused; // the last one
static bool lasting; // all later allocations of libcurl fail too

static bool is_refused(enum owner owner)
{
    bool again = owner == CURL_LIBRARY && lasting && heap.fails >= 0 && heap.asked > heap.fails;
    if (heap.asked == heap.fails) refused = owner;
    return heap_fails() || again;
}

static void *json_take(size_t size)
{
    return is_refused(JANSSON) ? NULL : heap_count(__real_malloc(size));
}

static void *curl_take(size_t size)
{
    return is_refused(CURL_LIBRARY) ? NULL : heap_count(__real_malloc(size));
}

static void *curl_take_zeroed(size_t count, size_t size)
{
    return is_refused(CURL_LIBRARY) ? NULL : heap_count(__real_calloc(count, size));
}

static void *curl_take_more(void *block, size_t size)
{
    if (is_refused(CURL_LIBRARY)) return NULL;
    void *grown = __real_realloc(block, size);
    return block == NULL ? heap_count(grown) : grown;
}

static char *curl_copy(const char *text)
{
    return is_refused(CURL_LIBRARY) ? NULL : heap_count(__real_strdup(text));
}

// libcrypto keeps many blocks until the process ends, so its blocks are not counted.
static void *crypto_take(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return is_refused(CRYPTO) ? NULL : __real_malloc(size);
}

static void *crypto_take_more(void *block, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return is_refused(CRYPTO) ? NULL : __real_realloc(block, size);
}

static void crypto_give(void *block, const char *file, int line)
{
    (void)file, (void)line;
    __real_free(block);
}

// ---- The hub and the files on both sides; scripts find their directory in $T ----

static char root[256];
static int server_input = -1; // closing it ends the hub

static bool shell(const char *script)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    fprintf(stream, "cache=$T/home/hub/models--org--tiny\n%s", script);
    fclose(stream);
    int status = system(text);
    __real_free(text);
    return status == 0;
}

static bool start_server(void)
{
    int ends[2];
    if (pipe(ends) != 0) return false;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        close(ends[1]);
        (void)!freopen("/dev/null", "w", stderr); // it reports clients that disconnect
        execlp("python3", "python3", LOAM_TESTS "/hub/server.py", root, (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    server_input = ends[1];
    return child > 0 &&
           shell("for i in $(seq 600); do [ ! -e $T/address ] || exit 0; sleep 0.05; done; exit 1");
}

static int setup(void **state)
{
    (void)state;
    if (test_make_directory(root) == NULL) return 1;
    setenv("T", root, 1);
    if (!shell("mkdir -p $T/repos/org/tiny $T/folder/deep && cd $T/repos/org/tiny &&"
               "echo '{\"model_type\": \"bloom\"}' >config.json && echo '{}' >tokenizer.json &&"
               "seq 20000 >model.safetensors &&"
               "cd $T/folder && printf -- '---\\nlicense: mit\\n---\\n' >README.md && echo '*.log' "
               ">.gitignore &&"
               "echo '{}' >adapter_config.json && seq 2000 >adapter_model.safetensors && echo a note "
               ">deep/note &&"
               "echo '{\"token\": \"hf_Secret\", \"chunk\": 5000}' >$T/settings"))
        return 1;
    if (!start_server()) return 1;
    char home[300], address[300], endpoint[100] = "";
    snprintf(home, sizeof home, "%s/home", root);
    snprintf(address, sizeof address, "%s/address", root);
    FILE *stream = fopen(address, "r");
    if (stream == NULL || fscanf(stream, "%99s", endpoint) != 1) return 1;
    fclose(stream);
    static const char *const unwanted[] = {"HF_HUB_OFFLINE",
                                           "HF_TOKEN_PATH",
                                           "HF_HUB_CACHE",
                                           "TRANSFORMERS_OFFLINE",
                                           "HUGGINGFACE_HUB_CACHE",
                                           "SSL_CERT_FILE",
                                           "HF_HUB_DISABLE_IMPLICIT_TOKEN"};
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
        unsetenv(unwanted[i]);
    setenv("HF_ENDPOINT", endpoint, 1);
    setenv("HF_HOME", home, 1);
    setenv("HF_TOKEN", "hf_Secret", 1);
    setenv("LOAM_HUB_DELAY_SCALE", "0.001", 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(server_input);
    while (wait(NULL) > 0) {
    }
    test_remove_directory(root);
    return 0;
}

// ---- The commands ----

#define WHOLE_SNAPSHOT                                                                                       \
    "cd $cache/snapshots/* && for file in $T/repos/org/tiny/*; do cmp -s $file ${file##*/} || exit 1; "      \
    "done\n"
#define NOTHING_TEMPORARY "[ ! -e $T/home ] || [ -z \"$(find $T/home -name '*.tmp-*')\" ] || exit 1\n"
// A repository that was created is private, as requested, and was requested once.
#define PRIVATE                                                                                              \
    "asked=$(grep -ls 'POST /api/repos/create' $T/bodies/*)\n"                                               \
    "[ ! -e $T/repos/org/new ] || grep -qs '\"visibility\":\"private\"' $asked || exit 1\n"
#define WHOLE_REPOSITORY "diff -r $T/folder $T/repos/org/new"

struct walk {
    const char *what;
    enum loam_command command;
    const char *options[7]; // in pairs; "" for the folder
    bool offline;
    const char *before; // script that makes the files before the command
    const char *done;   // script that succeeds if the work is complete
    const char *sound;  // script that succeeds if nothing is left unfinished
};
static const struct walk pull = {
    .what = "a pull",
    .command = LOAM_COMMAND_PULL,
    .options = {"repository", "org/tiny", NULL},
    .before = "rm -rf $T/home",
    .done = NOTHING_TEMPORARY WHOLE_SNAPSHOT
    "[ -z \"$(find $T/home -name '*.incomplete')\" ] && [ -s $cache/refs/main ]",
    // Where the revision's name or the weights are in the cache, the snapshot must be whole.
    .sound = NOTHING_TEMPORARY
    "if [ -e $cache/refs/main ] || [ -e $cache/snapshots/*/model.safetensors ]; then\n" WHOLE_SNAPSHOT "fi\n",
};
// All files are in the cache, the weights in shards; the pull makes no request.
static const struct walk cached = {
    .what = "a pull of what is there",
    .command = LOAM_COMMAND_PULL,
    .options = {"repository", "org/tiny", NULL},
    .offline = true,
    .before = "snapshot=$cache/snapshots/0123456789012345678901234567890123456789\n"
              "mkdir -p $snapshot $cache/refs && cd $snapshot && printf ${snapshot##*/} >$cache/refs/main &&"
              "echo '{}' >config.json && echo '{}' >tokenizer.json && echo >model-1.safetensors &&"
              "echo '{\"weight_map\": {\"a\": \"model-1.safetensors\"}}' >model.safetensors.index.json",
    .done = "true",
    .sound = "true",
};
static const struct walk push = {
    .what = "a push",
    .command = LOAM_COMMAND_PUSH,
    .options = {"directory", "", "repository", "org/new", "private", "true", NULL},
    .before = "rm -rf $T/repos/org/new $T/lfs/* $T/bodies/*",
    .done = PRIVATE WHOLE_REPOSITORY,
    // The hub may still be working on the last request.
    .sound = "for i in $(seq 100); do\n"
             "[ -n \"$(ls -A $T/repos/org/new 2>/dev/null)\" ] || break\n" WHOLE_REPOSITORY
             " >/dev/null && break; sleep 0.05; done; [ $i -lt 100 ] || exit 1\n" PRIVATE,
};

static char output[400];

static bool take_text(void *user, const char *text, size_t size)
{
    (void)user;
    snprintf(output + strlen(output), sizeof output - strlen(output), "%.*s", (int)size, text);
    return true;
}

static enum loam_status run(const struct walk *walk, struct loam_error *error)
{
    struct loam_options *options;
    struct loam_callbacks callbacks = {.text = take_text};
    char folder[300];
    snprintf(folder, sizeof folder, "%s/folder", root);
    output[0] = '\0';
    *error = (struct loam_error){0};
    setenv("HF_HUB_OFFLINE", walk->offline ? "1" : "0", 1);
    alarm(SECONDS);
    enum loam_status status = loam_options_create(&options, walk->command, error);
    if (status != LOAM_OK) return status;
    for (const char *const *pair = walk->options; *pair != NULL && status == LOAM_OK; pair += 2)
        status = loam_options_set(options, pair[0], pair[1][0] != '\0' ? pair[1] : folder, error);
    if (status == LOAM_OK) status = loam_run(options, &callbacks, error);
    loam_options_destroy(options);
    alarm(0);
    return status;
}

// ---- The walk ----

static long unclear_messages;

// Whether the message is a library's own, which names no cause.
static bool is_said_by_library(enum loam_status status, const char *message)
{
    if (refused == CRYPTO) return strcmp(message, "libcrypto cannot compute a hash") == 0;
    return refused == CURL_LIBRARY && status == LOAM_ERROR_IO &&
           (strstr(message, "Could not resolve host") != NULL ||
            strstr(message, "getaddrinfo() thread failed to start") != NULL);
}

static void check_clear(enum loam_status status, const struct loam_error *error, long n)
{
    bool one_line =
        error->status == status && error->message[0] != '\0' && strchr(error->message, '\n') == NULL;
    bool memory = (status == LOAM_ERROR_MEMORY && strstr(error->message, "memory") != NULL) ||
                  (status == LOAM_ERROR_IO && strstr(error->message, "Cannot allocate memory") != NULL);
    if (one_line && (memory || is_said_by_library(status, error->message))) return;
    unclear_messages++;
    print_error("%ld: owner %d, status %d, error %d \"%s\"\n", n, (int)refused, (int)status,
                (int)error->status, error->message);
}

// Descriptors that this process has open.
static int descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    int count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static long stride(long total, long tries)
{
    return getenv("LOAM_FAULTS") != NULL ? 1 : total / tries + 1;
}

static void walk(const struct walk *walk, long tries)
{
    unclear_messages = 0;
    struct loam_error error;
    char expected[sizeof output];
    for (int times = 0; times < 3; times++) { // after these, libraries have the memory that they keep
        assert_true(shell(walk->before));
        heap.asked = 0;
        assert_ok(run(walk, &error));
        assert_true(shell(walk->done));
    }
    memcpy(expected, output, sizeof expected);
    long total = heap.asked, tried = 0, failed = 0;
    for (long n = 0; n < total; n += stride(total, tries)) {
        assert_true(shell(walk->before));
        long live = heap.live;
        int open_before = descriptors();
        heap.asked = 0;
        heap.fails = n;
        refused = LOAM;
        enum loam_status status = run(walk, &error);
        heap.fails = -1;
        tried++;
        if (heap.live != live)
            fail_msg("%s, %ld: %ld blocks lost (%s)", walk->what, n, heap.live - live, error.message);
        if (descriptors() != open_before)
            fail_msg("%s, %ld: %d descriptors lost (%s)", walk->what, n, descriptors() - open_before,
                     error.message);
        if (!shell(walk->sound))
            fail_msg("%s, %ld: something is half done (%s)", walk->what, n, error.message);
        if (status != LOAM_OK) {
            failed++;
            check_clear(status, &error, n);
            assert_ok(run(walk, &error));
        } else if (strcmp(output, expected) != 0) {
            fail_msg("%s, %ld: it says \"%s\"", walk->what, n, output);
        }
        if (!shell(walk->done)) fail_msg("%s, %ld: not all of it was done", walk->what, n);
    }
    printf("%s: %ld of %ld allocations refused, %s; %ld runs failed\n", walk->what, tried, total,
           lasting ? "and all of libcurl's after it" : "one a run", failed);
    assert_int_equal(unclear_messages, 0);
    assert_true(failed > 10);
}

static void test_pull(void **state)
{
    (void)state;
    walk(&pull, 150);
}

static void test_cached(void **state)
{
    (void)state;
    walk(&cached, 150);
}

static void test_push(void **state)
{
    (void)state;
    walk(&push, 150);
}

// All allocations of libcurl fail from one on.
static void test_lasting(void **state)
{
    (void)state;
    lasting = true;
    walk(&pull, 40);
    walk(&push, 40);
    lasting = false;
}

int main(void)
{
    if (system("command -v python3 >/dev/null") != 0) {
        puts("python3 is not there, in which the hub of this test is written");
        return 77;
    }
    // Ubuntu's libcurl loads libssh, through which libcrypto allocates before main.
    if (CRYPTO_set_mem_functions(crypto_take, crypto_take_more, crypto_give) != 1)
        puts("libcrypto has taken memory already: of it no allocation is refused here");
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_take, __wrap_free, curl_take_more, curl_copy,
                             curl_take_zeroed) != CURLE_OK)
        return 1;
    json_set_alloc_funcs(json_take, __wrap_free);
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pull), cmocka_unit_test(test_cached),
                                       cmocka_unit_test(test_push), cmocka_unit_test(test_lasting)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
