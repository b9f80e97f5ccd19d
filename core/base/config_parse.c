/* config_parse.c: one value's text -> its numbers.  Knows types and forms, not where a value was written: the caller
 * puts "FILE:LINE: KEY: " before what is said here.  Reads numbers as the C locale does, whatever the host program has
 * set.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#ifdef __APPLE__
#include <xlocale.h> /* strtod_l */
#endif

#include "base/config.h"
#include "base/config_keys.h"
#include "base/log.h"

enum { NAME_MAX_LEN = 64 };

/* Plain decimal, with fraction and exponent; *rest is what follows.  False: no number there. */
static bool read_decimal(const char *text, double *out, const char **rest)
{
    const char *p = text;
    size_t digits = 0;
    if (*p == '-' || *p == '+')
        p++;
    for (; isdigit((unsigned char)*p); p++)
        digits++;
    if (*p == '.')
        for (p++; isdigit((unsigned char)*p); p++)
            digits++;
    if (!digits)
        return false;
    if ((*p == 'e' || *p == 'E') && isdigit((unsigned char)p[p[1] == '-' || p[1] == '+' ? 2 : 1]))
        for (p += 2; isdigit((unsigned char)*p); p++)
            ;
    char copy[NAME_MAX_LEN];
    if ((size_t)(p - text) >= sizeof copy)
        return false;
    memcpy(copy, text, (size_t)(p - text));
    copy[p - text] = 0;
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    *out = c ? strtod_l(copy, NULL, c) : strtod(copy, NULL);
    if (c)
        freelocale(c);
    *rest = p;
    return isfinite(*out);
}

static mr_status parse_int(const char *text, int64_t *out, mr_err *err)
{
    const char *p = text + (*text == '-' || *text == '+');
    int64_t value = 0;
    if (!*p)
        return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is not a whole number", text);
    for (; *p; p++) {
        if (!isdigit((unsigned char)*p))
            return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is not a whole number", text);
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *p - '0', &value))
            return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is too large", text);
    }
    *out = *text == '-' ? -value : value;
    return MR_OK;
}

static mr_status parse_bool(const char *text, int64_t *out, mr_err *err)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(words[i], text) == 0) {
            *out = (int64_t)(i & 1);
            return MR_OK;
        }
    const char *near = mr_nearest(text, words, 6);
    return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is not true or false%s%s%s", text, near ? "; did you mean \"" : "",
                      near ? near : "", near ? "\"?" : "");
}

/* number x unit, rounded to the nearest whole; the caller has found the unit's worth. */
static mr_status scaled(const char *text, double number, double worth, int64_t *out, mr_err *err)
{
    double value = number * worth;
    if (value < 0)
        return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is negative", text);
    if (value > 9.2e18)
        return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is too large", text);
    *out = (int64_t)(value + 0.5);
    return MR_OK;
}

static mr_status parse_bytes(const char *text, int64_t *out, mr_err *err)
{
    static const char letters[] = "KMGT";
    const char *unit;
    double number, worth = 1;
    if (!read_decimal(text, &number, &unit))
        return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is not a number of bytes (4096, 64K, 2M, 1.5G)", text);
    while (*unit == ' ')
        unit++;
    const char *tail = unit;
    const char *letter = *unit ? strchr(letters, toupper((unsigned char)*unit)) : NULL;
    if (letter) {
        for (const char *l = letters; l <= letter; l++)
            worth *= 1024;
        tail++;
        if (*tail == 'i')
            tail++;
    }
    if (*tail == 'B')
        tail++;
    if (*tail)
        return mr_err_set(err, MR_E_CONFIG,
                          "\"%.80s\" has an unknown unit \"%.40s\": bytes are 4096, 64K, 2M, 1G or 1T", text, unit);
    return scaled(text, number, worth, out, err);
}

static mr_status parse_duration(const char *text, int64_t *out, mr_err *err)
{
    static const struct {
        const char *name;
        double worth;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    const char *unit;
    double number;
    if (!read_decimal(text, &number, &unit))
        return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is not a duration (10ns, 50us, 10ms, 2s, 1m, 1h)", text);
    while (*unit == ' ')
        unit++;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].name) == 0)
            return scaled(text, number, units[i].worth, out, err);
    if (!*unit && number == 0)
        return scaled(text, 0, 1, out, err);
    if (!*unit)
        return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" needs a unit: ns, us, ms, s, m or h", text);
    return mr_err_set(err, MR_E_CONFIG,
                      "\"%.80s\" has an unknown unit \"%.40s\": durations are in ns, us, ms, s, m or h", text, unit);
}

