/* helper_node.c: a node played by hand, for tests of the worker's side: it owns the shared links and one forked worker.
 */
#define _GNU_SOURCE /* memfd_create */
#include "helper_node.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKER = 7, LINK = 70 };

void node_open(fake_node *n)
{
    memset(n, 0, sizeof(*n));
    n->links_fd = memfd_create("links", 0);
    ck_assert_int_eq(ftruncate(n->links_fd, sizeof(mr_links)), 0);
    n->links = mmap(NULL, sizeof(mr_links), PROT_READ | PROT_WRITE, MAP_SHARED, n->links_fd, 0);
    ck_assert_ptr_ne(n->links, MAP_FAILED);
    n->event_fd = eventfd(0, EFD_NONBLOCK);
    n->links->page.magic = MR_LINK_MAGIC;
    n->links->page.session = 0xABCDEF;
    n->link = &n->links->link[LINK];
    n->link->magic = MR_LINK_MAGIC;
    n->link->worker = WORKER;
    n->link->node = 0;
    n->link->id_first = 1000000;
    n->link->id_count = 1 << 20;
    mr_ring_end_init(&n->in, &n->link->in, n->link->in_data, MR_RING_BYTES, true);
    mr_ring_end_init(&n->out, &n->link->out, n->link->out_data, MR_RING_BYTES, false);
}

void node_fork(fake_node *n, int (*body)(mr_session *s))
{
    n->child = fork();
    ck_assert_int_ge(n->child, 0);
    if (n->child)
        return;
    char text[200];
    snprintf(text, sizeof(text), "%d:%llx:%d:%d:-1:-1:0:4096:0:", MR_LINK_VERSION, 0xABCDEFULL, n->links_fd,
             n->event_fd);
    setenv("MINIRAY_ATTACH", text, 1);
    snprintf(text, sizeof(text), "%d:%d:0", WORKER, LINK);
    setenv("MINIRAY_WORKER", text, 1);
    mr_session *s;
    mr_err err;
    if (mr_attach(&s, &err)) {
        fprintf(stderr, "attach: %s\n", err.text);
        _exit(99);
    }
    int rc = body(s);
    mr_close(s);
    _exit(rc);
}

void node_start(fake_node *n, int (*body)(mr_session *s))
{
    node_fork(n, body);
    const mr_ev_worker *up = node_take(n, MR_EV_WORKER_UP);
    ck_assert_int_eq(up->pid, n->child);
    ck_assert_uint_eq(up->worker, WORKER);
}

