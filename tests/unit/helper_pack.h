/* helper_pack.h: the policies of the pack, as files. */
#ifndef MR_TESTS_HELPER_PACK_H
#define MR_TESTS_HELPER_PACK_H

/* The paths of the policies in config/policies, in order.  Returns how many there are, at most `most`. */
int helper_pack_files(char (*files)[512], int most);

#endif
