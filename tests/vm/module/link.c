// SPDX-License-Identifier: GPL-2.0
/*
 * dsplink - stands in for the rpmsg transport of Qualcomm DSPs, so that the unmodified FastRPC driver runs in a guest
 * and a program plays the DSPs (dsplink.h says how).
 *
 * A "fastrpcd,dsplink" node of the device tree holds one "qcom,fastrpc" child per DSP. Each becomes an rpmsg device
 * with that node, which the driver binds to, and a character device.
 *
 * Lifetimes: a link is referenced by its open file, by its rpmsg device and by the platform device that made it, so
 * each may go first. A DSP that goes down stops talking before its rpmsg device is unregistered, as real firmware does:
 * the driver frees what an answer would reach as soon as its remove() has run.
 */
#include <linux/fs.h>
#include <linux/kfifo.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/poll.h>
#include <linux/rpmsg.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#include "dsplink.h"
#include "internal.h"

/*
 * The operations of a backend are private to drivers/rpmsg, whose header no package ships, and symbol versions do not
 * cover them. So they stand here again, for kernels where somebody compared them.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0) || LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#error "compare the two structures below with drivers/rpmsg/rpmsg_internal.h of this kernel, then widen this range"
#endif

struct rpmsg_device_ops {
    struct rpmsg_device* (*create_channel)(struct rpmsg_device* device, struct rpmsg_channel_info* info);
    int (*release_channel)(struct rpmsg_device* device, struct rpmsg_channel_info* info);
    struct rpmsg_endpoint* (*create_ept)(struct rpmsg_device* device, rpmsg_rx_cb_t callback, void* data,
                                         struct rpmsg_channel_info info);
    int (*announce_create)(struct rpmsg_device* device);
    int (*announce_destroy)(struct rpmsg_device* device);
};

struct rpmsg_endpoint_ops {
    void (*destroy_ept)(struct rpmsg_endpoint* endpoint);
    int (*send)(struct rpmsg_endpoint* endpoint, void* data, int length);
    int (*sendto)(struct rpmsg_endpoint* endpoint, void* data, int length, u32 to);
    int (*send_offchannel)(struct rpmsg_endpoint* endpoint, u32 from, u32 to, void* data, int length);
    int (*trysend)(struct rpmsg_endpoint* endpoint, void* data, int length);
    int (*trysendto)(struct rpmsg_endpoint* endpoint, void* data, int length, u32 to);
    int (*trysend_offchannel)(struct rpmsg_endpoint* endpoint, u32 from, u32 to, void* data, int length);
    __poll_t (*poll)(struct rpmsg_endpoint* endpoint, struct file* file, poll_table* table);
    int (*set_flow_control)(struct rpmsg_endpoint* endpoint, bool pause, u32 to);
    ssize_t (*get_mtu)(struct rpmsg_endpoint* endpoint);
};

#define CHANNEL_NAME "fastrpcglink-apps-dsp"
#define QUEUE 512 /* the driver has 255 calls at most under way */

struct message {
    u8 bytes[DSPLINK_MESSAGE_BYTES];
};

struct link {
    struct kref references;
    struct list_head node;
    struct device* parent; /* the platform device; NULL once that is gone */
    struct device_node* of_node;
    u32 index;
    struct miscdevice misc;

    struct mutex life; /* rpmsg and parent: who brings the DSP up and down */
    struct rpmsg_device* rpmsg;

    struct mutex delivery; /* endpoint: held while the driver's callback runs */
    struct rpmsg_endpoint* endpoint;

    spinlock_t lock; /* what follows */
    bool open;       /* somebody plays the DSP */
    bool up;
    DECLARE_KFIFO(queue, struct message, QUEUE);
    wait_queue_head_t changed;
};

struct link_device {
    struct rpmsg_device rpmsg;
    struct link* link;
};

static LIST_HEAD(links);

static void link_free(struct kref* references) {
    struct link* link = container_of(references, struct link, references);

    of_node_put(link->of_node);
    kfree(link->misc.name);
    kfree(link);
}

static void link_put(struct link* link) {
    kref_put(&link->references, link_free);
}

/* The rpmsg device. */

static void endpoint_free(struct kref* references) {
    kfree(container_of(references, struct rpmsg_endpoint, refcount));
}

static struct link* link_of(struct rpmsg_device* device) {
    return container_of(device, struct link_device, rpmsg)->link;
}

static void endpoint_destroy(struct rpmsg_endpoint* endpoint) {
    struct link* link = link_of(endpoint->rpdev);

    mutex_lock(&link->delivery);
    if (link->endpoint == endpoint) link->endpoint = NULL;
    mutex_unlock(&link->delivery);
    kref_put(&endpoint->refcount, endpoint_free);
}

