/* cancel.h: the cancel signal, and who it is for. */
#ifndef MR_CLIENT_CANCEL_H
#define MR_CLIENT_CANCEL_H

#include "client/port_state.h"

/* Makes this process's main thread (the caller) the target of the cancel signal. */
mr_status mr_cancel_arm(mr_ring_port *p, mr_err *err) MR_CHECK_RESULT;
void mr_cancel_disarm(mr_ring_port *p);
/* The main thread's own look: did the signal come since the last look? */
mr_status mr_cancel_struck(mr_ring_port *p);
/* The look of a thread whose call no signal strikes: was it cancelled?  Told once.  in_lock held. */
mr_status mr_cancel_of_thread(const mr_ring_port *p);
/* Is the caller in no call of the main thread, or was that call's cancel signal here? */
bool mr_cancel_heard(const mr_ring_port *p);
void mr_cancel_hook(void (*hook)(void));
bool mr_cancel_is_main(const mr_ring_port *p);

#endif
