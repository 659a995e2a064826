#include "chat/format.h"

#include <math.h>
#include <stdlib.h>

// ---- Padding ----

static enum loam_status append_fill(struct chat_run *run, struct chat_text *text,
                                    const struct chat_specification *form, int64_t count)
{
    if (count > CHAT_LARGEST_WIDTH)
        return chat_fail(run, "a width has more than %d characters", CHAT_LARGEST_WIDTH);
    for (int64_t i = 0; i < count; i++)
        LOAM_TRY(chat_text_append_code(text, form->fill == 0 ? ' ' : form->fill, CHAT_TEMPLATE_ORIGIN));
    return LOAM_OK;
}

// The number of characters before the content.
static int64_t left_padding(int64_t padding, char align)
{
    return align == '<' ? 0 : align == '^' ? padding / 2 : padding;
}

enum loam_status chat_format_string(struct chat_run *run, struct chat_text *text,
                                    const struct chat_string *string, const struct chat_specification *form)
{
    int64_t length = string->length;
    if (form->precision >= 0 && length > form->precision) length = form->precision;
    int64_t padding = form->width > length ? form->width - length : 0;
    int64_t left = left_padding(padding, form->align == 0 ? '<' : form->align);
    LOAM_TRY(append_fill(run, text, form, left));
    LOAM_TRY(chat_text_append_part(text, string, 0, chat_string_byte(string, (size_t)length), 0));
    return append_fill(run, text, form, padding - left);
}

// Writes a sign, a prefix such as 0x, and digits, padded.
static enum loam_status append_number(struct chat_run *run, struct chat_text *text, const char *sign,
                                      const char *digits, uint32_t origin,
                                      const struct chat_specification *form)
{
    char align = form->align == 0 ? '>' : form->align;
    int64_t length = (int64_t)(strlen(sign) + strlen(digits));
    int64_t padding = form->width > length ? form->width - length : 0;
    int64_t left = align == '=' ? 0 : left_padding(padding, align);
    LOAM_TRY(append_fill(run, text, form, left));
    LOAM_TRY(chat_text_append_words(text, sign, origin));
    if (align == '=') LOAM_TRY(append_fill(run, text, form, padding));
    LOAM_TRY(chat_text_append_words(text, digits, origin));
    return align == '=' ? LOAM_OK : append_fill(run, text, form, padding - left);
}

static const char *sign_text(bool minus, char sign)
{
    return minus ? "-" : sign == '+' ? "+" : sign == ' ' ? " " : "";
}

enum { NUMBER_SIZE = 1024, LARGEST_PRECISION = 300 };

// Separates the digits before the point into groups.
static void group_digits(char digits[NUMBER_SIZE], char separator, size_t group)
{
    size_t whole = strspn(digits, "0123456789abcdefABCDEF"), total = strlen(digits);
    if (separator == 0 || whole == 0) return;
    size_t added = (whole - 1) / group;
    if (total + added >= NUMBER_SIZE) return;
    memmove(digits + whole + added, digits + whole, total - whole + 1);
    for (size_t from = whole, to = whole + added, count = 0; from > 0; count++) {
        if (count > 0 && count % group == 0) digits[--to] = separator;
        digits[--to] = digits[--from];
    }
}

// Zeros that fill the width take part in the grouping.
static void fill_zeros(char digits[NUMBER_SIZE], const char *sign, const struct chat_specification *form,
                       size_t group)
{
    if (form->fill != '0' || form->align != '=' || form->grouping == 0) return;
    size_t whole = strspn(digits, "0123456789abcdefABCDEF"), rest = strlen(digits) - whole + strlen(sign);
    while (whole + (whole - 1) / group + rest < (size_t)form->width && strlen(digits) + 2 < NUMBER_SIZE) {
        memmove(digits + 1, digits, strlen(digits) + 1);
        digits[0] = '0';
        whole++;
    }
}

// ---- Integers ----

static void print_base(char digits[NUMBER_SIZE], uint64_t value, unsigned base, bool upper)
{
    char reversed[72];
    size_t count = 0;
    do {
        reversed[count++] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
        value /= base;
    } while (value > 0);
    for (size_t i = 0; i < count; i++)
        digits[i] = reversed[count - 1 - i];
    digits[count] = '\0';
}

