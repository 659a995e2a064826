// loam chat: a conversation, line by line through the line callback. A line that begins with "/" is a command.
#include <string.h>

#include "base/log.h"
#include "commands/commands.h"
#include "commands/dialogue.h"
#include "commands/output.h"

struct chat_job {
    struct loam_dialogue dialogue;
    const struct loam_callbacks *callbacks;
    struct loam_bytes block; // the lines between two marks
    bool is_over;
};

// Begins and ends a message of several lines.
static const char mark[] = "\"\"\"";
enum { MARK_SIZE = sizeof mark - 1 };

static void tell(const struct chat_job *job, const char *text)
{
    loam_log_write(&job->callbacks->log, LOAM_LOG_INFO, "%s", text);
}

// ---- Commands ----

static enum loam_status set_system(struct chat_job *job, const char *argument, struct loam_error *error)
{
    LOAM_TRY(loam_messages_set_system(&job->dialogue.conversation, argument, error));
    tell(job, argument[0] == '\0' ? "no system message" : "the system message is set");
    return LOAM_OK;
}

// Whether `name` names an adapter as it was given, NAME[:FACTOR]: the whole text, NAME, or the last part of NAME.
static bool is_named(const char *given, const char *name)
{
    size_t size;
    double factor;
    if (loam_adapter_choice_parse(given, &size, &factor, NULL) != LOAM_OK) return false;
    const size_t wanted = strlen(name);
    if (strcmp(given, name) == 0) return true;
    while (size > 0 && given[size - 1] == '/')
        size--;
    if (wanted == 0 || wanted > size || memcmp(given + size - wanted, name, wanted) != 0) return false;
    return wanted == size || given[size - wanted - 1] == '/';
}

static void list_adapters(const struct chat_job *job)
{
    const struct loam_text_list *given = &job->dialogue.settings->adapters;
    const struct loam_segments active = job->dialogue.active,
                               all = loam_adapter_list_segments(&job->dialogue.adapters);
    if (given->count == 0) tell(job, "there is no adapter: loam chat --adapter DIR|NAME loads one");
    for (size_t i = 0; i < given->count; i++) {
        const bool is_on =
            active.count > 0 && &all.items[i] >= active.items && &all.items[i] < active.items + active.count;
        loam_log_write(&job->callbacks->log, LOAM_LOG_INFO, "%s: %s", given->items[i], is_on ? "on" : "off");
    }
}

static enum loam_status use_adapter(struct chat_job *job, const char *argument, struct loam_error *error)
{
    const struct loam_text_list *given = &job->dialogue.settings->adapters;
    size_t first = 0, count = 1;
    if (argument[0] == '\0') {
        list_adapters(job);
        return LOAM_OK;
    }
    if (strcmp(argument, "off") == 0)
        count = 0;
    else if (strcmp(argument, "all") == 0)
        count = given->count;
    else
        while (first < given->count && !is_named(given->items[first], argument))
            first++;
    if (first == given->count && count > 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "there is no adapter \"%s\": expected off, all, or one of --adapter", argument);
    loam_dialogue_use(&job->dialogue, first, count);
    list_adapters(job);
    return LOAM_OK;
}

static enum loam_status reset(struct chat_job *job, const char *argument, struct loam_error *error)
{
    (void)argument;
    (void)error;
    struct loam_messages *conversation = &job->dialogue.conversation;
    const bool has_system = strcmp(loam_messages_role(conversation, 0), "system") == 0;
    loam_messages_shorten(conversation, has_system ? 1 : 0);
    conversation->dropped = 0;
    tell(job, has_system ? "a new conversation, with the same system message" : "a new conversation");
    return LOAM_OK;
}

static enum loam_status retry(struct chat_job *job, const char *argument, struct loam_error *error)
{
    (void)argument;
    return loam_dialogue_retry(&job->dialogue, error);
}

static enum loam_status save(struct chat_job *job, const char *argument, struct loam_error *error)
{
    const struct loam_messages *conversation = &job->dialogue.conversation;
    const size_t count = loam_messages_size(conversation);
    if (argument[0] == '\0') return loam_fail(error, LOAM_ERROR_ARGUMENT, "/save needs the name of a file");
    if (count == 0) return loam_fail(error, LOAM_ERROR_ARGUMENT, "there is no message to save");
    LOAM_TRY(loam_messages_save(conversation, argument, error));
    loam_log_write(&job->callbacks->log, LOAM_LOG_INFO, "%zu messages are added to %s as one line", count,
                   argument);
    return LOAM_OK;
}

static enum loam_status help(struct chat_job *job, const char *argument, struct loam_error *error);

static enum loam_status quit(struct chat_job *job, const char *argument, struct loam_error *error)
{
    (void)argument;
    (void)error;
    job->is_over = true;
    return LOAM_OK;
}

static const struct {
    const char *name;
    const char *usage;
    const char *help;
    enum loam_status (*run)(struct chat_job *job, const char *argument, struct loam_error *error);
} commands[] = {
    {"system", "/system TEXT", "sets the system message; without TEXT removes it", set_system},
    {"adapter", "/adapter NAME|all|off", "answers with this adapter, all of them or none; alone lists them",
     use_adapter},
    {"reset", "/reset", "begins a new conversation with the same system message", reset},
    {"retry", "/retry", "answers the last message again", retry},
    {"save", "/save FILE", "adds the conversation to FILE as a line of JSON that loam train reads", save},
    {"help", "/help", "lists the commands", help},
    {"quit", "/quit", "ends the program, as Ctrl-D does", quit},
};

