// Lines that a person writes. At a terminal libedit edits them and keeps a history; otherwise each line of standard input
// is taken as it is.
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/cli.h"

enum { BLOCK = 4096, HISTORY_LINES = 1000 };

struct cli_reader {
    char *input; // [size] bytes of standard input, of which the first `used` are used up
    size_t size, used, capacity;
    char *line; // the line that was read; not used with an editor
    size_t line_capacity;
    enum loam_line outcome; // LOAM_LINE_TEXT while there is input
    // At a terminal.
    EditLine *editor; // NULL: standard input is no terminal
    History *history;
    char *history_path; // NULL: no history is kept
    locale_t locale;    // of UTF-8, where the system has one
    FILE *screen;       // receives the prompt
    bool marks_pastes;  // the terminal can be asked to mark what is pasted
    const char *prompt;
};

// ---- Bytes ----

// Waits until there is input, because a signal does not interrupt a read. Sets the outcome where there is none.
static bool wait_for_input(struct cli_reader *reader)
{
    enum { POLL_MS = 50 };
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        if (cli_stop_signal() != 0) {
            reader->outcome = LOAM_LINE_STOP;
            return false;
        }
        if (cli_stop_is_interrupted()) {
            reader->outcome = LOAM_LINE_CANCEL;
            return false;
        }
        const int count = poll(&input, 1, POLL_MS);
        if (count > 0) return true;
        if (count < 0 && errno != EINTR) {
            reader->outcome = LOAM_LINE_FAILED;
            return false;
        }
    }
}

// Adds what standard input has to reader->input. False: the outcome is set.
static bool fill(struct cli_reader *reader)
{
    if (reader->used > 0) {
        reader->size -= reader->used;
        memmove(reader->input, reader->input + reader->used, reader->size);
        reader->used = 0;
    }
    if (reader->capacity - reader->size < BLOCK) {
        const size_t capacity = 2 * reader->capacity + BLOCK;
        char *larger = realloc(reader->input, capacity);
        if (larger == NULL) {
            reader->outcome = LOAM_LINE_FAILED;
            return false;
        }
        reader->input = larger;
        reader->capacity = capacity;
    }
    if (!wait_for_input(reader)) return false;
    const ssize_t count = read(STDIN_FILENO, reader->input + reader->size, BLOCK);
    if (count > 0) reader->size += (size_t)count;
    // A terminal that was closed gives EIO.
    if (count == 0 || (count < 0 && errno == EIO)) reader->outcome = LOAM_LINE_END;
    if (count < 0 && errno != EIO && errno != EINTR && errno != EAGAIN) reader->outcome = LOAM_LINE_FAILED;
    return reader->outcome == LOAM_LINE_TEXT;
}

// The next byte of standard input; -1: the outcome is set.
static int read_byte(struct cli_reader *reader)
{
    while (reader->used == reader->size)
        if (!fill(reader)) return -1;
    return (unsigned char)reader->input[reader->used++];
}

// ---- Without a terminal ----

static bool add_byte(struct cli_reader *reader, size_t at, char byte)
{
    if (at == reader->line_capacity) {
        const size_t capacity = 2 * reader->line_capacity + BLOCK;
        char *larger = realloc(reader->line, capacity);
        if (larger == NULL) return false;
        reader->line = larger;
        reader->line_capacity = capacity;
    }
    reader->line[at] = byte;
    return true;
}

// The last line may have no line break.
static enum loam_line read_plain(struct cli_reader *reader, const char **text, size_t *size)
{
    size_t count = 0;
    int byte;
    while ((byte = read_byte(reader)) >= 0 && byte != '\n')
        if (!add_byte(reader, count++, (char)byte)) return LOAM_LINE_FAILED;
    if (byte < 0 && (reader->outcome != LOAM_LINE_END || count == 0)) return reader->outcome;
    if (count > 0 && reader->line[count - 1] == '\r') count--;
    *text = count == 0 ? "" : reader->line;
    *size = count;
    return LOAM_LINE_TEXT;
}

// ---- The editor ----

static struct cli_reader *reader_of(EditLine *editor)
{
    void *reader = NULL;
    el_get(editor, EL_CLIENTDATA, &reader);
    return reader;
}

static char *get_prompt(EditLine *editor)
{
    return (char *)reader_of(editor)->prompt; // libedit does not change it
}

// Reads a character for the editor: 1, or -1 if the outcome is set. Bytes that are no character become "?".
static int get_character(EditLine *editor, wchar_t *character)
{
    struct cli_reader *reader = reader_of(editor);
    mbstate_t state = {0};
    for (;;) {
        const int byte = read_byte(reader);
        if (byte < 0) return -1;
        const char next = (char)byte;
        const size_t size = mbrtowc(character, &next, 1, &state);
        if (size == (size_t)-2) continue;
        if (size == (size_t)-1) *character = L'?';
        return 1;
    }
}

// Inserts what the terminal marks as pasted, with its line breaks, so that a message of several lines can be pasted.
// Line breaks at the end are left out.
static unsigned char paste(EditLine *editor, int key)
{
    static const char end[] = "\033[201~";
    struct cli_reader *reader = reader_of(editor);
    size_t size = 0;
    (void)key;
    for (int byte;
         size < sizeof end - 1 || memcmp(reader->line + size - (sizeof end - 1), end, sizeof end - 1) != 0;) {
        if ((byte = read_byte(reader)) < 0) return CC_ERROR;
        if (!add_byte(reader, size, (char)(byte == '\r' ? '\n' : byte))) return CC_ERROR;
        size++;
    }
    size -= sizeof end - 1;
    while (size > 0 && reader->line[size - 1] == '\n')
        size--;
    reader->line[size] = '\0'; // in place of the end
    return size > 0 && el_insertstr(editor, reader->line) == 0 ? CC_REFRESH : CC_ERROR;
}

