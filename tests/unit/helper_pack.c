/* helper_pack.c: see helper_pack.h. */
#include "unit/helper_pack.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

static int by_path(const void *a, const void *b)
{
    return strcmp(a, b);
}

int helper_pack_files(char (*files)[512], int most)
{
    char folder[400];
    int n = 0;
    const char *root = getenv("MRTEST_SOURCE_DIR");
    snprintf(folder, sizeof folder, "%s/config/policies", root ? root : ".");
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    for (const struct dirent *e; (e = readdir(dir));) {
        size_t len = strlen(e->d_name);
        if (len < 5 || len > 60 || strcmp(e->d_name + len - 4, ".lua") != 0)
            continue;
        ck_assert_int_lt(n, most);
        snprintf(files[n++], 512, "%.400s/%.60s", folder, e->d_name);
    }
    closedir(dir);
    qsort(files, (size_t)n, sizeof *files, by_path);
    return n;
}