/* Fails at once when nobody would answer: the driver's own calls would wait their full 10 s. */
static int endpoint_send(struct rpmsg_endpoint* endpoint, void* data, int length) {
    struct link* link = link_of(endpoint->rpdev);
    struct message message;
    unsigned long flags;
    int error = 0;

    if (length != sizeof(message)) return -EINVAL;
    memcpy(&message, data, sizeof(message));
    spin_lock_irqsave(&link->lock, flags);
    if (!link->open || !link->up)
        error = -ENOTCONN;
    else if (!kfifo_put(&link->queue, message))
        error = -ENOSPC;
    spin_unlock_irqrestore(&link->lock, flags);
    if (!error) wake_up_interruptible(&link->changed);
    return error;
}

static const struct rpmsg_endpoint_ops endpoint_operations = {
    .destroy_ept = endpoint_destroy,
    .send = endpoint_send,
    .trysend = endpoint_send,
};

static struct rpmsg_endpoint* endpoint_create(struct rpmsg_device* device, rpmsg_rx_cb_t callback, void* data,
                                              struct rpmsg_channel_info info) {
    struct link* link = link_of(device);
    struct rpmsg_endpoint* endpoint = kzalloc(sizeof(*endpoint), GFP_KERNEL);

    if (!endpoint) return NULL;
    kref_init(&endpoint->refcount);
    mutex_init(&endpoint->cb_lock);
    endpoint->rpdev = device;
    endpoint->cb = callback;
    endpoint->priv = data;
    endpoint->addr = info.src;
    endpoint->ops = &endpoint_operations;
    mutex_lock(&link->delivery);
    link->endpoint = endpoint;
    mutex_unlock(&link->delivery);
    return endpoint;
}

static const struct rpmsg_device_ops device_operations = {.create_ept = endpoint_create};

static void device_release(struct device* device) {
    struct link_device* made = container_of(device, struct link_device, rpmsg.dev);

    of_node_put(device->of_node);
    link_put(made->link);
    kfree(made);
}

/* Both with link->life held. */
static int link_up(struct link* link) {
    struct link_device* made;
    int error;

    if (link->rpmsg) return -EALREADY;
    if (!link->parent) return -ENODEV;
    made = kzalloc(sizeof(*made), GFP_KERNEL);
    if (!made) return -ENOMEM;
    kref_get(&link->references);
    made->link = link;
    strscpy(made->rpmsg.id.name, CHANNEL_NAME, RPMSG_NAME_SIZE);
    made->rpmsg.src = link->index; /* part of the device's name, which is nobody else's */
    made->rpmsg.dst = RPMSG_ADDR_ANY;
    made->rpmsg.ops = &device_operations;
    made->rpmsg.dev.parent = link->parent;
    made->rpmsg.dev.release = device_release;
    made->rpmsg.dev.of_node = of_node_get(link->of_node);
    spin_lock_irq(&link->lock);
    kfifo_reset(&link->queue);
    link->up = true;
    spin_unlock_irq(&link->lock);
    error = rpmsg_register_device(&made->rpmsg); /* puts the device when it fails */
    if (error) {
        spin_lock_irq(&link->lock);
        link->up = false;
        spin_unlock_irq(&link->lock);
        return error;
    }
    link->rpmsg = &made->rpmsg;
    return 0;
}

static int link_down(struct link* link) {
    if (!link->rpmsg) return -EALREADY;
    mutex_lock(&link->delivery);
    link->endpoint = NULL;
    mutex_unlock(&link->delivery);
    spin_lock_irq(&link->lock);
    link->up = false;
    kfifo_reset(&link->queue);
    spin_unlock_irq(&link->lock);
    wake_up_interruptible(&link->changed);
    device_unregister(&link->rpmsg->dev);
    link->rpmsg = NULL;
    return 0;
}

/* The character device. */

static int link_open(struct inode* inode, struct file* file) {
    struct link* link = container_of(file->private_data, struct link, misc);
    bool busy;

    spin_lock_irq(&link->lock);
    busy = link->open;
    link->open = true;
    spin_unlock_irq(&link->lock);
    if (busy) return -EBUSY;
    kref_get(&link->references); /* misc_open() keeps misc_deregister() out meanwhile */
    file->private_data = link;
    return nonseekable_open(inode, file);
}

static int link_release(struct inode* inode, struct file* file) {
    struct link* link = file->private_data;

    spin_lock_irq(&link->lock);
    link->open = false;
    kfifo_reset(&link->queue);
    spin_unlock_irq(&link->lock);
    link_put(link);
    return 0;
}

/* True when a read has an answer, if only an error. */
static bool link_readable(struct link* link) {
    return !kfifo_is_empty(&link->queue) || !READ_ONCE(link->up);
}

static ssize_t link_read(struct file* file, char __user* user, size_t count, loff_t* position) {
    struct link* link = file->private_data;
    struct message message;

    if (count < sizeof(message)) return -EINVAL;
    for (;;) {
        bool up;
        unsigned int got;

        spin_lock_irq(&link->lock);
        up = link->up;
        got = kfifo_get(&link->queue, &message);
        spin_unlock_irq(&link->lock);
        if (got) return copy_to_user(user, &message, sizeof(message)) ? -EFAULT : sizeof(message);
        if (!up) return -EPIPE;
        if (file->f_flags & O_NONBLOCK) return -EAGAIN;
        if (wait_event_interruptible(link->changed, link_readable(link))) return -ERESTARTSYS;
    }
}

