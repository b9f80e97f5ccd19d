/* json_where.c: the line and column of a value, found only when something is wrong with it.  cJSON keeps no places, but
 * its values stand in the same order as in the text: the n-th of the tree is the n-th of the text.  No state. */
#include <string.h>

#include "engine/sim/json.h"

/* Behind the text that begins at the quote `p`. */
static const char *past_text(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        p += *p == '\\' && p + 1 < end;
    return p < end ? p + 1 : end;
}

static const char *past_blank(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n", *p) && *p)
        p++;
    return p;
}

/* The begin of value number `n`, from 0, in the order in which values begin; NULL: there are fewer. */
static const char *value_at(const char *p, const char *end, size_t n)
{
    while (p < end) {
        const char *begin = p;
        bool value = false;
        if (*p == '"') {
            p = past_text(p, end);
            const char *next = past_blank(p, end);
            value = next == end || *next != ':'; /* else it is a key */
        } else if (*p == '{' || *p == '[') {
            value = true;
            p++;
        } else if (strchr(" \t\r\n,:]}", *p)) {
            p++;
        } else {
            value = true;
            while (p < end && !strchr(" \t\r\n,:]}", *p))
                p++;
            p += p == begin;
        }
        if (value && n-- == 0)
            return begin;
    }
    return NULL;
}

/* Counts values before `wanted`; true: it was found. */
static bool count_to(const cJSON *v, const cJSON *wanted, size_t *n)
{
    for (; v; v = v->next) {
        if (v == wanted)
            return true;
        ++*n;
        if (count_to(v->child, wanted, n))
            return true;
    }
    return false;
}

static bool is_text(const char *p, const char *end, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(end - p) >= n + 2 && *p == '"' && memcmp(p + 1, text, n) == 0 && p[n + 1] == '"';
}

/* The first text that is `name`, from p on; as a key if `key`.  NULL: none. */
static const char *text_at(const char *p, const char *end, const char *name, bool key)
{
    while (p < end) {
        if (*p != '"') {
            p++;
            continue;
        }
        const char *next = past_text(p, end), *colon = past_blank(next, end);
        if (is_text(p, end, name) && (!key || (colon < end && *colon == ':')))
            return p;
        p = next;
    }
    return NULL;
}

static const char *line_at(const char *p, const char *end, int line)
{
    while (p < end && line > 1) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        p = stop ? stop + 1 : end;
        line--;
    }
    return p;
}

bool mr_json_where(const mr_json_at *at, const char *field, int *line, int *column)
{
    const mr_json_doc *d = at->doc;
    if (!d || !d->text)
        return false;
    const char *end = d->text + d->size, *found = NULL, *begin = d->text;
    int first = d->line > 0 ? d->line : 1;
    size_t n = 0;
    if (d->root) {
        if (d->here && count_to(d->root, d->here, &n))
            found = value_at(d->text, end, n);
    } else { /* no tree any more: the name that is wrong, behind its field, in its line */
        if (at->line > 0) {
            begin = line_at(begin, end, at->line);
            first = at->line;
            const char *stop = memchr(begin, '\n', (size_t)(end - begin));
            end = stop ? stop : end;
        }
        const char *key = field ? text_at(begin, end, field, true) : NULL;
        found = d->name ? text_at(key ? key + strlen(field) + 2 : begin, end, d->name, false) : NULL;
        found = found ? found : key;
    }
    if (!found)
        return false;
    *line = first;
    *column = 1;
    for (const char *p = begin; p < found; p++) {
        *column = *p == '\n' ? 1 : *column + 1;
        *line += *p == '\n';
    }
    return true;
}
