/* fuzz_config.c: arbitrary bytes as an INI file.  It is read or refused with a text that names the file. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/miniray-fuzz-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        abort();
    ssize_t n = write(fd, data, size);
    close(fd);
    mr_config *c = NULL;
    mr_err err = {.status = MR_OK};
    if (n == (ssize_t)size && !mr_config_new(&c)) {
        if (mr_config_read(c, path, &err) && !strstr(err.text, path))
            abort();
        mr_config_free(c);
    }
    unlink(path);
    return 0;
}
