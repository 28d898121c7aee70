/* A program that behaves like adsprpcd, cdsprpcd and sdsprpcd at the system-call boundary (client-traces 5).
 *
 *   adsprpcd DSP [PD [DOMAIN]]    PD: rootpd (also with nothing), sensorspd, audiopd
 *
 * It starts over every 100 ms until a signal ends it, unless the device never comes. For tests: TRACES_SEARCH is the
 * directory of DSP files, TRACES_WAIT_MS the time to wait for a device, TRACES_ROUNDS how often to start at most.
 */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number(const char* name, int otherwise) {
    const char* text = getenv(name);
    return text != NULL ? atoi(text) : otherwise;
}

static enum pd_kind kind_of(int argc, char** argv) {
    if (argc < 3) return pd_root;
    if (strcmp(argv[2], "sensorspd") == 0) return pd_sensors;
    if (strcmp(argv[2], "audiopd") == 0) return pd_audio;
    return argc > 3 ? pd_root : pd_guest_shared; /* one argument: the same PD without the log */
}

static int serve_once(const char* dsp, enum pd_kind kind, int with_domain) {
    struct session session;
    const char* search = getenv("TRACES_SEARCH");
    session_load(&session, dsp, search != NULL ? search : "/usr/lib/dsp");
    session.kind = kind;
    int error = session_wait_for_node(&session, number("TRACES_WAIT_MS", 10000));
    if (error == 0) {
        error = session_start(&session);
        if (error != 0) {
            say("cannot start: %s", strerror(error));
        } else {
            session_register(&session, with_domain);
            struct pollfd end = {session.listener_end, POLLIN, 0};
            while (poll(&end, 1, -1) < 0 && errno == EINTR) {
            }
            session_stop(&session);
        }
    }
    session_unload(&session);
    return error;
}

int main(int argc, char** argv) {
    const char* dsp = argc > 3 ? argv[3] : argc > 1 ? argv[1] : "adsp";
    for (int rounds = number("TRACES_ROUNDS", -1); rounds != 0; rounds -= rounds > 0) {
        if (serve_once(dsp, kind_of(argc, argv), argc > 3) == node_wait_failed) return node_wait_failed;
        usleep(100000);
    }
    return 0;
}
