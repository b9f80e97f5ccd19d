/* supervisor.h: what the driver and its supervisor say to each other.
 *
 * The supervisor is `miniray-worker --supervise SOCKET DRIVER FLAGS KEEP NOW [-- ZYGOTE COMMAND...]`, the only child of
 * the driver: SOCKET is the number of an inherited SOCK_SEQPACKET descriptor, DRIVER the pid it serves, FLAGS a number
 * (MR_SUP_FLAG_), KEEP the inherited descriptors that workers need too ("5,6,7,8"; "-" for none), NOW one of an
 * mr_policy_now, and the rest the command of the zygote.  Every other descriptor it inherits is closed.  Its
 * environment is that of the workers (MINIRAY_ATTACH is in it).  It is the subreaper of the session, holds a pidfd of
 * the driver, and starts, signals and reaps all workers; so a pid is never reused between a decision and its signal.
 *
 * One message is one packet: an mr_sup_msg, then n_bytes bytes.  Fields that a kind does not name are 0.
 * The supervisor ends, and everything below it with it, when the driver dies, on END, or when the driver closes its
 * end.
 */
#ifndef MR_ENGINE_PROCESS_SUPERVISOR_H
#define MR_ENGINE_PROCESS_SUPERVISOR_H

#include <stdint.h>

enum {
    MR_SUP_FLAG_OUTPUT = 1,  /* collect what workers print; else it goes to /dev/null */
    MR_SUP_FLAG_PRESTART = 2 /* start the zygote at once */
};

typedef enum mr_sup_kind {
    /* driver -> supervisor */
    MR_SUP_SPAWN = 1, /* start worker (link, node, lang); answered by STARTED, or DIED with how MR_DEATH_SPAWN */
    MR_SUP_SIGNAL,    /* send signal `code` to worker; nothing if it is gone.  SIGSTOP: `arg` numbers the order */
    MR_SUP_END,       /* SIGTERM to all workers, SIGKILL to all that is left after `arg` ns, then exit */

    /* supervisor -> driver */
    MR_SUP_STARTED = 64, /* worker has process `pid` */
    MR_SUP_DIED,         /* worker was reaped: how (mr_death), code (exit code or signal; errno for MR_DEATH_SPAWN) */
    MR_SUP_STOPPED,      /* worker stands still (signal `code`), by order `arg`; 0: somebody else's signal */
    MR_SUP_CONTINUED,    /* and goes on */
    MR_SUP_OUTPUT,       /* worker (and pid) printed the bytes that follow on stream 1 or 2 */
    MR_SUP_ZYGOTE_UP,    /* the zygote `pid` can fork */
    MR_SUP_ZYGOTE_DIED   /* the zygote was reaped: how, code; DIED of its workers follow */
} mr_sup_kind;

enum { MR_SUP_OUTPUT_MAX = 8192 };

/* A line of output that begins so is not shown: the rest says what the worker is called in the prefix of its lines. */
#define MR_OUTPUT_NAME "\033]miniray-name;"

typedef struct mr_sup_msg {
    uint32_t kind;             /* mr_sup_kind */
    uint32_t worker;           /* number */
    uint32_t link, node, lang; /* mr_lang */
    int32_t pid;
    uint32_t how; /* mr_death */
    int32_t code;
    uint32_t stream;
    uint32_t n_bytes;
    int64_t arg;
} mr_sup_msg;

/* Removes a session's folder and the socket in it; desk.c. */
void mr_desk_remove(const char *folder);

/* The whole life of a supervisor process; argv[1] is "--supervise".  Returns its exit status. */
int mr_supervisor_main(int argc, char **argv);

#endif
