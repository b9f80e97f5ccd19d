/* helper_process.h: a session with C workers for the tests of the process engine. */
#ifndef MR_TESTS_HELPER_PROCESS_H
#define MR_TESTS_HELPER_PROCESS_H

#include <check.h>
#include <miniray/miniray.h>

#define SECONDS(n) ((int64_t)(n)*1000000000)

/* `extra`: further settings, ended by one whose section is NULL; may be NULL. */
mr_session *process_open(const char *store, const mr_override *extra);
uint32_t process_func(mr_session *s, const char *name);
uint32_t process_define(mr_session *s, mr_func_def *def, const char *name);
/* One task with one number and one dependency (0: none). */
mr_id process_submit(mr_session *s, uint32_t func, int64_t x, mr_id dep);
/* Its value, a number; gives both references back. */
int64_t process_number(mr_session *s, mr_id id);
/* The error that the object holds, as text; the view is given back by the caller. */
mr_value process_value(mr_session *s, mr_id id);
/* Processes of the session below process `root` (all descendants). */
int process_children(int root);
int process_fds(void);
/* The first child of process `parent`, 0: none.  Of a driver that has no other, its supervisor. */
int process_child_of(int parent);
/* Waits until no process `pid` runs; false after 5 s. */
int process_gone(int pid);

#endif
