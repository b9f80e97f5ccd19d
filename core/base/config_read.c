/* config_read.c: a file's text -> mr_config_apply calls.  inih splits the lines; this file hands them to it one by one,
 * so that it knows every line's number (inih's handler is not told) and sees what inih would pass over in silence: a
 * header without keys, a line that is cut, a continuation.
 *
 * The first mistake wins; the rest of the file is not looked at.  No lock, nothing kept after the call.
 */
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/config_store.h"
#include "base/log.h"

enum {
    FILE_LIMIT = 1 << 20,
    SECTIONS_LIMIT = 256,
    LINE_LIMIT = INI_MAX_LINE - 3 /* what fits in inih's line with its end */
};

typedef struct reading {
    mr_config *config;
    const char *path, *base;
    char *text, *at;
    int line;
    char section[LINE_LIMIT + 1]; /* as written */
    struct {
        char name[LINE_LIMIT + 1]; /* canonical */
        int line;
    } * seen;
    size_t n_seen;
    char place[PATH_MAX + 24];
    mr_status status;
    mr_err *err;
} reading;

static int refuse(reading *r, mr_status status)
{
    if (!r->status)
        r->status = status;
    return 0;
}

/* "[name]" at `p`: checks its form and that it is known and new. */
static int open_section(reading *r, const char *p)
{
    const char *end = strchr(p, ']');
    if (!end)
        return refuse(r, mr_err_set(r->err, MR_E_CONFIG, "%s: %.40s: a section's header ends with ]", r->place, p));
    const char *tail = end + 1 + strspn(end + 1, " \t");
    if (*tail && *tail != ';' && *tail != '#')
        return refuse(
            r, mr_err_set(r->err, MR_E_CONFIG, "%s: %.40s: only a comment may follow a section's header", r->place, p));
    const char *name = p + 1 + strspn(p + 1, " \t");
    size_t len = end > name ? (size_t)(end - name) : 0;
    while (len && (name[len - 1] == ' ' || name[len - 1] == '\t'))
        len--;
    if (!len)
        return refuse(r, mr_err_set(r->err, MR_E_CONFIG, "%s: []: the section has no name", r->place));
    snprintf(r->section, sizeof r->section, "%.*s", (int)len, name);
    mr_status status = mr_config_open_section(r->config, r->section, r->place, r->err);
    if (status)
        return refuse(r, status);
    char canonical[LINE_LIMIT + 1];
    mr_config_canonical(r->section, canonical, sizeof canonical);
    for (size_t i = 0; i < r->n_seen; i++)
        if (strcmp(r->seen[i].name, canonical) == 0)
            return refuse(r, mr_err_set(r->err, MR_E_CONFIG,
                                        "%s: [%s]: the section is there twice; the first is on line %d", r->place,
                                        r->section, r->seen[i].line));
    if (r->n_seen == SECTIONS_LIMIT)
        return refuse(r, mr_err_set(r->err, MR_E_CONFIG, "%s: more than %d sections", r->place, SECTIONS_LIMIT));
    memcpy(r->seen[r->n_seen].name, canonical, sizeof canonical);
    r->seen[r->n_seen++].line = r->line;
    return 1;
}

/* Looks at one line (without leading blanks) before inih does. */
static int check_line(reading *r, const char *p, size_t len)
{
    if (*p == '[')
        return open_section(r, p);
    size_t key = strcspn(p, "=:");
    if (key == len)
        return refuse(r,
                      mr_err_set(r->err, MR_E_CONFIG,
                                 "%s: %.40s: missing '='; a line is KEY = VALUE, [SECTION] or ; comment", r->place, p));
    if (key == 0)
        return refuse(r, mr_err_set(r->err, MR_E_CONFIG, "%s: %.40s: there is no key before '%c'", r->place, p, *p));
    while (key && (p[key - 1] == ' ' || p[key - 1] == '\t'))
        key--;
    if (!*r->section)
        return refuse(r, mr_err_set(r->err, MR_E_CONFIG,
                                    "%s: %.*s: a key outside any section; put it under [engine], [store], "
                                    "[sched], ...",
                                    r->place, (int)key, p));
    return 1;
}

