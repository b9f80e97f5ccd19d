/* helper_node.h: a node played by hand, for tests of the worker side: the test maps the links, forks a process that
 * attaches to them, writes orders and reads what comes back. */
#ifndef HELPER_NODE_H
#define HELPER_NODE_H

#include <sys/types.h>

#include <miniray/miniray.h>

#include "client/link.h"

typedef struct fake_node {
    mr_links *links;
    mr_link *link;
    mr_ring_end in, out; /* as the node has them: it produces `in` */
    int links_fd, event_fd;
    pid_t child;
    uint64_t seq;
    _Alignas(8) char taken[MR_RECORD_MAX]; /* the record that node_take gave last */
} fake_node;

void node_open(fake_node *n);
/* Runs body(session) in an attached child, which exits with its result; takes the child's WORKER_UP. */
void node_start(fake_node *n, int (*body)(mr_session *s));
/* The same, and waits for nothing. */
void node_fork(fake_node *n, int (*body)(mr_session *s));
/* The exit status; fails the test if a signal ended it. */
int node_join(fake_node *n);
void node_close(fake_node *n);

/* Orders. */
void node_order(fake_node *n, void *record); /* size and kind are set; published, and the bell rung */
void node_func(fake_node *n, uint32_t number, int kind, const char *entry, uint32_t n_returns);
/* A streaming function whose producer stands still at `window` unread items. */
void node_stream(fake_node *n, uint32_t number, const char *entry, int32_t window);
void node_allow(fake_node *n, mr_id task, uint64_t items);
/* A task with inline arguments; returns its claim number. */
uint64_t node_dispatch(fake_node *n, mr_id task, uint32_t func, uint32_t n_returns, const char *args, size_t len);
void node_plain(fake_node *n, uint32_t kind, mr_id task);
void node_value(fake_node *n, mr_id id, const char *bytes, size_t len);
void node_reply(fake_node *n, uint32_t kind, uint32_t token, int32_t status, uint64_t value, const void *bytes,
                size_t len);

/* The next record, waited for; fails the test unless it is of `kind`. */
const void *node_take(fake_node *n, uint32_t kind);
const mr_record *node_take_any(fake_node *n);
/* Nothing has come (looks once). */
bool node_quiet(fake_node *n);
bool node_revoke(fake_node *n, uint64_t seq);
bool node_cancel(fake_node *n, uint64_t seq); /* slot, then the signal */

#endif
