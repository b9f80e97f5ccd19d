/* run_suite.h: the end of every main of the C tests. */
#ifndef MR_TESTS_RUN_SUITE_H
#define MR_TESTS_RUN_SUITE_H

#include <check.h>

/* Runs `s` (and frees it), each test in a process of its own unless CK_FORK says no.  0: all passed. */
static inline int run_suite(Suite *s)
{
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}

#endif
