#include "hub/repo.h"

#include <string.h>

enum { PART_MAX = 96, FILE_MAX = 1024, FILE_PART_MAX = 255 };

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_part(const char *text, size_t size)
{
    if (size < 1 || size > PART_MAX || !is_word(text[0]) || !is_word(text[size - 1])) return false;
    for (size_t i = 0; i < size; i++)
        if (!is_word(text[i]) && text[i] != '-' && text[i] != '.') return false;
    return true;
}

// "--" replaces the slash in the cache, so an id must not contain it. ".." is not allowed either.
static bool is_id(const char *id)
{
    const char *slash = strchr(id, '/');
    const char *name = slash == NULL ? id : slash + 1;
    size_t size = strlen(name);
    if (slash != NULL && !is_part(id, (size_t)(slash - id))) return false;
    return is_part(name, size) && strstr(id, "--") == NULL && strstr(id, "..") == NULL &&
           !(size >= 4 && strcmp(name + size - 4, ".git") == 0);
}

static bool is_revision(const char *revision)
{
    if (!loam_repo_file_is_safe(revision)) return false;
    for (const char *c = revision; *c != '\0'; c++)
        if (!is_word(*c) && strchr("-./+", *c) == NULL) return false;
    return true;
}

enum loam_status loam_repo_parse(struct loam_repo *repo, const char *text, struct loam_error *error)
{
    *repo = (struct loam_repo){.revision = "main"};
    const char *at = strchr(text, '@');
    size_t size = at == NULL ? strlen(text) : (size_t)(at - text);
    if (size < sizeof repo->id) memcpy(repo->id, text, size);
    if (size >= sizeof repo->id || !is_id(repo->id))
        return loam_fail(
            error, LOAM_ERROR_ARGUMENT,
            "\"%.200s\" is not the name of a repository: expected ORG/NAME[@REVISION] of letters, digits, "
            "\"-\", \"_\" and \".\"",
            text);
    if (at == NULL) return LOAM_OK;
    size_t revision_size = strlen(at + 1);
    if (revision_size < sizeof repo->revision) memcpy(repo->revision, at + 1, revision_size + 1);
    if (revision_size >= sizeof repo->revision || !is_revision(repo->revision))
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "\"%.200s\" is not a revision: expected a branch, a tag or a commit after the \"@\"",
                         at + 1);
    return LOAM_OK;
}

bool loam_is_hex(const char *text, size_t count)
{
    size_t size = strspn(text, "0123456789abcdef");
    return size == count && text[size] == '\0';
}

bool loam_is_commit(const char *text)
{
    return loam_is_hex(text, LOAM_COMMIT_SIZE - 1);
}

static bool is_file_part(const char *part, size_t size)
{
    if (size == 0 || size > FILE_PART_MAX) return false;
    return !(part[0] == '.' && (size == 1 || (size == 2 && part[1] == '.')));
}

bool loam_repo_file_is_safe(const char *name)
{
    if (strlen(name) > FILE_MAX) return false;
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '\\' || *c == ':') return false;
    for (const char *part = name;;) {
        size_t size = strcspn(part, "/");
        if (!is_file_part(part, size)) return false;
        if (part[size] == '\0') return true;
        part += size + 1;
    }
}

enum loam_status loam_url_append(struct loam_bytes *url, const char *text, const char *keep,
                                 struct loam_error *error)
{
    for (const char *c = text; *c != '\0'; c++) {
        bool plain = is_word(*c) || strchr("-.~", *c) != NULL || strchr(keep, *c) != NULL;
        LOAM_TRY(plain ? loam_bytes_append(url, c, 1, error)
                       : loam_bytes_format(url, error, "%%%02X", (unsigned char)*c));
    }
    return LOAM_OK;
}
