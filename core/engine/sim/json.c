/* json.c: typed fields over cJSON.  Knows how to say where something is wrong, not what a workload is.  No state. */
#include "engine/sim/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"

mr_status mr_json_fail(const mr_json_at *at, const char *field, const char *fmt, ...)
{
    char what[700];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    char line[32] = "";
    int row, column;
    if (mr_json_where(at, field, &row, &column))
        snprintf(line, sizeof line, ":%d:%d", row, column);
    else if (at->line > 0)
        snprintf(line, sizeof line, ":%d", at->line);
    return mr_err_set(at->err, MR_E_CONFIG, "%s%s: %s%s%s", at->path, line, field ? field : "", field ? ": " : "",
                      what);
}

static const char *kind_of(const cJSON *v)
{
    return cJSON_IsString(v)   ? "a text"
           : cJSON_IsNumber(v) ? "a number"
           : cJSON_IsBool(v)   ? "true or false"
           : cJSON_IsArray(v)  ? "a list"
           : cJSON_IsObject(v) ? "an object"
                               : "null";
}

mr_status mr_json_read(const mr_json_at *at, const cJSON *object, const mr_json_field *fields, size_t n, void *into)
{
    mr_json_here(at, object);
    if (!cJSON_IsObject(object))
        return mr_json_fail(at, NULL, "expected an object, got %s", kind_of(object));
    uint64_t seen = 0;
    for (const cJSON *v = object->child; v; v = v->next) {
        size_t i = 0;
        mr_json_here(at, v);
        while (i < n && strcmp(fields[i].name, v->string) != 0)
            i++;
        if (i == n) {
            const char *names[64];
            for (size_t k = 0; k < n && k < 64; k++)
                names[k] = fields[k].name;
            const char *near = mr_nearest(v->string, names, n < 64 ? n : 64);
            return near ? mr_json_fail(at, v->string, "unknown field, did you mean \"%s\"?", near)
                        : mr_json_fail(at, v->string, "unknown field");
        }
        if (seen & (UINT64_C(1) << i))
            return mr_json_fail(at, v->string, "given twice");
        seen |= UINT64_C(1) << i;
        mr_status status = fields[i].read(at, fields[i].name, v, into);
        if (status)
            return status;
    }
    mr_json_here(at, object);
    return MR_OK;
}

mr_status mr_json_number(const mr_json_at *at, const char *field, const cJSON *value, double min, double max,
                         double *out)
{
    mr_json_here(at, value);
    if (!cJSON_IsNumber(value))
        return mr_json_fail(at, field, "expected a number, got %s", kind_of(value));
    double x = value->valuedouble;
    if (!isfinite(x) || x < min || x > max)
        return mr_json_fail(at, field, "%g is out of range (%g to %g)", x, min, max);
    *out = x;
    return MR_OK;
}

mr_status mr_json_count(const mr_json_at *at, const char *field, const cJSON *value, uint64_t *out)
{
    double x = 0;
    mr_status status = mr_json_number(at, field, value, 0, 9007199254740992.0, &x);
    if (status)
        return status;
    if (x != floor(x))
        return mr_json_fail(at, field, "%g is not a whole number", x);
    *out = (uint64_t)x;
    return MR_OK;
}

mr_status mr_json_seconds(const mr_json_at *at, const char *field, const cJSON *value, int64_t *out)
{
    double x = 0;
    mr_status status = mr_json_number(at, field, value, 0, 3.2e9, &x);
    if (status)
        return status;
    *out = (int64_t)(x * 1e9 + 0.5);
    return MR_OK;
}

mr_status mr_json_text(const mr_json_at *at, const char *field, const cJSON *value, size_t max, const char **out)
{
    mr_json_here(at, value);
    if (!cJSON_IsString(value))
        return mr_json_fail(at, field, "expected a text, got %s", kind_of(value));
    size_t n = strlen(value->valuestring);
    if (n == 0)
        return mr_json_fail(at, field, "the text is empty");
    if (n > max)
        return mr_json_fail(at, field, "the text has %zu bytes, at most %zu fit", n, max);
    *out = value->valuestring;
    return MR_OK;
}

mr_status mr_json_parse(const mr_json_at *at, const char *text, size_t size, cJSON **out)
{
    const char *end = NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(text, size, &end, 0);
    if (json) {
        while (end < text + size && (*end == ' ' || *end == '\t' || *end == '\r' || *end == '\n'))
            end++;
        if (end == text + size) {
            *out = json;
            return MR_OK;
        }
        cJSON_Delete(json);
    }
    int line = at->line > 0 ? at->line : 1, column = 1;
    for (const char *p = text; end && p < end && p < text + size; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    if (end && end < text + size && *end >= ' ' && *end < 127)
        return mr_err_set(at->err, MR_E_CONFIG, "%s:%d:%d: this is not JSON: unexpected '%c'%s", at->path, line, column,
                          *end, end + 1 == text + size ? ", or it ends too early" : "");
    return mr_err_set(at->err, MR_E_CONFIG, "%s:%d:%d: this is not JSON: it ends too early or holds a stray byte",
                      at->path, line, column);
}

mr_status mr_json_load(const char *path, char **out, size_t *size, mr_err *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return mr_err_set(err, MR_E_IO, "%s: %s", path, strerror(errno));
    size_t cap = 65536, n = 0;
    char *text = malloc(cap);
    while (text) {
        n += fread(text + n, 1, cap - n - 1, f);
        if (n + 1 < cap)
            break;
        char *more = realloc(text, cap * 2);
        if (!more) {
            free(text);
            text = NULL;
            break;
        }
        text = more;
        cap *= 2;
    }
    int failed = ferror(f), why = errno;
    fclose(f);
    if (!text)
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory while reading it", path);
    if (failed) {
        free(text);
        return mr_err_set(err, MR_E_IO, "%s: %s", path, strerror(why));
    }
    text[n] = '\0';
    *out = text;
    *size = n;
    return MR_OK;
}
