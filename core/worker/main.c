/* main.c: the executable miniray-worker: a worker for tasks written in C, or (--supervise) the supervisor of a session.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/process/supervisor.h"
#include "worker/worker.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--supervise") == 0)
        return mr_supervisor_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("miniray-worker " MINIRAY_VERSION);
        return 0;
    }
    if (!getenv("MINIRAY_ATTACH")) {
        fputs("miniray-worker is started by a miniray session, not by hand (it has --version)\n", stderr);
        return 2;
    }
    return mr_worker_main();
}
