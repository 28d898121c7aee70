/* What hexagonrpcd -p starts: a client on a device that it never opened itself (HEXAGONRPC_FD).
 *
 * It opens the module that TRACES_CHILD_URI names, and adds numbers with it; without one it opens a built-in module.
 */
#include "reverse.h"
#include "uapi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int main(void) {
    const char* number = getenv("HEXAGONRPC_FD");
    const char* uri = getenv("TRACES_CHILD_URI");
    if (number == NULL) return 1;
    const int device = atoi(number);
    const char* name = uri != NULL ? uri : "adsp_default_listener";
    uint32_t in[2] = {(uint32_t)strlen(name) + 1, 256};
    uint32_t out[2] = {0, 0};
    char error[256] = "";
    struct invoke_arg open_arguments[4] = {{(uintptr_t)in, sizeof in, -1, 0},
                                           {(uintptr_t)name, in[0], -1, 0},
                                           {(uintptr_t)out, sizeof out, -1, 0},
                                           {(uintptr_t)error, sizeof error, -1, 0}};
    struct invoke request = {0, 0x00020200, (uintptr_t)open_arguments};
    /* Its parent may not serve files yet: the DSP waits for it. */
    const int opened = ioctl(device, INVOKE, &request);
    say("child: open %#x, dlerr %#x, errno %d %s", (unsigned)opened, out[1], opened == -1 ? errno : 0, error);
    if (opened != 0 || out[1] != 0) return 1;
    if (uri != NULL) {
        int32_t count = 10, values[10];
        int64_t sum = 0;
        for (int i = 0; i < count; ++i) values[i] = i;
        struct invoke_arg arguments[3] = {{(uintptr_t)&count, sizeof count, -1, 0},
                                          {(uintptr_t)values, sizeof values, -1, 0},
                                          {(uintptr_t)&sum, sizeof sum, -1, 0}};
        request = (struct invoke){out[0], 0x02020100, (uintptr_t)arguments};
        const int result = ioctl(device, INVOKE, &request);
        say("child: result %#x, sum %lld", (unsigned)result, (long long)sum);
    }
    say("child: done");
    return 0;
}