static enum loam_status help(struct chat_job *job, const char *argument, struct loam_error *error)
{
    (void)argument;
    (void)error;
    const struct loam_log *log = &job->callbacks->log;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        loam_log_write(log, LOAM_LOG_INFO, "%-24s%s", commands[i].usage, commands[i].help);
    loam_log_write(log, LOAM_LOG_INFO, "%-24s%s", "\"\"\"", "begins and ends a message of several lines");
    loam_log_write(log, LOAM_LOG_INFO, "%-24s%s", "Ctrl-C", "stops an answer");
    return LOAM_OK;
}

static enum loam_status run_command(struct chat_job *job, const char *line, struct loam_error *error)
{
    const size_t size = strcspn(line, " \t");
    const char *argument = line + size + strspn(line + size, " \t");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strlen(commands[i].name) == size && memcmp(commands[i].name, line, size) == 0)
            return commands[i].run(job, argument, error);
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "there is no command /%.*s; /help lists them, and a message that begins with / goes "
                     "between two \"\"\"",
                     (int)size, line);
}

// ---- Lines ----

static enum loam_line read_line(const struct chat_job *job, const char *prompt, const char **line,
                                size_t *size)
{
    return job->callbacks->line(job->callbacks->user, prompt, line, size);
}

static bool ends_in_mark(const char *text, size_t size)
{
    return size >= MARK_SIZE && memcmp(text + size - MARK_SIZE, mark, MARK_SIZE) == 0;
}

// Reads a message that begins with a mark into job->block. `line` is the text behind the mark.
static enum loam_status read_block(struct chat_job *job, const char *line, size_t size, enum loam_line *kind,
                                   struct loam_error *error)
{
    bool has_line = false;
    loam_bytes_clear(&job->block);
    for (bool is_first = true;; is_first = false) {
        const bool is_last = ends_in_mark(line, size);
        const size_t taken = is_last ? size - MARK_SIZE : size;
        // A line with nothing but a mark is not part of the message.
        if (taken > 0 || (!is_first && !is_last)) {
            LOAM_TRY(loam_bytes_append(&job->block, "\n", has_line ? 1 : 0, error));
            LOAM_TRY(loam_bytes_append(&job->block, line, taken, error));
            has_line = true;
        }
        if (is_last) return LOAM_OK;
        *kind = read_line(job, "... ", &line, &size);
        if (*kind != LOAM_LINE_TEXT) break;
    }
    if (*kind == LOAM_LINE_END)
        loam_log_write(&job->callbacks->log, LOAM_LOG_WARNING,
                       "the input ends inside a message: its second %s is missing", mark);
    return LOAM_OK;
}

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (strchr(" \t\r", text[i]) == NULL) return false;
    return true;
}

// Does what a line asks for. `*kind` is what the last line of a message of several lines was.
static enum loam_status take_line(struct chat_job *job, const char *line, size_t size, enum loam_line *kind,
                                  struct loam_error *error)
{
    if (size >= MARK_SIZE && memcmp(line, mark, MARK_SIZE) == 0) {
        LOAM_TRY(read_block(job, line + MARK_SIZE, size - MARK_SIZE, kind, error));
        if (*kind != LOAM_LINE_TEXT || job->block.size == 0) return LOAM_OK;
        return loam_dialogue_say(&job->dialogue, job->block.data, job->block.size, error);
    }
    if (is_blank(line, size)) return LOAM_OK;
    if (line[0] != '/') return loam_dialogue_say(&job->dialogue, line, size, error);
    loam_bytes_clear(&job->block);
    LOAM_TRY(loam_bytes_append(&job->block, line + 1, size - 1, error));
    return run_command(job, job->block.data == NULL ? "" : job->block.data, error);
}

// Whether a conversation goes on after a failure: the person can write something else.
static bool is_mendable(enum loam_status status)
{
    return status == LOAM_ERROR_ARGUMENT || status == LOAM_ERROR_FORMAT || status == LOAM_ERROR_IO ||
           status == LOAM_ERROR_UNSUPPORTED;
}

static enum loam_status converse(struct chat_job *job, struct loam_error *error)
{
    while (!job->is_over) {
        const char *line;
        size_t size;
        enum loam_line kind = read_line(job, "> ", &line, &size);
        enum loam_status status = LOAM_OK;
        if (kind == LOAM_LINE_TEXT) status = take_line(job, line, size, &kind, error);
        if (status != LOAM_OK && !is_mendable(status)) return status;
        if (status != LOAM_OK) loam_log_write(&job->callbacks->log, LOAM_LOG_WARNING, "%s", error->message);
        if (kind == LOAM_LINE_END) break;
        if (kind == LOAM_LINE_STOP) return loam_fail(error, LOAM_ERROR_STOPPED, "stopped");
        if (kind == LOAM_LINE_FAILED) return loam_fail(error, LOAM_ERROR_IO, "the input could not be read");
    }
    return LOAM_OK;
}

enum loam_status loam_run_chat(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    struct chat_job job = {.callbacks = callbacks};
    if (callbacks->line == NULL) return loam_fail(error, LOAM_ERROR_ARGUMENT, "chat has no input");
    LOAM_TRY(loam_dialogue_open(&job.dialogue, settings, callbacks, error));
    loam_log_write(&callbacks->log, LOAM_LOG_INFO, "chat template: %s; /help lists the commands",
                   job.dialogue.session.chat.origin);
    const enum loam_status status = converse(&job, error);
    loam_bytes_deinit(&job.block);
    loam_dialogue_close(&job.dialogue);
    return status;
}
