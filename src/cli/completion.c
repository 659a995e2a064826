// `loam completion SHELL`: completion scripts, made from the option descriptions of the library.
#include <ctype.h>
#include <string.h>

#include "cli/cli.h"

// The values that an option accepts, from its argument text: DIR|NAME, f32|bf16, [none|mlp|block].
struct values {
    char words[256];  // fixed values, each after a blank
    bool files;       // a path of a file is accepted
    bool directories; // a path of a directory is accepted
    bool optional;    // the value may be left out
};

static bool is_word(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) &&
            strchr("-_", text[i]) == NULL)
            return false;
    return size > 0;
}

static struct values parse_values(const struct loam_option_info *info)
{
    struct values values = {.words = ""};
    const char *at = info->argument != NULL ? info->argument : "";
    values.optional = *at == '[';
    size_t used = 0;
    while (*at != '\0') {
        size_t size = strcspn(at, "[|]");
        if ((size == 3 && strncmp(at, "DIR", 3) == 0) || (size == 4 && strncmp(at, "PATH", 4) == 0))
            values.directories = true;
        else if (size == 4 && strncmp(at, "FILE", 4) == 0)
            values.files = true;
        else if (is_word(at, size) && used + size + 2 < sizeof values.words)
            used += (size_t)snprintf(values.words + used, sizeof values.words - used, " %.*s", (int)size, at);
        at += size + (at[size] != '\0');
    }
    return values;
}

// "no-" for a switch that is on by default.
static const char *get_prefix(const struct loam_option_info *info)
{
    bool on = info->argument == NULL && info->default_text != NULL && strcmp(info->default_text, "true") == 0;
    return on ? "no-" : "";
}

static void print_commands(FILE *stream)
{
    for (int i = 0; i < LOAM_COMMAND_COUNT; i++)
        fprintf(stream, "%s%s", i == 0 ? "" : " ", loam_command_name((enum loam_command)i));
}

// Prints `text` with `before` in front of every character of `special`.
static void print_escaped(FILE *stream, const char *text, const char *special, const char *before)
{
    for (; *text != '\0'; text++)
        fprintf(stream, "%s%c", strchr(special, *text) != NULL ? before : "", *text);
}

// ---- bash ----

static void print_bash_values(FILE *stream, const struct values *values)
{
    if (values->words[0] != '\0') fprintf(stream, " words='%s'", values->words + 1);
    if (values->files || values->directories) fprintf(stream, " paths=%s", values->files ? "-f" : "-d");
}

// Prints the case of an option with a value: a pattern for the word before the cursor.
static void print_bash_option(FILE *stream, const struct loam_option_info *info)
{
    if (info->argument == NULL) return;
    struct values values = parse_values(info);
    fprintf(stream, "        --%s", info->name);
    if (info->alias != NULL) fprintf(stream, " | --%s", info->alias);
    fprintf(stream, ") value=%s", values.optional ? "''" : "yes");
    print_bash_values(stream, &values);
    fprintf(stream, " ;;\n");
}

// Prints the values of all positional options: their positions are not told apart.
static void print_bash_positional(FILE *stream, enum loam_command command)
{
    const struct loam_option_info *info;
    fprintf(stream, "        *) value=''");
    for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++) {
        struct values values = parse_values(info);
        if (info->positional) print_bash_values(stream, &values);
    }
    fprintf(stream, " ;;\n        esac\n        ;;\n");
}

static void print_bash_command(FILE *stream, enum loam_command command)
{
    const struct loam_option_info *info;
    fprintf(stream, "    %s)\n        options='--help", loam_command_name(command));
    for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++) {
        if (info->positional) continue;
        fprintf(stream, " --%s%s", get_prefix(info), info->name);
        if (info->alias != NULL) fprintf(stream, " --%s%s", get_prefix(info), info->alias);
    }
    fprintf(stream, "'\n        case $previous in\n");
    for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++)
        print_bash_option(stream, info);
    print_bash_positional(stream, command);
}

