/* zygote.h: what the supervisor and the zygote of an interpreter (Python) say to each other.
 *
 * The zygote is a process that has loaded the interpreter and nothing more, and forks a worker when it is asked to.  It
 * must have one thread at each fork.  The supervisor starts it with the command that mr_open_args.zygote gave, stdin on
 * /dev/null, and in its environment
 *     MINIRAY_ZYGOTE_FD   number of one end of a SOCK_SEQPACKET pair; messages below, one per packet
 *     MINIRAY_SUPERVISOR  pid of the supervisor
 *     MINIRAY_ATTACH, ... as client/link.h says
 *     PYTHONHASHSEED      the same in every zygote of a session, unless the user set it
 * PR_SET_PDEATHSIG (SIGKILL) is set already; it survives exec.
 *
 * Duties of the zygote
 *   1. when it can fork: send READY (pid: its own).  Requests may be waiting before that.
 *   2. on FORK: fork; in the child: PR_SET_PDEATHSIG SIGKILL and then check that getppid() is still the zygote (else
 *      exit), send FORKED (worker, pid) itself, close MINIRAY_ZYGOTE_FD and every other thing of the zygote's, setsid,
 *      dup2 the two descriptors that came with the request to 1 and 2, set MINIRAY_WORKER = "worker:link:node" in the
 *      environment (so that C getenv sees it), reset signal handlers, reseed, attach.  A child that did not tell of
 *      itself never attaches: so a request whose zygote died can be given to the next one, with the same link.
 *      In the parent: close both descriptors; send FAILED (worker, code: errno) if fork failed.
 *   3. on SIGCHLD: waitid(P_ALL, WEXITED | WSTOPPED | WCONTINUED | WNOHANG) until nothing is left, and send CHANGED for
 *      each: pid, worker, code: si_code (CLD_EXITED 1, CLD_KILLED 2, CLD_DUMPED 3, CLD_STOPPED 5, CLD_CONTINUED 6),
 *      status: si_status.  FORKED precedes CHANGED of the same worker, unless it ended before it could tell.
 *   4. end of file on the socket: exit.
 * Signals to workers are not its business: the supervisor sends them itself, through a pidfd.
 *
 * Every message, both ways, is 32 bytes, little endian; Python: struct "<IIIIiiii".
 *
 *     offset  0  u32  kind     mr_zygote_kind
 *             4  u32  worker   number
 *             8  u32  link
 *            12  u32  node
 *            16  i32  pid
 *            20  i32  code
 *            24  i32  status
 *            28  i32  0
 *
 * A FORK request carries two descriptors as SCM_RIGHTS: the worker's stdout and stderr, in that order.
 */
#ifndef MR_ENGINE_PROCESS_ZYGOTE_H
#define MR_ENGINE_PROCESS_ZYGOTE_H

#include <stdint.h>

typedef enum mr_zygote_kind {
    MR_ZYGOTE_FORK = 1,    /* supervisor -> zygote: worker, link, node; two descriptors */
    MR_ZYGOTE_READY = 64,  /* zygote -> supervisor: pid */
    MR_ZYGOTE_FORKED = 65, /* worker, pid */
    MR_ZYGOTE_FAILED = 66, /* worker, code = errno */
    MR_ZYGOTE_CHANGED = 67 /* worker, pid, code = si_code, status = si_status */
} mr_zygote_kind;

typedef struct mr_zygote_msg {
    uint32_t kind, worker, link, node;
    int32_t pid, code, status, zero;
} mr_zygote_msg;

#endif
