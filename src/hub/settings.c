#include "hub/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/expand.h"
#include "base/file.h"
#include "base/heap.h"

enum { TOKEN_LIMIT = 16 << 10 }; // bytes of a file with a token

// The value of an environment variable. An empty variable counts as unset.
static const char *get_variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool is_true(const char *name)
{
    static const char *const words[] = {"1", "on", "yes", "true"};
    const char *value = get_variable(name);
    for (size_t i = 0; value != NULL && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0) return true;
    return false;
}

// The path in a variable, else DIRECTORY/BELOW. "~" and variables are expanded in both, as in
// huggingface_hub.
static char *get_path(const char *name, const char *directory, const char *below, struct loam_error *error)
{
    const char *value = get_variable(name);
    char *path = value != NULL ? loam_strdup(value, error) : loam_path_join(directory, below, error);
    char *expanded = path == NULL ? NULL : loam_path_expand(path, error);
    free(path);
    return expanded;
}

// HF_HOME, else $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface.
static char *get_home_directory(struct loam_error *error)
{
    const char *home = get_variable("HOME");
    if (home == NULL && get_variable("HF_HOME") == NULL && get_variable("XDG_CACHE_HOME") == NULL) {
        loam_fail(error, LOAM_ERROR_ARGUMENT, "no place for the cache of the hub: set HF_HOME or HOME");
        return NULL;
    }
    char *cache = get_path("XDG_CACHE_HOME", home == NULL ? "" : home, ".cache", error);
    char *directory = cache == NULL ? NULL : get_path("HF_HOME", cache, "huggingface", error);
    free(cache);
    return directory;
}

static enum loam_status set_endpoint(struct loam_hub_settings *settings, struct loam_error *error)
{
    const char *endpoint = get_variable("HF_ENDPOINT");
    if (endpoint == NULL) endpoint = "https://huggingface.co";
    size_t size = strlen(endpoint);
    while (size > 0 && endpoint[size - 1] == '/')
        size--;
    settings->endpoint = loam_strndup(endpoint, size, error);
    if (settings->endpoint == NULL) return LOAM_ERROR_MEMORY;
    if (loam_origin_parse(&settings->origin, settings->endpoint, error) != LOAM_OK)
        return loam_fail_prefix(error, "HF_ENDPOINT");
    if (!loam_origin_is_private(&settings->origin, &settings->origin))
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "HF_ENDPOINT %.200s: plain http is allowed only to this machine; expected https://",
                         settings->endpoint);
    return LOAM_OK;
}

// Whether HF_TOKEN holds a path instead of a token. A slash after the first character may be part of a token.
static bool is_path(const char *text)
{
    return strchr("/~.", text[0]) != NULL || loam_file_exists(text);
}

// Checks that the token fits into one header line. Messages never show the token.
static enum loam_status set_token(struct loam_hub_settings *settings, const char *text, const char *source,
                                  struct loam_error *error)
{
    static const char space[] = " \t\r\n";
    text += strspn(text, space);
    size_t size = strlen(text);
    while (size > 0 && strchr(space, text[size - 1]) != NULL)
        size--;
    if (memchr(text, '\n', size) != NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "%s holds no token: it has several lines, expected one word", source);
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "%s holds no token: expected one word of printable characters", source);
    if (size == 0) return LOAM_OK;
    settings->token = loam_strndup(text, size, error);
    settings->token_source = settings->token == NULL ? NULL : loam_strdup(source, error);
    return settings->token_source == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

static enum loam_status read_token(struct loam_hub_settings *settings, const char *path,
                                   struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = loam_file_read(path, TOKEN_LIMIT, &text, error);
    if (status != LOAM_OK) (void)loam_fail_prefix(error, "the file of the token");
    if (status == LOAM_OK && text.size > 0) status = set_token(settings, text.data, path, error);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status find_token_file(struct loam_hub_settings *settings, const char *home,
                                        struct loam_error *error)
{
    struct stat about;
    char *path = get_path("HF_TOKEN_PATH", home, "token", error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    bool missing = stat(path, &about) != 0 && (errno == ENOENT || errno == ENOTDIR);
    enum loam_status status = missing ? LOAM_OK : read_token(settings, path, error);
    if (missing && get_variable("HF_TOKEN_PATH") != NULL) {
        settings->missing_token = path;
        return LOAM_OK;
    }
    free(path);
    return status;
}

static enum loam_status find_token(struct loam_hub_settings *settings, const char *home,
                                   struct loam_error *error)
{
    if (is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return LOAM_OK;
    static const char *const names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    for (size_t i = 0; i < sizeof names / sizeof *names && settings->token == NULL; i++) {
        const char *text = get_variable(names[i]);
        if (text != NULL && is_path(text))
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "%s holds a path instead of a token: HF_TOKEN_PATH names the file of a token",
                             names[i]);
        if (text != NULL) LOAM_TRY(set_token(settings, text, names[i], error));
    }
    return settings->token != NULL ? LOAM_OK : find_token_file(settings, home, error);
}

static double get_number(const char *name, double otherwise)
{
    const char *value = get_variable(name);
    double number = value == NULL ? -1 : strtod(value, NULL);
    return number >= 0 && number <= 1e6 ? number : otherwise;
}

static enum loam_status load(struct loam_hub_settings *settings, const char *home, struct loam_error *error)
{
    char *cache = get_path("HUGGINGFACE_HUB_CACHE", home, "hub", error);
    if (cache == NULL) return LOAM_ERROR_MEMORY;
    settings->cache = get_variable("HF_HUB_CACHE") == NULL ? loam_strdup(cache, error)
                                                           : get_path("HF_HUB_CACHE", home, "hub", error);
    free(cache);
    if (settings->cache == NULL) return LOAM_ERROR_MEMORY;
    settings->offline = is_true("HF_HUB_OFFLINE") ||
                        (get_variable("HF_HUB_OFFLINE") == NULL && is_true("TRANSFORMERS_OFFLINE"));
    settings->delay_scale = get_number("LOAM_HUB_DELAY_SCALE", 1);
    settings->stall_seconds = (long)get_number("LOAM_HUB_STALL_SECONDS", 30);
    const char *certificates = get_variable("SSL_CERT_FILE");
    if (certificates != NULL && (settings->certificates = loam_strdup(certificates, error)) == NULL)
        return LOAM_ERROR_MEMORY;
    LOAM_TRY(set_endpoint(settings, error));
    return find_token(settings, home, error);
}

enum loam_status loam_hub_settings_load(struct loam_hub_settings *settings, struct loam_error *error)
{
    *settings = (struct loam_hub_settings){0};
    char *home = get_home_directory(error);
    if (home == NULL) return error->status;
    enum loam_status status = load(settings, home, error);
    free(home);
    if (status != LOAM_OK) loam_hub_settings_deinit(settings);
    return status;
}

void loam_hub_settings_deinit(struct loam_hub_settings *settings)
{
    free(settings->endpoint);
    free(settings->cache);
    free(settings->token);
    free(settings->token_source);
    free(settings->missing_token);
    free(settings->certificates);
    *settings = (struct loam_hub_settings){0};
}

void loam_hub_settings_redact(const struct loam_hub_settings *settings, char *text)
{
    const char *token = settings->token;
    if (token == NULL) return;
    size_t size = strlen(token), stars = size < 3 ? size : 3;
    for (char *found; (found = strstr(text, token)) != NULL && token[strspn(token, "*")] != '\0';) {
        memset(found, '*', stars);
        memmove(found + stars, found + size, strlen(found + size) + 1);
    }
}
