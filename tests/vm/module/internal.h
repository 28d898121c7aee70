/* SPDX-License-Identifier: GPL-2.0 */
/* Between the two halves of dsplink. */
#ifndef FASTRPCD_TESTS_VM_INTERNAL_H
#define FASTRPCD_TESTS_VM_INTERNAL_H

int dsplink_memory_register(void);
void dsplink_memory_unregister(void);

#endif
