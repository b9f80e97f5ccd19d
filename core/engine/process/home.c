/* home.c: where miniray's own files are.  Owns nothing; any thread. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/engine.h"

#ifndef MINIRAY_HOME
#define MINIRAY_HOME ""
#endif

static bool home_has(const char *dir, const char *below, char *out, size_t n)
{
    char path[PATH_MAX], real[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s%s/bin/miniray-worker", dir, below) >= sizeof(path) ||
        access(path, X_OK))
        return false;
    if ((size_t)snprintf(path, sizeof(path), "%s%s", dir, below) >= sizeof(path) || !realpath(path, real))
        return false;
    return (size_t)snprintf(out, n, "%s", real) < n;
}

/* Beside a file: its folder, the one above, and lib/miniray where libminiray lies in lib. */
static bool home_beside(const char *file, char *out, size_t n)
{
    char real[PATH_MAX];
    if (!file || !realpath(file, real))
        return false;
    char *slash = strrchr(real, '/');
    if (!slash)
        return false;
    *slash = 0;
    return home_has(real, "", out, n) || home_has(real, "/..", out, n) || home_has(real, "/miniray", out, n) ||
           home_has(real, "/../lib/miniray", out, n);
}

mr_status mr_engine_home(const char *home, char *out, size_t n, mr_err *err)
{
    Dl_info info = {0};
    if (home) {
        if (home_has(home, "", out, n))
            return MR_OK;
        return mr_err_set(err, MR_E_NOTFOUND, "%s/bin/miniray-worker is missing or not executable", home);
    }
    bool found = dladdr((void *)(uintptr_t)&mr_engine_home, &info) && home_beside(info.dli_fname, out, n);
    if (found || home_beside("/proc/self/exe", out, n) || (MINIRAY_HOME[0] && home_has(MINIRAY_HOME, "", out, n)))
        return MR_OK;
    return mr_err_set(err, MR_E_NOTFOUND,
                      "bin/miniray-worker was found neither beside %s nor beside this program nor in \"%s\": reinstall "
                      "miniray, or give mr_open_args.home",
                      info.dli_fname ? info.dli_fname : "the library", MINIRAY_HOME);
}