static enum loam_line read_edited(struct cli_reader *reader, const char **text, size_t *size)
{
    int count = 0;
    HistEvent event;
    if (reader->marks_pastes) fputs("\033[?2004h", reader->screen);
    fflush(reader->screen);
    const char *line = el_gets(reader->editor, &count);
    if (reader->marks_pastes) fputs("\033[?2004l", reader->screen);
    if (line == NULL && reader->outcome == LOAM_LINE_TEXT) reader->outcome = LOAM_LINE_END;
    if (line == NULL) fputs(reader->outcome == LOAM_LINE_CANCEL ? "^C\n" : "\n", reader->screen);
    fflush(reader->screen);
    if (line == NULL) return reader->outcome;
    *size = (size_t)count;
    if (*size > 0 && line[*size - 1] == '\n') --*size;
    if (*size > 0) history(reader->history, &event, H_ENTER, line);
    *text = line;
    return LOAM_LINE_TEXT;
}

// ---- The history ----

// Makes the directories above a file. Those that exist stay as they are.
static void make_parents(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
}

// $XDG_STATE_HOME/loam/history, or ~/.local/state/loam/history; NULL: there is no such place.
static char *find_history(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    const bool has_state = state != NULL && state[0] == '/';
    if (!has_state && (home == NULL || home[0] != '/')) return NULL;
    const char *base = has_state ? state : home;
    const char *rest = has_state ? "/loam/history" : "/.local/state/loam/history";
    const size_t size = strlen(base) + strlen(rest) + 1;
    char *path = malloc(size);
    if (path != NULL) snprintf(path, size, "%s%s", base, rest);
    return path;
}

static void open_history(struct cli_reader *reader)
{
    HistEvent event;
    reader->history = history_init();
    if (reader->history == NULL) return;
    history(reader->history, &event, H_SETSIZE, HISTORY_LINES);
    history(reader->history, &event, H_SETUNIQUE, 1);
    reader->history_path = find_history();
    if (reader->history_path != NULL) history(reader->history, &event, H_LOAD, reader->history_path);
    el_set(reader->editor, EL_HIST, history, reader->history);
}

static void save_history(struct cli_reader *reader)
{
    HistEvent event;
    if (reader->history == NULL || reader->history_path == NULL) return;
    make_parents(reader->history_path);
    errno = 0;
    if (history(reader->history, &event, H_SAVE, reader->history_path) >= 0) return;
    char line[1024];
    snprintf(line, sizeof line, "%s: the history is not saved: %s", reader->history_path, strerror(errno));
    cli_screen_print_problem("33", "warning: ", line);
}

// ---- The reader ----

// A locale of UTF-8: the user's, or else the system's own.
static locale_t open_locale(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (locale != (locale_t)0 && strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0) return locale;
    if (locale != (locale_t)0) freelocale(locale);
    return newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static void open_editor(struct cli_reader *reader)
{
    const char *term = getenv("TERM");
    reader->marks_pastes = term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
    reader->screen = isatty(STDOUT_FILENO) ? stdout : stderr;
    if (!isatty(STDIN_FILENO) || !isatty(fileno(reader->screen))) return;
    reader->editor = el_init("loam", stdin, reader->screen, stderr);
    if (reader->editor == NULL) return;
    el_set(reader->editor, EL_CLIENTDATA, reader);
    el_set(reader->editor, EL_PROMPT, get_prompt);
    el_set(reader->editor, EL_GETCFN, get_character);
    el_set(reader->editor, EL_SIGNAL, 1);
    el_set(reader->editor, EL_EDITOR, "emacs");
    open_history(reader);
    el_source(reader->editor, NULL); // the user's .editrc
    // The narrow form would copy the two texts and never free them.
    el_wset(reader->editor, EL_ADDFN, L"loam-paste", L"Insert pasted text", paste);
    el_set(reader->editor, EL_BIND, "\\e[200~", "loam-paste", NULL);
    cli_stop_spare();
}

struct cli_reader *cli_reader_open(void)
{
    struct cli_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return NULL;
    reader->locale = open_locale();
    const locale_t before = reader->locale == (locale_t)0 ? (locale_t)0 : uselocale(reader->locale);
    open_editor(reader);
    if (before != (locale_t)0) uselocale(before);
    return reader;
}

void cli_reader_close(struct cli_reader *reader)
{
    if (reader == NULL) return;
    if (reader->editor != NULL) {
        save_history(reader);
        el_end(reader->editor);
        if (reader->history != NULL) history_end(reader->history);
    }
    if (reader->locale != (locale_t)0) freelocale(reader->locale);
    free(reader->history_path);
    free(reader->input);
    free(reader->line);
    free(reader);
}

enum loam_line cli_reader_read(struct cli_reader *reader, const char *prompt, const char **text, size_t *size)
{
    cli_stop_resume();
    reader->outcome = LOAM_LINE_TEXT;
    if (reader->editor == NULL) return read_plain(reader, text, size);
    reader->prompt = prompt;
    const locale_t before = reader->locale == (locale_t)0 ? (locale_t)0 : uselocale(reader->locale);
    const enum loam_line outcome = read_edited(reader, text, size);
    if (before != (locale_t)0) uselocale(before);
    return outcome;
}