int node_join(fake_node *n)
{
    int status;
    ck_assert_int_eq(waitpid(n->child, &status, 0), n->child);
    n->child = 0;
    if (WIFSIGNALED(status))
        ck_abort_msg("the worker was killed by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

void node_close(fake_node *n)
{
    if (n->child > 0) {
        kill(n->child, SIGKILL);
        waitpid(n->child, NULL, 0);
    }
    munmap(n->links, sizeof(mr_links));
    close(n->links_fd);
    close(n->event_fd);
}

void node_order(fake_node *n, void *record)
{
    mr_record *r = record, *to;
    r->version = MR_RECORD_VERSION;
    while (!(to = mr_ring_reserve(&n->in, r->size)))
        usleep(100);
    memcpy(to, r, r->size);
    mr_ring_publish(&n->in, r->size);
    mr_bell_ring_always(&n->link->bell, -1);
}

static void send_func(fake_node *n, uint32_t number, int kind, const char *entry, uint32_t n_returns, int32_t window)
{
    struct {
        mr_record h;
        mr_define def;
    } r;
    memset(&r, 0, sizeof(r));
    r.h = (mr_record){.size = sizeof(r), .kind = MR_ORD_FUNC, .n_bytes = sizeof(r.def), .token = number};
    r.def.h.size = sizeof(r.def);
    r.def.kind = (uint8_t)kind;
    r.def.n_returns = (int32_t)n_returns;
    r.def.max_concurrency = 1;
    r.def.max_pending = -1;
    r.def.flags = window ? MR_FUNC_STREAMING : 0;
    r.def.window = window;
    strcpy(r.def.name, entry);
    strcpy(r.def.entry, entry);
    node_order(n, &r);
}

void node_func(fake_node *n, uint32_t number, int kind, const char *entry, uint32_t n_returns)
{
    send_func(n, number, kind, entry, n_returns, 0);
}

void node_stream(fake_node *n, uint32_t number, const char *entry, int32_t window)
{
    send_func(n, number, MR_FUNC_TASK, entry, 1, window);
}

void node_allow(fake_node *n, mr_id task, uint64_t items)
{
    mr_ord_resume r = {.h = {.size = sizeof(r), .kind = MR_ORD_RESUME}, .task = task, .allowed = items};
    node_order(n, &r);
}

uint64_t node_dispatch(fake_node *n, mr_id task, uint32_t func, uint32_t n_returns, const char *args, size_t len)
{
    struct {
        mr_ord_dispatch d;
        char args[512];
    } r;
    memset(&r, 0, sizeof(r));
    uint64_t seq = ++n->seq;
    r.d.h.size = (uint32_t)mr_record_total(sizeof(r.d), 0, (uint32_t)len);
    r.d.h.kind = MR_ORD_DISPATCH;
    r.d.h.n_bytes = (uint32_t)len;
    r.d.task = task;
    r.d.seq = seq;
    r.d.attempt = 1;
    r.d.func = func;
    r.d.n_returns = n_returns;
    r.d.args_at = sizeof(r.d);
    r.d.args_len = (uint32_t)len;
    memcpy(r.args, args, len);
    atomic_store(&n->link->claims[seq % MR_CLAIMS], seq << 2 | MR_CLAIM_QUEUED);
    node_order(n, &r);
    return seq;
}

void node_plain(fake_node *n, uint32_t kind, mr_id task)
{
    mr_ev_task r = {.h = {.size = sizeof(r), .kind = (uint16_t)kind}, .task = task};
    node_order(n, &r);
}

void node_value(fake_node *n, mr_id id, const char *bytes, size_t len)
{
    struct {
        mr_ord_value v;
        char bytes[512];
    } r;
    memset(&r, 0, sizeof(r));
    r.v.h.size = (uint32_t)mr_record_total(sizeof(r.v), 0, (uint32_t)len);
    r.v.h.kind = MR_ORD_VALUE;
    r.v.h.n_bytes = (uint32_t)len;
    r.v.value = (mr_dep){.id = id, .at = sizeof(r.v), .len = len};
    memcpy(r.bytes, bytes, len);
    node_order(n, &r);
}

void node_reply(fake_node *n, uint32_t kind, uint32_t token, int32_t status, uint64_t value, const void *bytes,
                size_t len)
{
    struct {
        mr_ord_reply r;
        char bytes[512];
    } r;
    memset(&r, 0, sizeof(r));
    r.r.h.size = (uint32_t)mr_record_total(sizeof(r.r), 0, (uint32_t)len);
    r.r.h.kind = (uint16_t)kind;
    r.r.h.n_bytes = (uint32_t)len;
    r.r.h.token = token;
    r.r.status = status;
    r.r.value = value;
    if (len)
        memcpy(r.bytes, bytes, len);
    node_order(n, &r);
}

static bool taken(fake_node *n)
{
    const mr_record *r;
    ck_assert_int_eq(mr_ring_peek(&n->out, &r), MR_OK);
    if (!r)
        return false;
    ck_assert_uint_le(r->size, sizeof(n->taken));
    memcpy(n->taken, r, r->size);
    mr_ring_take(&n->out, r);
    mr_bell_ring_always(&n->link->space, -1);
    return true;
}

const mr_record *node_take_any(fake_node *n)
{
    mr_bell *b = &n->links->page.bell;
    while (!taken(n)) {
        uint32_t armed = mr_bell_arm(b, MR_BELL_FUTEX);
        if (!mr_ring_ready(&n->out))
            (void)mr_bell_sleep(b, armed, -1);
        mr_bell_awake(b);
    }
    return (const void *)n->taken;
}

const void *node_take(fake_node *n, uint32_t kind)
{
    const mr_record *r = node_take_any(n);
    if (r->kind != kind)
        ck_abort_msg("a record of kind %u came, not %u", r->kind, kind);
    return r;
}

bool node_quiet(fake_node *n)
{
    return !mr_ring_ready(&n->out);
}

bool node_revoke(fake_node *n, uint64_t seq)
{
    uint64_t queued = seq << 2 | MR_CLAIM_QUEUED;
    return atomic_compare_exchange_strong(&n->link->claims[seq % MR_CLAIMS], &queued, seq << 2 | MR_CLAIM_REVOKED);
}

bool node_cancel(fake_node *n, uint64_t seq)
{
    uint64_t running = seq << 2 | MR_SLOT_RUNNING;
    if (!atomic_compare_exchange_strong(&n->link->slot, &running, seq << 2 | MR_SLOT_CANCEL))
        return false;
    kill(n->child, MR_CANCEL_SIGNAL);
    return true;
}