/* inih's reader: the next line that may be given to it, or NULL at the end and after a mistake. */
static char *next_line(char *out, int room, void *arg)
{
    reading *r = arg;
    if (r->status || !*r->at)
        return NULL;
    char *p = r->at + strspn(r->at, " \t"); /* never indented: inih would take it for a continuation */
    size_t whole = strcspn(r->at, "\n"), len = whole - (size_t)(p - r->at);
    r->line++;
    snprintf(r->place, sizeof r->place, "%s:%d", r->path, r->line);
    char *end = r->at + whole;
    r->at = end + (*end == '\n');
    *end = 0;
    if (len && p[len - 1] == '\r')
        p[--len] = 0;
    if (*p == ';' || *p == '#')
        len = 0;
    if (len > LINE_LIMIT || len + 2 > (size_t)room) {
        refuse(r, mr_err_set(r->err, MR_E_CONFIG, "%s: %.40s...: the line is longer than %d bytes", r->place, p,
                             LINE_LIMIT));
        return NULL;
    }
    if (len && !check_line(r, p, len))
        return NULL;
    memcpy(out, p, len);
    memcpy(out + len, "\n", 2);
    return out;
}

/* inih's handler: one key of the line that next_line gave last. */
static int take_key(void *arg, const char *section, const char *name, const char *value)
{
    reading *r = arg;
    (void)section; /* as cut by inih; r->section is whole */
    if (r->status)
        return 0;
    const mr_origin from = {
        .source = MR_FROM_FILE, .file = r->path, .place = r->place, .base = r->base, .line = r->line};
    mr_status status = mr_config_apply(r->config, r->section, name, value ? value : "", &from, r->err);
    return status ? refuse(r, status) : 1;
}

/* The whole file as one NUL-ended text. */
static mr_status load(const char *path, char **out, mr_err *err)
{
    struct stat st;
    FILE *f = fopen(path, "re");
    if (!f)
        return mr_err_set(err, MR_E_IO, "%s: cannot be read: %s", path, strerror(errno));
    char *text = NULL;
    mr_status status = MR_OK;
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode))
        status = mr_err_set(err, MR_E_IO, "%s: is a folder; a file is needed", path);
    else if (!(text = malloc(FILE_LIMIT + 2)))
        status = mr_err_set(err, MR_E_NOMEM, "%s: out of memory", path);
    if (!status) {
        size_t n = fread(text, 1, FILE_LIMIT + 1, f);
        text[n] = 0;
        if (ferror(f))
            status = mr_err_set(err, MR_E_IO, "%s: cannot be read: %s", path, strerror(errno));
        else if (n > FILE_LIMIT)
            status =
                mr_err_set(err, MR_E_CONFIG, "%s: is larger than %d bytes; is it a configuration?", path, FILE_LIMIT);
        else if (strlen(text) != n) {
            int line = 1;
            for (const char *p = text; *p; p++)
                line += *p == '\n';
            status = mr_err_set(err, MR_E_CONFIG, "%s:%d: holds a zero byte; is it a text file?", path, line);
        }
    }
    fclose(f);
    if (status)
        free(text);
    else
        *out = text;
    return status;
}

mr_status mr_config_read(mr_config *c, const char *path, mr_err *err)
{
    char *text = NULL, base[PATH_MAX];
    mr_status status = load(path, &text, err);
    if (status)
        return status;
    const char *slash = strrchr(path, '/');
    snprintf(base, sizeof base, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (slash == path)
        snprintf(base, sizeof base, "/.");
    reading *r = calloc(1, sizeof *r);
    if (r)
        r->seen = calloc(SECTIONS_LIMIT, sizeof *r->seen);
    if (!r || !r->seen) {
        free(r);
        free(text);
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", path);
    }
    r->config = c;
    r->path = path;
    r->base = slash ? base : NULL; /* a plain name: its folder is the working folder */
    r->err = err;
    r->text = r->at = text;
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        r->at += 3;
    c->reading++;
    int rc = ini_parse_stream(next_line, r, take_key, r);
    status = r->status;
    if (!status && rc) /* a form that check_line let through and inih did not */
        status = mr_err_set(err, MR_E_CONFIG, "%s:%d: the line is not KEY = VALUE, [SECTION] or ; comment", path, rc);
    free(r->seen);
    free(r);
    free(text);
    return status;
}
