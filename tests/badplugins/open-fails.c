/* Loads, but no instance of it can be opened. */
#include "bad.h"

static mr_status open_fails(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err)
{
    static const char text[] = "open-fails: /dev/tape0 is not there; insert the tape";
    (void)self, (void)h, (void)conf;
    for (size_t i = 0; i < sizeof(text); i++)
        err->text[i] = text[i];
    return err->status = MR_E_IO;
}

static const mr_store_ops ops = {.open = open_fails,
                                 .close = bad_close,
                                 .create = bad_create,
                                 .seal = bad_id,
                                 .abort = bad_id,
                                 .get = bad_get,
                                 .release = bad_id,
                                 .remove = bad_id};
MR_PLUGIN(MR_KIND_STORE, "open-fails", "a plugin that is wrong", ops, NULL, 0)