mr_status mr_config_parse(mr_conf_type type, const char *text, int64_t *out_int, double *out_double, mr_err *err)
{
    int64_t i = 0;
    double d = 0;
    const char *rest;
    mr_status status = MR_OK;

    if (!*text && type != MR_CONF_TEXT && type != MR_CONF_PATH)
        return mr_err_set(err, MR_E_CONFIG, "has no value; a %s is needed", mr_key_type_text(type));
    switch (type) {
    case MR_CONF_INT:
        status = parse_int(text, &i, err);
        d = (double)i;
        break;
    case MR_CONF_DOUBLE:
        if (!read_decimal(text, &d, &rest) || *rest)
            return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is not a number", text);
        i = fabs(d) < 9e18 ? (int64_t)d : 0;
        break;
    case MR_CONF_BOOL:
        status = parse_bool(text, &i, err);
        d = (double)i;
        break;
    case MR_CONF_BYTES:
        status = parse_bytes(text, &i, err);
        d = (double)i;
        break;
    case MR_CONF_DURATION:
        status = parse_duration(text, &i, err);
        d = (double)i;
        break;
    case MR_CONF_TEXT:
    case MR_CONF_PATH:
        break;
    }
    if (status)
        return status;
    if (out_int)
        *out_int = i;
    if (out_double)
        *out_double = d;
    return MR_OK;
}

/* -- forms ------------------------------------------------------------------------------------------------------- */

static mr_status check_choice(const mr_key *key, const char *text, mr_err *err)
{
    char copy[128], *names[16], shown[160] = "", *save = NULL;
    size_t n = 0, at = 0;
    snprintf(copy, sizeof copy, "%s%s", key->choices, key->form == MR_KEY_KNOW ? "|noisy:S" : "");
    for (char *one = strtok_r(copy, "|", &save); one && n < 16; one = strtok_r(NULL, "|", &save)) {
        names[n++] = one;
        if (strcmp(one, text) == 0 && strcmp(one, "noisy:S") != 0)
            return MR_OK;
        at += (size_t)snprintf(shown + at, sizeof shown - at, "%s%s", at ? ", " : "", one);
    }
    double s;
    const char *rest;
    if (key->form == MR_KEY_KNOW && strncmp(text, "noisy:", 6) == 0) {
        if (read_decimal(text + 6, &s, &rest) && !*rest && s >= 0)
            return MR_OK;
        return mr_err_set(err, MR_E_CONFIG, "\"%.80s\": noisy: needs a deviation of 0 or more (noisy:0.3)", text);
    }
    const char *near = mr_nearest(text, (const char *const *)names, n);
    if (near)
        return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is not one of %s; did you mean \"%s\"?", text, shown, near);
    return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is not one of %s", text, shown);
}

/* name=value,name=value: names are unique words, values are not empty (and numbers of 0 or more, if `amounts`). */
static mr_status check_pairs(const char *text, bool amounts, mr_err *err)
{
    static const char *const taken[] = {"CPU", "GPU", "memory"};
    const char *form = amounts ? "name=amount,name=amount" : "name=value,name=value";
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ","), name = strcspn(p, "=");
        while (*p == ' ')
            p++, len--, name--;
        if (name == 0 || name >= len || name > NAME_MAX_LEN || name + 1 == len)
            return mr_err_set(err, MR_E_CONFIG, "\"%.*s\" is not %s", (int)len, p, form);
        double amount;
        const char *rest;
        if (amounts && (!read_decimal(p + name + 1, &amount, &rest) || rest != p + len || amount < 0))
            return mr_err_set(err, MR_E_CONFIG, "\"%.*s\": the amount of %.*s must be a number of 0 or more", (int)len,
                              p, (int)name, p);
        for (size_t i = 0; amounts && i < sizeof taken / sizeof taken[0]; i++)
            if (strlen(taken[i]) == name && strncmp(taken[i], p, name) == 0)
                return mr_err_set(err, MR_E_CONFIG, "%s is not a custom resource: it has a key of its own", taken[i]);
        for (const char *q = text; q < p; q += strcspn(q, ",") + 1) {
            q += strspn(q, " ");
            if (q < p && strncmp(q, p, name + 1) == 0)
                return mr_err_set(err, MR_E_CONFIG, "\"%.*s\" is given twice", (int)name, p);
        }
        p += len;
        if (*p == ',' && !p[1])
            return mr_err_set(err, MR_E_CONFIG, "ends with a comma");
        p += *p == ',';
    }
    return MR_OK;
}

