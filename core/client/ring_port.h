/* ring_port.h: a worker's port to its node, through its link block: opening it.  What it consists of: port_state.h. */
#ifndef MR_CLIENT_RING_PORT_H
#define MR_CLIENT_RING_PORT_H

#include "client/port_state.h"

typedef struct mr_ring_conf {
    uint64_t session, inline_max;
    mr_link_page *page; /* mapped; both unmapped by close */
    mr_link *link;
    uint32_t number, index;
    int event_fd;
    bool explains;
    const char *carrier; /* path of the store's .so, "" or NULL: none */
    mr_share share;
} mr_ring_conf;
mr_status mr_ring_port_open(const mr_ring_conf *conf, mr_ring_port **out, mr_err *err) MR_CHECK_RESULT;
/* Reads MINIRAY_ATTACH and MINIRAY_WORKER.  Errors: NOTFOUND (not a worker), PROTOCOL, IO, and those of open. */
mr_status mr_attach_port(mr_ring_port **out, mr_err *err) MR_CHECK_RESULT;

#endif
