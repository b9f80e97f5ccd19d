/* kids.h: the processes of a supervisor.  Internal to supervisor.c and kids.c, which run in the supervisor process
 * only. */
#ifndef MR_ENGINE_PROCESS_KIDS_H
#define MR_ENGINE_PROCESS_KIDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "control/control.h"
#include "engine/process/supervisor.h"
#include "engine/process/zygote.h"

/* Tags of descriptors in epoll; larger ones are pipes: worker << 8 | stream. */
enum { MR_SUP_TAG_SOCK = 1, MR_SUP_TAG_DRIVER, MR_SUP_TAG_CHLD, MR_SUP_TAG_ZYGOTE };
enum { MR_SUP_FORKS = 16 /* requests that the zygote has at a time */ };

typedef struct mr_kid {
    uint32_t worker, link, node, lang;
    pid_t pid;    /* 0: not started yet */
    int pidfd;    /* -1: none */
    int pipe[2];  /* read ends of stdout, stderr; -1 */
    bool asked;   /* the zygote has the request */
    bool killed;  /* by our own SIGKILL: not for want of memory */
    int64_t stop; /* number of the order by which it stands still, or soon will; 0: none */
} mr_kid;

typedef struct mr_sup_kept {
    struct mr_sup_kept *next;
    size_t len;
    char bytes[];
} mr_sup_kept;

typedef struct mr_sup {
    int sock, driver, chld, epoll;
    uint32_t flags;
    char **zygote_argv; /* NULL: no Python in this session */
    pid_t zygote;       /* -1: none */
    int zygote_sock;
    bool zygote_ready;
    uint32_t forks; /* requests without an answer */
    mr_kid **kids;
    size_t n_kids, cap_kids;
    mr_sup_kept *kept, **kept_end;
    bool wants_out, ending, broken; /* broken: it can not report any more */
    int64_t end_at;
    uint64_t oom_kills;
    char exe[4096];           /* this executable: a C worker is the same one */
    struct rlimit files;      /* as it was: for the children */
    const mr_policy_now *now; /* what the driver's policy does */
    bool late;                /* the driver was dead already */
} mr_sup;

void mr_sup_report(mr_sup *s, const mr_sup_msg *m, const char *bytes);
void mr_sup_flush(mr_sup *s);
int mr_sup_watch(mr_sup *s, int fd, uint64_t tag);

mr_kid *mr_kid_by_worker(mr_sup *s, uint32_t worker);
void mr_kid_spawn(mr_sup *s, const mr_sup_msg *m);
void mr_kid_signal(mr_kid *k, int sig);
/* SIGSTOP (order `number`, told by STOPPED when it stands still) and SIGCONT. */
void mr_kid_stop(mr_sup *s, mr_kid *k, int64_t number);
void mr_kid_continue(mr_kid *k);
void mr_kid_reap(mr_sup *s);
void mr_kid_output(mr_sup *s, uint64_t tag);
void mr_kid_zygote_start(mr_sup *s);
void mr_kid_zygote_talk(mr_sup *s);
/* Kills and reaps all descendants of this process, also those that made sessions of their own. */
void mr_kid_kill_all(void);
uint64_t mr_kid_oom_count(void);

#endif
