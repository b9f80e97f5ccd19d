/* test_store.c: the store suite on the shipped stores, or on those given (a path or a name each); and, without
 * arguments, on stores that are wrong in one op, which it must notice.
 *
 * MINIRAY_PLUGIN_PATH and MINIRAY_BADPLUGINS are set by CTest.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/conformance/cases.h"

static int conforms(const char *name, FILE *out)
{
    mr_loaded *l;
    mr_err err;
    int failed;
    if (mr_plugin_load(&l, name, MR_KIND_STORE, NULL, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    fprintf(out, "%s\n", l->plugin->name);
    failed = mr_store_conformance(l, out);
    mr_plugin_unload(l);
    return failed;
}

/* A wrong store and a line (or its beginning) that the suite must print. */
typedef struct crooked {
    const char *name, *line;
} crooked;

static const crooked wrong[] = {
    {"crooked-pins", "FAILED pins: c->ops->remove(c->self, 1) gives OK, expected E_BUSY"},
    {"crooked-length", "FAILED exact-length: r.len is 64, expected 0 (len)"},
    {"crooked-seal", "FAILED get-before-seal: c->ops->get(c->self, 1, &r) gives OK, expected E_NOTFOUND"},
    {"crooked-books", "FAILED abort-gives-back: c->ops->create(c->self, 1, c->capacity / 2 + 64, &r) gives E_FULL"},
    {"crooked-leak", "FAILED life: "},
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    {"crooked-hoard", "FAILED bytes-do-not-pile-up: expected: resident(c) < before"},
#endif
    {"crooked-crash", "FAILED unknown-ids: e"}, /* "ended by signal", or "exited" under a sanitizer */
};

static int notices(const crooked *w)
{
    char path[4096], *text = NULL;
    const char *folder = getenv("MINIRAY_BADPLUGINS");
    size_t size;
    int failed, missed = 0;
    FILE *out = open_memstream(&text, &size);
    snprintf(path, sizeof(path), "%s/%s.so", folder, w->name);
    failed = conforms(path, out);
    fclose(out);
    if (!failed || !strstr(text, w->line)) {
        printf("FAILED %s: %d cases failed, and the report lacks \"%s\":\n%s\n", w->name, failed, w->line, text);
        missed = 1;
    } else {
        printf("ok %s is noticed (%d cases fail)\n", w->name, failed);
    }
    free(text);
    return missed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++)
        failed += conforms(argv[i], stdout);
    if (argc > 1)
        return failed != 0;
    failed += conforms("store-mem", stdout);
    failed += conforms("store-shm", stdout);
    failed += conforms("store-file", stdout);
    if (!getenv("MINIRAY_BADPLUGINS")) {
        fprintf(stderr, "MINIRAY_BADPLUGINS must name the folder of the broken plugins (CTest sets it)\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        failed += notices(&wrong[i]);
    return failed != 0;
}