static void print_bash(FILE *stream)
{
    fprintf(stream, "# bash completion of loam, written by: loam completion bash\n"
                    "_loam() {\n"
                    "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
                    "    local command=${COMP_WORDS[1]} options='' words='' paths='' value=''\n"
                    "    COMPREPLY=()\n"
                    "    # bash splits --name=value into three words.\n"
                    "    if [ \"$current\" = = ]; then\n"
                    "        current=''\n"
                    "    elif [ \"$previous\" = = ]; then\n"
                    "        previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
                    "    fi\n"
                    "    previous=${previous//_/-}\n"
                    "    [ \"$COMP_CWORD\" -gt 1 ] || command=''\n"
                    "    case $command in\n"
                    "    '')\n        words='");
    print_commands(stream);
    fprintf(stream, " help completion' options='--help --version'\n        ;;\n"
                    "    help)\n        words='");
    print_commands(stream);
    fprintf(stream, "'\n        ;;\n    completion)\n        words='bash zsh fish'\n        ;;\n");
    for (int i = 0; i < LOAM_COMMAND_COUNT; i++)
        print_bash_command(stream, (enum loam_command)i);
    fprintf(stream,
            "    esac\n"
            "    if [ -z \"$value\" ] && [[ $current == -* ]]; then\n"
            "        words=$options paths=''\n"
            "    fi\n"
            "    [ -z \"$words\" ] || mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
            "    if [ -n \"$paths\" ]; then\n"
            "        compopt -o filenames 2>/dev/null || :\n"
            "        mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen \"$paths\" -- \"$current\")\n"
            "    fi\n"
            "}\n"
            "complete -F _loam loam\n");
}

// ---- zsh ----

// Prints ":MESSAGE:ACTION" for _arguments, inside single quotes.
static void print_zsh_values(FILE *stream, const struct loam_option_info *info)
{
    struct values values = parse_values(info);
    fprintf(stream, values.optional ? "::" : ":");
    for (const char *c = info->argument; *c != '\0'; c++)
        if (strchr("[]:", *c) == NULL) fputc(*c, stream);
    const char *paths = values.files ? "_files" : values.directories ? "_files -/" : "";
    if (values.words[0] == '\0')
        fprintf(stream, ":%s", paths[0] != '\0' ? paths : " ");
    else if (paths[0] != '\0')
        fprintf(stream, ":{compadd --%s; %s}", values.words, paths);
    else
        fprintf(stream, ":(%s)", values.words + 1);
}

static void print_zsh_name(FILE *stream, const struct loam_option_info *info, const char *name)
{
    if (name == NULL) return;
    fprintf(stream, " \\\n            '%s--%s%s%s[", info->repeated ? "*" : "", get_prefix(info), name,
            info->argument != NULL ? "=" : "");
    for (const char *c = info->help; *c != '\0'; c++) {
        if (*c == '\'')
            fprintf(stream, "'\\''");
        else
            fprintf(stream, "%s%c", strchr("[]:\\", *c) != NULL ? "\\" : "", *c);
    }
    fprintf(stream, "]");
    if (info->argument != NULL) print_zsh_values(stream, info);
    fprintf(stream, "'");
}

static void print_zsh_command(FILE *stream, enum loam_command command)
{
    const struct loam_option_info *info;
    int position = 0;
    fprintf(stream, "    %s)\n        _arguments '--help[Show the options.]'", loam_command_name(command));
    for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++) {
        if (info->positional) {
            fprintf(stream, " \\\n            '%d", ++position);
            print_zsh_values(stream, info);
            fprintf(stream, "'");
            continue;
        }
        print_zsh_name(stream, info, info->name);
        print_zsh_name(stream, info, info->alias);
    }
    fprintf(stream, "\n        ;;\n");
}

