/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the module dsplink and the program that plays the DSPs say to each other.
 *
 * /dev/dsplink-<domain>: the rpmsg channel of one DSP, for one program at a time.
 *   read     one message of the driver (struct fastrpc_msg, 40 bytes); EPIPE while the DSP is down
 *   write    one message to the driver, 8..64 bytes whatever they are; the result is the driver's own (KERNEL 1.11.4),
 *            EPIPE while the DSP is down
 *   poll     POLLIN: a message waits
 * /dev/dsplink-memory: the RAM of the guest; offsets are physical addresses, for mmap, pread and pwrite.
 */
#ifndef FASTRPCD_TESTS_VM_DSPLINK_H
#define FASTRPCD_TESTS_VM_DSPLINK_H

#include <linux/ioctl.h>

#define DSPLINK_MESSAGE_BYTES 40
#define DSPLINK_ANSWER_MIN 8
#define DSPLINK_ANSWER_MAX 64

/* The DSP is down: the driver loses its rpmsg device, queued messages are gone. EALREADY when it is. */
#define DSPLINK_CRASH _IO('D', 1)
/* It is back. EALREADY when it never went. */
#define DSPLINK_REVIVE _IO('D', 2)

#endif