static mr_status check_range(const mr_key *key, const char *text, double value, mr_err *err)
{
    if (key->min > key->max || (value >= key->min && value <= key->max))
        return MR_OK;
    if (value < key->min)
        return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is too small: the least is %g", text, key->min);
    return mr_err_set(err, MR_E_CONFIG, "\"%.80s\" is too large: the most is %.0f", text, key->max);
}

/* Each path of a ':' list made relative to `base`. */
static char *resolve_paths(const char *text, const char *base, bool list)
{
    size_t room = strlen(text) + 1;
    for (const char *p = text; *p; p++)
        room += *p == ':' ? strlen(base) + 1 : 0;
    char *out = malloc(room + strlen(base) + 1), *to = out;
    if (!out)
        return NULL;
    *out = 0;
    for (const char *p = text;;) {
        size_t len = list ? strcspn(p, ":") : strlen(p);
        if (len && *p != '/')
            to += sprintf(to, "%s/", base);
        memcpy(to, p, len);
        to += len;
        p += len;
        if (!*p)
            break;
        *to++ = *p++;
    }
    *to = 0;
    return out;
}

mr_status mr_key_parse(const mr_key *key, const char *text, const char *base, char **out_text, int64_t *out_int,
                       double *out_double, mr_err *err)
{
    mr_status status = mr_config_parse(key->type, text, out_int, out_double, err);
    if (status)
        return status;
    if (*text && (key->form == MR_KEY_CHOICE || key->form == MR_KEY_KNOW))
        return check_choice(key, text, err);
    if (key->form == MR_KEY_CHOICE || key->form == MR_KEY_KNOW)
        return mr_err_set(err, MR_E_CONFIG, "has no value; one of %s is needed", key->choices);
    if (key->form == MR_KEY_PAIRS || key->form == MR_KEY_AMOUNTS)
        return check_pairs(text, key->form == MR_KEY_AMOUNTS, err);
    if (key->type != MR_CONF_TEXT && key->type != MR_CONF_PATH)
        return check_range(key, text, *out_double, err);
    /* A plugin is a name or, with a '/', a path: of the file that names it, like every other path. */
    bool path = key->type == MR_CONF_PATH || key->form == MR_KEY_PATHS ||
                (strcmp(key->name, "plugin") == 0 && strchr(text, '/'));
    if (!path || !base || !*text)
        return MR_OK;
    *out_text = resolve_paths(text, base, key->form == MR_KEY_PATHS);
    return *out_text ? MR_OK : mr_err_set(err, MR_E_NOMEM, "out of memory");
}

/* -- did you mean -------------------------------------------------------------------------------------------------- */

/* Edits (insert, delete, replace, swap neighbours; letters' case is free) between a and b; n + m if either is long. */
static size_t edits(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    size_t rows[3][NAME_MAX_LEN + 1], *before = rows[0], *last = rows[1], *now = rows[2];
    if (n > NAME_MAX_LEN || m > NAME_MAX_LEN)
        return n + m;
    for (size_t j = 0; j <= m; j++)
        last[j] = j, before[j] = 0;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            size_t best = last[j - 1] + (x != y);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) && y == tolower((unsigned char)a[i - 2]) &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        size_t *spare = before;
        before = last, last = now, now = spare;
    }
    return last[m];
}

/* One of the two is the beginning of the other, and long enough to mean it. */
static bool begins(const char *a, const char *b)
{
    size_t n = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
    return n >= 3 && strncasecmp(a, b, n) == 0;
}

const char *mr_nearest(const char *name, const char *const *names, size_t n)
{
    const char *best = NULL, *begun = NULL;
    size_t best_edits = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(name) > strlen(names[i]) ? strlen(name) : strlen(names[i]);
        size_t e = edits(name, names[i]);
        if (e < best_edits && e <= (len < 4 ? 1 : len / 3 + (len < 6))) {
            best = names[i];
            best_edits = e;
        }
        if (!begun && begins(name, names[i]))
            begun = names[i];
    }
    return best ? best : begun;
}
