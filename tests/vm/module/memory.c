// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/dsplink-memory: what a DSP sees of the machine, all its RAM.
 *
 * Unlike /dev/mem it works under CONFIG_STRICT_DEVMEM, and a page is mapped when it is touched, so that a window over
 * all RAM costs nothing. Offsets that are not RAM fail: a fault, or EFAULT.
 */
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

static vm_fault_t memory_fault(struct vm_fault* fault) {
    unsigned long pfn = fault->vma->vm_pgoff + ((fault->address - fault->vma->vm_start) >> PAGE_SHIFT);

    if (!pfn_is_map_memory(pfn)) return VM_FAULT_SIGBUS;
    return vmf_insert_pfn(fault->vma, fault->address, pfn);
}

static const struct vm_operations_struct memory_vm_ops = {.fault = memory_fault};

static int memory_mmap(struct file* file, struct vm_area_struct* vma) {
    if (!(vma->vm_flags & VM_SHARED)) return -EINVAL;
    vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
    vma->vm_ops = &memory_vm_ops;
    return 0;
}

/*
 * Page by page, through a page of our own: user copies straight from a page that the slab allocator owns would count as
 * an attack on it.
 */
static ssize_t memory_copy(char __user* to_user, const char __user* from_user, size_t count, loff_t* position) {
    void* page;
    size_t done = 0;
    ssize_t error = 0;

    if (*position < 0) return -EINVAL;
    page = (void*)__get_free_page(GFP_KERNEL);
    if (!page) return -ENOMEM;
    while (done < count) {
        phys_addr_t at = *position + done;
        size_t piece = min_t(size_t, count - done, PAGE_SIZE - offset_in_page(at));

        error = -EFAULT;
        if (!pfn_is_map_memory(PHYS_PFN(at))) break;
        if (to_user) {
            memcpy(page, phys_to_virt(at), piece);
            if (copy_to_user(to_user + done, page, piece)) break;
        } else {
            if (copy_from_user(page, from_user + done, piece)) break;
            memcpy(phys_to_virt(at), page, piece);
        }
        error = 0;
        done += piece;
    }
    free_page((unsigned long)page);
    *position += done;
    return done ? done : error;
}

static ssize_t memory_read(struct file* file, char __user* user, size_t count, loff_t* position) {
    return memory_copy(user, NULL, count, position);
}

static ssize_t memory_write(struct file* file, const char __user* user, size_t count, loff_t* position) {
    return memory_copy(NULL, user, count, position);
}

static const struct file_operations memory_operations = {
    .owner = THIS_MODULE,
    .read = memory_read,
    .write = memory_write,
    .mmap = memory_mmap,
    .llseek = default_llseek,
};

static struct miscdevice memory_device = {
    .minor = MISC_DYNAMIC_MINOR,
    .name = "dsplink-memory",
    .fops = &memory_operations,
    .mode = 0600,
};

int dsplink_memory_register(void) {
    return misc_register(&memory_device);
}

void dsplink_memory_unregister(void) {
    misc_deregister(&memory_device);
}
