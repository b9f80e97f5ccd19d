/* port.h: one client interface, two ways to the node.
 *
 * api/ builds each record once in its final form and gives it to a port.  Embedded (the driver; engine/process/port.c):
 * the record goes to control under the node's lock.  Elsewhere (a worker; client/ring_port.c): it is published in the
 * worker's ring.  Nothing above a port knows which.
 * Thread: every op may be called by any thread at once.  No op runs user code.
 */
#ifndef MR_CLIENT_PORT_H
#define MR_CLIENT_PORT_H

#include <stdatomic.h>

#include <miniray/miniray.h>

#include "control/control.h"
#include "control/record.h"

typedef struct mr_answer {
    mr_status status;
    uint64_t value, value2;
    char *text; /* malloc'ed or NULL; the caller frees: JSON of `state`, or why a request failed */
} mr_answer;

typedef struct mr_port mr_port;
typedef struct mr_port_ops {
    /* `n` consecutive ids that nobody else has.  n <= 65536.  Errors: CLOSED. */
    mr_status (*ids)(mr_port *p, uint32_t n, mr_id *first);
    /* Tells the node; no answer is waited for.  The record is copied (or stepped) before it returns.  In a worker, a
     * SUBMIT that control refuses seals its results with the fault; embedded, the status says it and `err` why. */
    mr_status (*send)(mr_port *p, mr_record *r, mr_err *err);
    /* Asks the node and waits for the REPLY (the port sets r->token). */
    mr_status (*call)(mr_port *p, mr_record *r, mr_answer *out, mr_err *err);
    /* Waits until `need` of n ids are settled (flags MR_WAIT_EARLY).  deadline: ns of CLOCK_MONOTONIC, -1 for ever,
     * 0 only looks.  settled[i] (may be NULL) tells which.  OK, TIMEOUT, INTERRUPTED, CLOSED, DEADLOCK, SESSION.
     * `values`: the caller will ask `value` for all of them next (a worker's node sends them along). */
    mr_status (*wait)(mr_port *p, const mr_id *ids, size_t n, size_t need, uint32_t flags, int64_t deadline,
                      bool values, bool *settled, mr_err *err);
    /* The values of settled objects that this process holds; bytes stay until `unview` (large ones), or while they are
     * held; `looked` says which they are.  out[i].status: OK; TIMEOUT: not settled yet (or not fetched); BUSY: there,
     * but not in memory: wait again; LOST, FREED, SESSION. */
    void (*values)(mr_port *p, const mr_id *ids, size_t n, mr_value *out);
    /* Writable memory for the value of object `id` (made by `ids`; sealed by a PUT, SEALED or FINISHED record with
     * MR_VALUE_STORED); `node` is where.  May wait for room.  Errors: FULL, TOOBIG, NOMEM, CLOSED. */
    mr_status (*create)(mr_port *p, mr_id id, uint64_t len, void **data, uint32_t *node, mr_err *err);
    void (*abort)(mr_port *p, mr_id id);
    /* The process gave up object `id` entirely: forget a cached value (the REFS record was sent). */
    void (*forget)(mr_port *p, mr_id id);
    /* The process has ended `n` looks (`value`) at the bytes of object `id`: they may leave memory when all have. */
    void (*unview)(mr_port *p, mr_id id, uint32_t n);
    /* See mr_on_ready. */
    mr_status (*on_ready)(mr_port *p, mr_id id, void (*done)(void *arg, mr_id id), void *arg);
    /* See mr_state. */
    mr_status (*state)(mr_port *p, const char *what, char **json, mr_err *err);
    /* See mr_note.  `n` ids from `first` on. */
    mr_status (*note)(mr_port *p, mr_id first, uint32_t n, mr_note_kind kind, const char *text);
    const mr_define *(*func)(mr_port *p, uint32_t func); /* NULL: ask (worker) or unknown */
    void (*batch)(mr_port *p, bool begin);
    /* See mr_node_add, mr_node_remove.  NULL in a worker. */
    mr_status (*node_add)(mr_port *p, const mr_node_def *def, uint32_t *out, mr_err *err);
    mr_status (*node_remove)(mr_port *p, uint32_t node, mr_err *err);
    mr_status (*policy)(mr_port *p, const char *policy, mr_err *err); /* see mr_set_policy.  NULL in a worker. */
    /* See mr_save, mr_load, mr_unsave.  named_look: bytes until named_end without `remove`.  NULL in a worker. */
    mr_status (*named_save)(mr_port *p, const char *name, const mr_value *v, mr_err *err);
    mr_status (*named_look)(mr_port *p, const char *name, mr_value *out, mr_err *err);
    mr_status (*named_end)(mr_port *p, const char *name, bool remove, mr_err *err);
    /* From now on every op returns CLOSED, threads blocked in one too.  Frees nothing; may be called again. */
    void (*stop)(mr_port *p);
    /* Ends it; frees p.  Other threads must be out (they are woken with CLOSED; the port waits for them). */
    void (*close)(mr_port *p);
} mr_port_ops;

struct mr_port {
    const mr_port_ops *ops;
    uint64_t session;
    uint64_t inline_max;           /* larger values go to the store */
    const _Atomic uint32_t *tight; /* not 0: all that have bytes do; NULL in the driver, whose records are refused */
    bool worker;
    bool explains; /* [sched] explain */
};

/* Must room for a value of `len` bytes be asked for (`create`) before its record is sent? */
static inline bool mr_port_stores(const mr_port *p, uint64_t len)
{
    return len > p->inline_max || (len && p->tight && atomic_load_explicit(p->tight, memory_order_relaxed));
}

#endif
