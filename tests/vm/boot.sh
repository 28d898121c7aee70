#!/usr/bin/env bash
# Boots the guest; its console is our stdout. Ends when the guest powers off, panics, or `seconds` passed.
#
#   -cpu max,pauth=off   has PAN, which older models lack and which turns stray user accesses of the driver into oopses;
#                        pointer authentication alone would slow emulation threefold
#   oops=panic           an oops must not go by as one killed process
#   printk.devkmsg=on    the conformance program tells the kernel's log of each case
#   hugepages            the kernel has no dma-heap, and without an IOMMU a buffer must be contiguous: hosts take theirs
#                        from huge pages through udmabuf
#
# usage: boot.sh WORK SECONDS [KERNEL ARGUMENT]...
set -euo pipefail
work=$(readlink -m "$1") seconds=$2
shift 2
here=$(dirname "$(readlink -f "$0")")
machine=(-machine virt -cpu max,pauth=off -m "${FASTRPCD_VM_MEMORY:-1024}" -smp 2 -nic none -display none)
dtb=$work/guest.dtb
if [ ! -f "$dtb" ] || [ "$here/dsp.dtsi" -nt "$dtb" ] || [ "$here/boot.sh" -nt "$dtb" ]; then
    qemu-system-aarch64 "${machine[@]}" -machine dumpdtb="$work/virt.dtb" 2>"$work/dumpdtb.log"
    { dtc -q -I dtb -O dts "$work/virt.dtb"; cat "$here/dsp.dtsi"; } | dtc -q -I dts -O dtb -o "$dtb" -
fi
exec timeout --foreground "$seconds" qemu-system-aarch64 "${machine[@]}" -accel tcg,thread=multi -serial stdio \
    -monitor none -no-reboot -kernel "$work/kernel/boot/vmlinuz-$(cat "$work/release")" -dtb "$dtb" \
    -initrd "$work/initrd" </dev/null \
    -append "console=ttyAMA0 quiet loglevel=6 oops=panic panic=-1 hugepages=48 printk.devkmsg=on $*"