enum loam_status chat_format_integer(struct chat_run *run, struct chat_text *text, int64_t value,
                                     uint32_t origin, const struct chat_specification *form)
{
    char type = form->type == 0 || form->type == 'n' ? 'd' : form->type;
    if (strchr("eEfFgG%", type) != NULL) return chat_format_float(run, text, (double)value, origin, form);
    if (strchr("bcdoxX", type) == NULL)
        return chat_fail(run, "Unknown format code '%c' for object of type 'int'", type);
    if (form->precision >= 0) return chat_fail(run, "Precision not allowed in integer format specifier");
    if (type == 'c') {
        struct chat_value character;
        char bytes[LOAM_UTF8_MAX];
        if (value < 0 || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
            return chat_fail(run, "%%c arg not in range(0x110000)");
        LOAM_TRY(chat_string_copy(&character, bytes, loam_utf8_encode((int32_t)value, bytes), origin,
                                  &run->pool, run->error));
        return chat_format_string(run, text, character.as.string, form);
    }
    char digits[NUMBER_SIZE], sign[8];
    unsigned base = type == 'b' ? 2 : type == 'o' ? 8 : type == 'd' ? 10 : 16;
    size_t group = base == 10 ? 3 : 4;
    print_base(digits, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, base, type == 'X');
    snprintf(sign, sizeof sign, "%s%s", sign_text(value < 0, form->sign),
             form->alternative && base != 10 ? "0" : "");
    if (form->alternative && base != 10)
        snprintf(sign + strlen(sign), sizeof sign - strlen(sign), "%c", type);
    fill_zeros(digits, sign, form, group);
    group_digits(digits, form->grouping, group);
    return append_number(run, text, sign, digits, origin, form);
}

// ---- Floats ----

static void use_point(char digits[NUMBER_SIZE])
{
    for (char *c = digits; *c != '\0'; c++)
        if (*c == ',') *c = '.'; // the decimal point of some locales
}

// The digits of "g" and of a type that is not given.
static void print_general(char digits[NUMBER_SIZE], double value, const struct chat_specification *form)
{
    char type = form->type == 'G' ? 'G' : 'g';
    int precision = form->precision < 0 ? 6 : form->precision == 0 ? 1 : (int)form->precision;
    if (form->type == 0 && form->precision < 0) {
        char repr[CHAT_FLOAT_SIZE];
        chat_print_float(value, repr);
        snprintf(digits, NUMBER_SIZE, "%s", repr);
        return;
    }
    snprintf(digits, NUMBER_SIZE,
             type == 'G'         ? (form->alternative ? "%#.*G" : "%.*G")
             : form->alternative ? "%#.*g"
                                 : "%.*g",
             precision, value);
    use_point(digits);
    if (form->type != 0) return;
    // Without a type there is a digit behind the point, and an exponent where "g" with one digit fewer has one.
    char probe[64];
    snprintf(probe, sizeof probe, "%.*e", precision - 1, value);
    const char *power = strchr(probe, 'e');
    int exponent = power == NULL ? 0 : (int)strtol(power + 1, NULL, 10);
    if (exponent >= precision - (precision > 0) && strchr(digits, 'e') == NULL) {
        snprintf(digits, NUMBER_SIZE, "%.*e", precision - 1, value);
        use_point(digits);
        char *mark = strchr(digits, 'e'), *end = mark;
        if (mark == NULL) return; // %e always writes an exponent
        while (end > digits && end[-1] == '0' && memchr(digits, '.', (size_t)(mark - digits)) != NULL)
            end--;
        if (end > digits && end[-1] == '.') end--;
        memmove(end, mark, strlen(mark) + 1);
    } else if (strchr(digits, '.') == NULL && strchr(digits, 'e') == NULL) {
        snprintf(digits + strlen(digits), NUMBER_SIZE - strlen(digits), ".0");
    }
}

enum loam_status chat_format_float(struct chat_run *run, struct chat_text *text, double value,
                                   uint32_t origin, const struct chat_specification *form)
{
    char digits[NUMBER_SIZE], type = form->type == 'n' ? 'g' : form->type;
    double size = fabs(type == '%' ? value * 100 : value);
    int precision = form->precision < 0 ? 6 : (int)form->precision;
    if (type != 0 && strchr("eEfFgG%", type) == NULL)
        return chat_fail(run, "Unknown format code '%c' for object of type 'float'", type);
    if (form->precision > LARGEST_PRECISION)
        return chat_fail(run, "a precision has more than %d digits", LARGEST_PRECISION);
    if (!isfinite(value))
        snprintf(digits, sizeof digits, "%s", isnan(value) ? "nan" : "inf");
    else if (type == 'e' || type == 'E')
        snprintf(digits, sizeof digits, type == 'e' ? "%.*e" : "%.*E", precision, size);
    else if (type == 'f' || type == 'F' || type == '%')
        snprintf(digits, sizeof digits, form->alternative ? "%#.*f" : "%.*f", precision, size);
    else
        print_general(digits, size, form);
    use_point(digits);
    if (!isfinite(value) && (type == 'E' || type == 'F' || type == 'G'))
        snprintf(digits, sizeof digits, "%s", isnan(value) ? "NAN" : "INF");
    if (type == '%') snprintf(digits + strlen(digits), NUMBER_SIZE - strlen(digits), "%%");
    const char *sign = sign_text(signbit(value) && !isnan(value), form->sign);
    fill_zeros(digits, sign, form, 3);
    group_digits(digits, form->grouping, 3);
    return append_number(run, text, sign, digits, origin, form);
}