static void print_zsh(FILE *stream)
{
    fprintf(stream, "#compdef loam\n# zsh completion of loam, written by: loam completion zsh\n"
                    "_loam() {\n    local -a commands=(\n");
    for (int i = 0; i < LOAM_COMMAND_COUNT; i++) {
        fprintf(stream, "        '%s:", loam_command_name((enum loam_command)i));
        print_escaped(stream, loam_command_help((enum loam_command)i), "'", "'\\'");
        fprintf(stream, "'\n");
    }
    fprintf(stream, "        'help:show the options of a command'\n"
                    "        'completion:write completion for a shell'\n    )\n"
                    "    if ((CURRENT == 2)); then\n"
                    "        _describe command commands\n        return\n    fi\n"
                    "    local command=$words[2]\n"
                    "    shift words\n    ((CURRENT--))\n    case $command in\n");
    for (int i = 0; i < LOAM_COMMAND_COUNT; i++)
        print_zsh_command(stream, (enum loam_command)i);
    fprintf(stream,
            "    help) _describe command commands ;;\n"
            "    completion) _values shell bash zsh fish ;;\n"
            "    esac\n}\n"
            "if [[ $funcstack[1] == _loam ]]; then\n    _loam \"$@\"\nelse\n    compdef _loam loam\nfi\n");
}

// ---- fish ----

static void print_fish_values(FILE *stream, const struct loam_option_info *info)
{
    struct values values = parse_values(info);
    if (values.files) fprintf(stream, " -F");
    if (values.words[0] == '\0' && !values.directories) return;
    fprintf(stream, " -a '%s%s'", values.words[0] != '\0' ? values.words + 1 : "",
            values.directories ? " (__fish_complete_directories (commandline -ct))" : "");
}

static void print_fish_name(FILE *stream, enum loam_command command, const struct loam_option_info *info,
                            const char *name)
{
    if (name == NULL) return;
    fprintf(stream, "complete -c loam -n '__loam_is %s'", loam_command_name(command));
    if (!info->positional) fprintf(stream, " -l %s%s", get_prefix(info), name);
    if (info->argument != NULL) {
        struct values values = parse_values(info);
        if (!info->positional && !values.optional) fprintf(stream, values.files ? " -r" : " -x");
        print_fish_values(stream, info);
    }
    if (!info->positional) {
        fprintf(stream, " -d '");
        print_escaped(stream, info->help, "'\\", "\\");
        fprintf(stream, "'");
    }
    fprintf(stream, "\n");
}

static void print_fish(FILE *stream)
{
    const struct loam_option_info *info;
    fprintf(stream, "# fish completion of loam, written by: loam completion fish\n"
                    "function __loam_is\n"
                    "    set -l typed (commandline -opc)\n"
                    "    test (count $typed) -ge 2; and test $typed[2] = $argv[1]\n"
                    "end\n"
                    "function __loam_is_new\n    test (count (commandline -opc)) -eq 1\nend\n"
                    "complete -c loam -f\n");
    for (int i = 0; i < LOAM_COMMAND_COUNT; i++) {
        enum loam_command command = (enum loam_command)i;
        fprintf(stream, "complete -c loam -n __loam_is_new -a %s -d '", loam_command_name(command));
        print_escaped(stream, loam_command_help(command), "'\\", "\\");
        fprintf(stream, "'\n");
        for (size_t j = 0; (info = loam_option_describe(command, j)) != NULL; j++) {
            print_fish_name(stream, command, info, info->name);
            print_fish_name(stream, command, info, info->alias);
        }
    }
    fprintf(stream, "complete -c loam -n __loam_is_new -a 'help completion'\n"
                    "complete -c loam -n __loam_is_new -l version\n"
                    "complete -c loam -l help -d 'Show the options.'\n"
                    "complete -c loam -n '__loam_is completion' -a 'bash zsh fish'\n"
                    "complete -c loam -n '__loam_is help' -a '");
    print_commands(stream);
    fprintf(stream, "'\n");
}

bool cli_print_completion(FILE *stream, const char *shell)
{
    static const struct {
        const char *name;
        void (*print)(FILE *stream);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shell, shells[i].name) != 0) continue;
        shells[i].print(stream);
        return true;
    }
    return false;
}