static ssize_t link_write(struct file* file, const char __user* user, size_t count, loff_t* position) {
    struct link* link = file->private_data;
    u8 answer[DSPLINK_ANSWER_MAX];
    int error = -EPIPE;

    if (count < DSPLINK_ANSWER_MIN || count > sizeof(answer)) return -EINVAL;
    if (copy_from_user(answer, user, count)) return -EFAULT;
    mutex_lock(&link->delivery);
    if (link->endpoint)
        error = link->endpoint->cb(link->endpoint->rpdev, answer, count, link->endpoint->priv, RPMSG_ADDR_ANY);
    mutex_unlock(&link->delivery);
    return error ? error : count;
}

static __poll_t link_poll(struct file* file, poll_table* table) {
    struct link* link = file->private_data;
    __poll_t events = EPOLLOUT | EPOLLWRNORM;

    poll_wait(file, &link->changed, table);
    if (!kfifo_is_empty(&link->queue)) events |= EPOLLIN | EPOLLRDNORM;
    return events;
}

static long link_ioctl(struct file* file, unsigned int command, unsigned long argument) {
    struct link* link = file->private_data;
    long error = -ENOTTY;

    mutex_lock(&link->life);
    if (command == DSPLINK_CRASH)
        error = link_down(link);
    else if (command == DSPLINK_REVIVE)
        error = link_up(link);
    mutex_unlock(&link->life);
    return error;
}

static const struct file_operations link_operations = {
    .owner = THIS_MODULE,
    .open = link_open,
    .release = link_release,
    .read = link_read,
    .write = link_write,
    .poll = link_poll,
    .unlocked_ioctl = link_ioctl,
};

/* The platform device. */

static int link_make(struct device* parent, struct device_node* of_node, u32 index) {
    struct link* link;
    const char* label;
    int error = of_property_read_string(of_node, "label", &label);

    if (error) return error;
    link = kzalloc(sizeof(*link), GFP_KERNEL);
    if (!link) return -ENOMEM;
    kref_init(&link->references);
    mutex_init(&link->life);
    mutex_init(&link->delivery);
    spin_lock_init(&link->lock);
    init_waitqueue_head(&link->changed);
    INIT_KFIFO(link->queue);
    link->parent = parent;
    link->of_node = of_node_get(of_node);
    link->index = index;
    link->misc.minor = MISC_DYNAMIC_MINOR;
    link->misc.fops = &link_operations;
    link->misc.mode = 0600;
    link->misc.name = kasprintf(GFP_KERNEL, "dsplink-%s", label);
    error = link->misc.name ? misc_register(&link->misc) : -ENOMEM;
    if (error) {
        link_put(link);
        return error;
    }
    list_add_tail(&link->node, &links);
    mutex_lock(&link->life);
    error = link_up(link);
    mutex_unlock(&link->life);
    return error;
}

static void dsplink_remove(struct platform_device* device) {
    struct link *link, *next;

    list_for_each_entry_safe(link, next, &links, node) {
        list_del(&link->node);
        misc_deregister(&link->misc);
        mutex_lock(&link->life);
        link_down(link);
        link->parent = NULL;
        mutex_unlock(&link->life);
        link_put(link);
    }
}

static int dsplink_probe(struct platform_device* device) {
    struct device_node* child;
    u32 index = 0;

    for_each_available_child_of_node(device->dev.of_node, child) {
        int error;

        if (!of_device_is_compatible(child, "qcom,fastrpc")) continue;
        error = link_make(&device->dev, child, index++);
        if (!error) continue;
        of_node_put(child);
        dsplink_remove(device);
        return dev_err_probe(&device->dev, error, "link %u\n", index - 1);
    }
    return 0;
}

static const struct of_device_id dsplink_match[] = {{.compatible = "fastrpcd,dsplink"}, {}};
MODULE_DEVICE_TABLE(of, dsplink_match);

static struct platform_driver dsplink_driver = {
    .probe = dsplink_probe,
    .remove = dsplink_remove,
    .driver = {.name = "dsplink", .of_match_table = dsplink_match},
};

static int __init dsplink_init(void) {
    int error = dsplink_memory_register();

    if (error) return error;
    error = platform_driver_register(&dsplink_driver);
    if (error) dsplink_memory_unregister();
    return error;
}

static void __exit dsplink_exit(void) {
    platform_driver_unregister(&dsplink_driver);
    dsplink_memory_unregister();
}

module_init(dsplink_init);
module_exit(dsplink_exit);
MODULE_DESCRIPTION("FastRPC's rpmsg channels, answered by a program");
MODULE_LICENSE("GPL");
